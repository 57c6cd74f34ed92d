"""Keeps a handful of processes running: starts them, restarts the dead, stops all together.

One thread, one loop over ``selectors``: output of the children, their deaths (SIGCHLD) and the
wish to stop (SIGTERM, SIGINT) all arrive as readable descriptors. Knows nothing about Heliograph.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

#: Seconds a dead child waits before its next start; the last value repeats.
BACK_OFF = (0.5, 1.0, 2.0, 5.0, 15.0)
#: A child that lived this long is healthy again: its next death starts at the first back-off.
HEALTHY_AFTER = 30.0
#: Before readiness a child may die this often; then the start has failed.
STARTS = 3
#: Seconds between two looks at whether something is ready.
PACE = 0.1
LOG_BYTES = 5_000_000
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class Trouble(Exception):
    """The start cannot go on; the message is one line for the person at the keyboard."""


def _die_with_parent() -> Callable[[], None] | None:
    """For Linux: a child gets SIGTERM when the supervisor is gone, even after ``kill -9``."""
    if sys.platform != "linux":
        return None
    # Loaded before the fork: importing between fork and exec can hang.
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One program to keep running. ``wave`` orders the stop: lower waves end first."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: str = ""
    wave: int = 0
    process: subprocess.Popen[bytes] | None = None
    born_at: float = 0.0
    start_at: float = 0.0
    deaths: int = 0
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=12))
    _partial: bytes = b""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal_group(self, number: int) -> None:
        """Signal the child and everything it forked; a group that is gone already is fine."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def lines(self, chunk: bytes) -> Iterator[str]:
        """Whole lines of what it has written so far; the rest waits for its end."""
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")


class Supervisor:
    """Runs children until told to stop.

    ``say`` prints one line to the person who started it. ``log_dir`` receives one bounded file
    per child. ``echo`` also streams the children's lines, prefixed. ``grace`` is how many seconds
    each wave has to end by itself after SIGTERM before it is killed.
    """

    def __init__(self, log_dir: Path, *, say: Callable[[str], None], echo: bool = False, grace: float = 10.0) -> None:
        self.children: list[Child] = []
        self.say, self.echo, self.grace = say, echo, grace
        self.stopping = self.ready = False
        self._log_dir = log_dir
        self._logs: dict[str, logging.Handler] = {}
        self._selector = selectors.DefaultSelector()
        self._limits = _die_with_parent()

    # --- the outer life ------------------------------------------------------------

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Turn SIGTERM, SIGINT and SIGHUP into the wish to stop, and SIGCHLD into a wake-up."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        before = {number: signal.signal(number, self._wish) for number in STOP_SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        old_descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            self._selector.unregister(reader)
            signal.set_wakeup_fd(old_descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()

    def _wish(self, number: int, _frame: object) -> None:
        if self.stopping:
            # Asked twice: somebody is in a hurry.
            self.grace = 0.0
        self.stopping = True

    def add(self, child: Child) -> Child:
        self.children.append(child)
        self._start(child)
        return child

    def run_until(self, done: Callable[[], bool], *, timeout: float, what: str) -> None:
        """Keep everything running until ``done``. Raises Trouble when it takes longer than ``timeout`` seconds."""
        now = time.monotonic()
        end, ask_at = now + timeout, now
        while not self.stopping:
            # Asked at a steady pace: an answer may itself make a child write, which wakes us.
            if time.monotonic() >= ask_at:
                if done():
                    return
                ask_at = time.monotonic() + PACE
            if time.monotonic() > end:
                raise Trouble(f"{what} did not get ready within {timeout:.0f} s; its log is in {self._log_dir}.")
            self.tick(PACE)

    def run(self) -> None:
        """Keep everything running until somebody wishes to stop."""
        self.ready = True
        while not self.stopping:
            self.tick(1.0)

    def tick(self, wait: float) -> None:
        """One round: read output, notice deaths, start what is due."""
        now = time.monotonic()
        due = [child.start_at - now for child in self.children if child.process is None]
        for key, _ in self._selector.select(max(0.0, min([wait, *due]))):
            self._read(key)
        for child in self.children:
            if child.process is None and not self.stopping and time.monotonic() >= child.start_at:
                self._start(child)
            elif child.process is not None and child.process.poll() is not None:
                self._bury(child)

    def stop(self) -> None:
        """End every wave: SIGTERM, ``grace`` seconds, then SIGKILL for the whole process group."""
        self.stopping = True
        for wave in sorted({child.wave for child in self.children}):
            members = [child for child in self.children if child.wave == wave and child.alive]
            for child in members:
                # The head only: it ends its own children in its own order.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.process.pid, signal.SIGTERM) if child.process else None
            asked_at = time.monotonic()
            while any(child.alive for child in members) and time.monotonic() < asked_at + self.grace:
                for key, _ in self._selector.select(0.05):
                    self._read(key)
            for child in members:
                if child.alive:
                    self.say(f"{child.name} did not stop within {self.grace:.0f} s and was ended.")
                child.signal_group(signal.SIGKILL)
                if child.process is not None:
                    child.process.wait()
        for handler in self._logs.values():
            handler.close()

    # --- one child -----------------------------------------------------------------

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603 -- the programs of this house, never a user's words
            list(child.argv),
            env=dict(child.env),
            stdin=subprocess.PIPE if child.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches the supervisor only, and a whole tree can be ended by its group.
            start_new_session=True,
            preexec_fn=self._limits,
        )
        child.born_at, child._partial = time.monotonic(), b""
        if child.process.stdin is not None:
            child.process.stdin.write(child.stdin.encode())
            child.process.stdin.close()
        output = _output(child.process)
        os.set_blocking(output.fileno(), False)
        self._selector.register(output, selectors.EVENT_READ, child)

    def _read(self, key: selectors.SelectorKey) -> None:
        child = key.data
        if child is None:
            with contextlib.suppress(BlockingIOError):
                key.fileobj.recv(4096)  # type: ignore[union-attr]  # the signal socket has no child
            return
        chunk = b""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(key.fd, 65_536)
            if not chunk:
                self._selector.unregister(key.fileobj)
        for line in child.lines(chunk):
            self._note(child, line)

    def _note(self, child: Child, line: str) -> None:
        child.last_lines.append(line)
        if child.name not in self._logs:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            path = self._log_dir / f"{child.name}.log"
            self._logs[child.name] = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
        # A full disk must not end the supervisor: the handler reports and goes on (F15).
        self._logs[child.name].handle(logging.makeLogRecord({"msg": line, "name": child.name}))
        if self.echo:
            self.say(f"{child.name:>8} | {line}")

    def _bury(self, child: Child) -> None:
        if child.process is None:
            return
        # What it forked would keep its port.
        child.signal_group(signal.SIGKILL)
        output = _output(child.process)
        with contextlib.suppress(KeyError):
            self._read(self._selector.get_key(output))
            self._selector.unregister(output)
        output.close()
        code = child.process.returncode
        lived = time.monotonic() - child.born_at
        child.process = None
        if self.stopping:
            return
        child.deaths = 1 if lived >= HEALTHY_AFTER else child.deaths + 1
        if not self.ready and child.deaths >= STARTS:
            words = f"{child.name} does not start ({_ending(code)}). Its last words:"
            raise Trouble("\n  ".join([words, *child.last_lines]))
        pause = BACK_OFF[min(child.deaths, len(BACK_OFF)) - 1]
        child.start_at = time.monotonic() + pause
        self.say(f"{child.name} stopped ({_ending(code)}); starting it again in {pause:g} s.")


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise ValueError("A child is always started with its output on a pipe.")
    return process.stdout


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


# --- ports and locks -----------------------------------------------------------------


def free_port(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """``wanted`` when it is free, else any free port."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server((host, port)) as probe:
            return int(probe.getsockname()[1])
    raise Trouble(f"No free port on {host}.")


def require_port(host: str, port: int) -> None:
    """Raises Trouble when nobody can listen on ``host:port``, with the reason in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Trouble(f"Port {port} on {host} is taken by another program. Choose another one.") from None
        raise Trouble(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from None
    except OverflowError:
        raise Trouble(f"{port} is not a port: choose 1 to 65535.") from None


@contextlib.contextmanager
def only_one(path: Path, words: str) -> Iterator[None]:
    """Hold ``path`` as a lock while inside; ``words`` are shown to whoever comes second. Raises Trouble."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Trouble(f"Already running from this folder: {lock.read().strip()}.") from None
        lock.truncate(0)
        lock.write(words)
        lock.flush()
        yield
