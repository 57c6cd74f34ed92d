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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

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
    """The address of a PostgreSQL of our own, on a free port, gone afterwards."""
    with Postgresql() as server:
        yield server.url


@contextlib.contextmanager
def own_redis() -> Iterator[str]:
    """The address of a broker of our own, on a free port, that keeps nothing."""
    with Broker() as server:
        yield server.url


class _Server:
    """A server of our own that can be hurt, and started again at the same address."""

    name: str
    url: str
    #: How it is asked to end.
    kindly: signal.Signals

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._program is not None:
            self.stop(self.kindly)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    def start(self) -> None:
        """Returns when it answers. Raises NotFoundError when it does not."""
        self._program = self._launch()
        end = time.monotonic() + 30
        while not self._answers():
            if self._program.poll() is not None or time.monotonic() > end:
                raise NotFoundError(f"{self.name} did not start.")
            time.sleep(0.02)

    def stop(self, how: signal.Signals) -> None:
        """Returns when it is gone."""
        program, self._program = self._program, None
        assert program is not None
        program.send_signal(how)
        try:
            program.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()

    def restart(self, how: signal.Signals) -> None:
        self.stop(how)
        self.start()

    def _launch(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class Postgresql(_Server):
    """A PostgreSQL with its data in a folder that is gone afterwards.

    PostgreSQL refuses to run as root, so root lends it an unprivileged user. SIGQUIT is its
    immediate shutdown: it recovers from its log at the next start.
    """

    name, kindly = "PostgreSQL", signal.SIGINT

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="heliograph-postgresql-")))
        self._tools = _postgresql_tools()
        user = _unprivileged()
        if user:
            shutil.chown(self._folder, user)
        self._calling: dict[str, Any] = {"user": user, "cwd": self._folder} if user else {"cwd": self._folder}
        self._port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self._port}/postgres"
        subprocess.run(
            [
                *(self._tools / "initdb", "-D", self._folder / "data", "-U", "postgres"),
                *("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._calling,
        )

    def _launch(self) -> subprocess.Popen[bytes]:
        where = ("-D", self._folder / "data", "-h", "127.0.0.1", "-p", str(self._port), "-k", self._folder)
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._tools / "postgres", *where], stdout=log, stderr=log, start_new_session=True, **self._calling
            )

    def _answers(self) -> bool:
        return _is_usable(self.url)


class Broker(_Server):
    """A Valkey or Redis that keeps nothing."""

    name, kindly = "The broker", signal.SIGTERM

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="heliograph-redis-")))
        self._child, self.url = programs.broker(free_port(), self._folder, os.environ)

    def _launch(self) -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            list(self._child.argv), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert server.stdin is not None
        server.stdin.write(self._child.stdin.encode())
        server.stdin.close()
        return server

    def _answers(self) -> bool:
        return _pongs(self.url)


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
