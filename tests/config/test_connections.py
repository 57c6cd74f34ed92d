"""What every connection to the database is told."""

from __future__ import annotations

import pytest
from django.db import connection

from config.apps import do_not_compile


@pytest.mark.django_db
def test_postgresql_does_not_compile_questions() -> None:
    """Compiling took longer than answering: 110 of 210 ms for the progress of half a million messages."""
    if connection.vendor != "postgresql":
        # It has no such setting, and is not asked for it.
        do_not_compile(connection)
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)
        cursor.execute("SET jit = on")
        do_not_compile(connection)
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)
