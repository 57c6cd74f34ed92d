"""How a statement reads on PostgreSQL and on SQLite, and the short ways to run one."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import psycopg
from django.db import connection
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

DIALECTS = {
    "postgresql": {
        "now": "statement_timestamp()",
        "now_plus": "(statement_timestamp() + make_interval(secs => %s))",
        "now_minus": "(statement_timestamp() - make_interval(secs => %s))",
        # Up to four seconds from now, not all at once.
        "apart": "(statement_timestamp() + make_interval(secs => notifications_delivery.id %% 5))",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "skip_locked_older": "FOR UPDATE OF older SKIP LOCKED",
        "skip_locked_newer": "FOR UPDATE OF newer SKIP LOCKED",
        "skip_locked_d": "FOR UPDATE OF d SKIP LOCKED",
    },
    "sqlite": {
        "now": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "now_plus": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+' || %s || ' seconds')",
        "now_minus": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-' || %s || ' seconds')",
        "apart": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+' || (notifications_delivery.id %% 5) || ' seconds')",
        "skip_locked": "",
        "skip_locked_older": "",
        "skip_locked_newer": "",
        "skip_locked_d": "",
    },
}


@lru_cache(maxsize=512)
def _formed(template: str, vendor: str, extra: tuple[tuple[str, str], ...]) -> str:
    dialect = DIALECTS[vendor]
    return template.format(**dialect, **{name: value.format(**dialect) for name, value in extra})


def sql(template: str, **extra: str) -> str:
    return _formed(template, connection.vendor, tuple(extra.items()))


def rows(sql: str, params: list[Any], *, hot: bool = False) -> list[tuple[Any, ...]]:
    if hot and connection.vendor == "postgresql":
        return _prepared(sql, params)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _prepared(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    """The hot path on PostgreSQL, past every layer: the server plans the statement once per connection.

    A quarter of the CPU of a cursor. Answers ids only.
    """
    connection.ensure_connection()
    server = connection.connection.pgconn
    if _ready.server is not server:
        _ready.server, _ready.names = server, {}
    with connection.wrap_database_errors:
        name = _ready.names.get(sql)
        if name is None:
            name = f"heliograph_{len(_ready.names)}".encode()
            _answer(server, server.prepare(name, _numbered(sql).encode()))
            _ready.names[sql] = name
        answer = _answer(server, server.exec_prepared(name, [b"%d" % value for value in params]))
    return [(int(answer.get_value(row, 0) or 0),) for row in range(answer.ntuples)]


class _Ready(threading.local):
    """Which statements this thread's connection has prepared."""

    server: Any = None
    names: dict[str, bytes]


_ready = _Ready()


def _answer(server: PGconn, result: PGresult) -> PGresult:
    if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return result
    if server.status != ConnStatus.OK:
        # A connection that broke has no error code; without one it would not pass for a lost connection.
        raise psycopg.OperationalError(server.get_error_message())
    raise psycopg.errors.error_from_result(result)


def _numbered(sql: str) -> str:
    """The statement with $1, $2 … for each %s."""
    pieces = sql.split("%s")
    return "".join(f"{piece}${number}" for number, piece in enumerate(pieces[:-1], start=1)) + pieces[-1]


def count(sql: str, params: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.rowcount >= 0:
            return int(cursor.rowcount)
        # Python's SQLite does not count what begins with WITH.
        cursor.execute("SELECT changes()")
        return int(cursor.fetchone()[0])
