from importlib import import_module

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Whom we tell and how. Knows nobody else."""

    name = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        import_module("notifications.checks")
