"""PostgreSQL and Redis for the tests: those named, else those found, else our own for the while.

    python -m tests.services COMMAND …

runs COMMAND with DATABASE_URL and REDIS_URL set, and stops what it started. Named means the
environment; found means the standard ports on 127.0.0.1; our own come from Debian's binaries and
from the broker that is installed with the project, on free ports, in a folder that is removed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import redis

from config import programs
from config.supervisor import free_port

FOUND_DATABASE = "postgres://postgres@127.0.0.1:5432/postgres"
FOUND_REDIS = "redis://127.0.0.1:6379/15"
OLDEST_POSTGRESQL = 140_000


class NotFoundError(Exception):
    """A service is neither named, nor answering, nor installed."""


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The address of a PostgreSQL ≥ 14 where databases may be made."""
    named = os.environ.get("DATABASE_URL", "")
    if named.startswith(("postgres", "pgsql")):
        yield named
    elif _is_usable(FOUND_DATABASE):
        yield FOUND_DATABASE
    else:
        with own_postgresql() as url:
            yield url


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """The address of a Redis (or Valkey); the tests use a prefix of their own in it."""
    named = os.environ.get("REDIS_URL", "")
    if named:
        yield named
    elif _pongs(FOUND_REDIS):
        yield FOUND_REDIS
    else:
        with own_redis() as url:
            yield url


@contextlib.contextmanager
def own_postgresql() -> Iterator[str]:
    """A PostgreSQL on a free port, with its data in a folder that is gone afterwards.

    PostgreSQL refuses to run as root, so root lends it an unprivileged user.
    """
    tools = _postgresql_tools()
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="heliograph-postgresql-"))
    try:
        if user:
            shutil.chown(folder, user)
        port = free_port()
        calling = {"user": user, "cwd": folder} if user else {"cwd": folder}
        data = folder / "data"
        subprocess.run(
            [tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True,
            stdout=subprocess.DEVNULL,
            **calling,
        )
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [tools / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **calling,
            )
        url = f"postgres://postgres@127.0.0.1:{port}/postgres"
        with _stopped_after(server, signal.SIGINT):
            _wait(lambda: _is_usable(url), server, "PostgreSQL")
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def own_redis() -> Iterator[str]:
    """A broker on a free port that keeps nothing."""
    with tempfile.TemporaryDirectory(prefix="heliograph-redis-") as folder:
        child, url = programs.broker(free_port(), Path(folder), os.environ)
        server = subprocess.Popen(
            list(child.argv), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        server.stdin.write(child.stdin.encode())
        server.stdin.close()
        with _stopped_after(server, signal.SIGTERM):
            _wait(lambda: _pongs(url), server, "The broker")
            yield url


@contextlib.contextmanager
def _stopped_after(server: subprocess.Popen[bytes], how: signal.Signals) -> Iterator[None]:
    try:
        yield
    finally:
        server.send_signal(how)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait(ready: Callable[[], bool], server: subprocess.Popen[bytes], name: str) -> None:
    end = time.monotonic() + 30
    while not ready():
        if server.poll() is not None or time.monotonic() > end:
            raise NotFoundError(f"{name} did not start.")
        time.sleep(0.05)


def _is_usable(url: str) -> bool:
    try:
        with psycopg.connect(url.replace("postgres://", "postgresql://", 1), connect_timeout=3) as connection:
            may = connection.execute(
                "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            return bool(may and may[0]) and connection.info.server_version >= OLDEST_POSTGRESQL
    except psycopg.Error:
        return False


def _pongs(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _postgresql_tools() -> Path:
    """The folder of the newest PostgreSQL's programs. Raises NotFoundError when none is installed."""
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    if found is None:
        raise NotFoundError("PostgreSQL is neither running nor installed (Debian: apt-get install postgresql).")
    return Path(found).resolve().parent


def _unprivileged() -> str | None:
    """Whom root becomes to run PostgreSQL; None for everybody else."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def main(command: list[str]) -> int:
    """Run ``command`` beside the services; its exit code."""
    # A first Ctrl-C belongs to the command; the services stop after it.
    with database() as database_url, broker() as redis_url:
        told = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
        child = subprocess.Popen(command, env=told)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        return child.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NotFoundError as error:
        sys.exit(str(error))
