from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Whom we tell and how. Knows nobody else."""

    name = "notifications"
    verbose_name = "Notifications"
