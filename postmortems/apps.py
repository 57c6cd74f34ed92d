from importlib import import_module

from django.apps import AppConfig


class PostmortemsConfig(AppConfig):
    """What we owe afterwards: reviews, action items, service credits, the monthly figures."""

    name = "postmortems"
    verbose_name = "Service credits"

    def ready(self) -> None:
        import_module("postmortems.checks")
