from django.apps import AppConfig


class StatusConfig(AppConfig):
    """What the public sees. Publishing is announcing."""

    name = "status"
    verbose_name = "Status page"
