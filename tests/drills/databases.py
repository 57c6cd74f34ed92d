"""Databases for drills: made in a moment, each a copy of one that was migrated once."""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
#: The reader all others of a drill are copies of; never confirmed.
PATTERN = "pattern@example.org"
PREPARE = """
import django; django.setup()
from django.core.management import call_command
from tests.drills.newsroom import prepare
call_command("migrate", verbosity=0)
prepare()
"""
#: By server: the migrated one.
_patterns: dict[str, str] = {}


def dsn(url: str) -> str:
    return url.replace("postgres://", "postgresql://", 1)


@contextlib.contextmanager
def fresh(server: str, env: Mapping[str, str]) -> Iterator[str]:
    """The address of a database with our tables on a server, gone afterwards. ``env`` is what programs need."""
    if server not in _patterns:
        _patterns[server] = _migrated(server, env)
    name = _create(server, _patterns[server])
    try:
        yield _address(server, name)
    finally:
        _drop(server, name)


def forget(server: str) -> None:
    """A server that is gone has no databases."""
    _patterns.pop(server, None)


def _migrated(server: str, env: Mapping[str, str]) -> str:
    name = _create(server, "template1")
    atexit.register(lambda: server in _patterns and _drop(server, name))
    where = {**env, "DATABASE_URL": _address(server, name)}
    subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, env=where, check=True)
    return name


def _create(server: str, pattern: str) -> str:
    name = f"heliograph_drill_{uuid.uuid4().hex[:8]}"
    words = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(pattern))
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        connection.execute(words)
    return name


def _drop(server: str, name: str) -> None:
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _address(server: str, name: str) -> str:
    return urlsplit(server)._replace(path=f"/{name}").geturl()
