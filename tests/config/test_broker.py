"""A worker outlives its broker, whenever that goes (F02)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from config.broker import Channel, Transport
from config.celery import app


def test_celery_takes_our_way_to_the_broker() -> None:
    with app.connection_for_write() as connection:
        assert connection.get_transport_cls() is Transport


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_any_address_of_a_broker_is_understood(scheme: str) -> None:
    with app.connection_for_write(f"{scheme}://:secret@broker.example:6380/3") as connection:
        info = connection.info()
    assert (info["hostname"], info["port"], info["password"]) == ("broker.example", 6380, "secret")
    assert info["virtual_host"].strip("/") == "3"


def test_a_connection_torn_down_while_it_is_made_is_a_lost_one() -> None:
    """It was an AttributeError, and the worker ended: seen by the drill ``broker-forgets``."""
    channel = Channel.__new__(Channel)
    channel.connection = SimpleNamespace(client=None, default_port=6379)
    with pytest.raises(app.connection_for_write().connection_errors):
        channel._connparams()
