"""The way to the doorbell, as Celery takes it: kombu's Redis transport, which is to survive its broker (F02)."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as BrokerAway


class Channel(kombu_redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """A channel whose connection was torn down under it has lost its broker, and says so.

        kombu reads the address off the connection that is no longer there and fails with an
        AttributeError: no lost connection in Celery's eyes, so the worker ended instead of
        looking for its broker again. Raises redis' ConnectionError.
        """
        if self.connection.client is None:
            raise BrokerAway("The connection was torn down while it was being made.")
        params: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]
        return params


class Transport(kombu_redis.Transport):
    Channel = Channel
