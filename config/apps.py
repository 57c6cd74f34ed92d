from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class HeliographConfig(AppConfig):
    """Wires the four apps; holds commands and checks that concern the whole house."""

    name = "config"
    verbose_name = "Heliograph"

    def ready(self) -> None:
        import_module("config.checks")
        connection_created.connect(do_not_compile, dispatch_uid="heliograph.jit")


def do_not_compile(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """PostgreSQL would compile questions that look costly, for longer than it takes to answer them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")
