from importlib import import_module

from django.apps import AppConfig


class HeliographConfig(AppConfig):
    """Wires the four apps; holds commands and checks that concern the whole house."""

    name = "config"
    verbose_name = "Heliograph"

    def ready(self) -> None:
        import_module("config.checks")
