from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """What we do about trouble, and by when."""

    name = "incidents"
    verbose_name = "Operations"
