"""What every connection to the database is told."""

from __future__ import annotations

import pytest
from django.db import connection

from config.apps import do_not_compile


@pytest.mark.django_db
def test_a_network_that_swallows_packets_is_noticed() -> None:
    """F26: measured with dropped packets, 20 s; the address may say otherwise."""
    if connection.vendor != "postgresql":
        # A file.
        assert connection.settings_dict["OPTIONS"]["timeout"] == 20
        return
    connection.ensure_connection()
    told = connection.connection.info.get_parameters()
    names = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
    assert [told[name] for name in names] == ["5", "10", "5", "3", "20000"]


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
