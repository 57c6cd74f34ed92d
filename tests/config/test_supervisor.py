"""The supervisor, with real processes: restarts the dead, stops all in time, leaves nobody behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import supervisor
from config.supervisor import Child, Supervisor, Trouble, free_port, only_one, require_port

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True); time.sleep(60)"
)


def program(name: str, code: str, **options) -> Child:
    return Child(name, [sys.executable, "-c", code], os.environ, **options)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def crew(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    crew = Supervisor(tmp_path / "logs", say=said.append, grace=2.0)
    yield crew
    crew.grace = 0.0
    crew.stop()


def until(crew: Supervisor, done: Callable[[], object], timeout: float = 10.0) -> None:
    crew.run_until(lambda: bool(done()), timeout=timeout, what="The test")


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether a process ends ``within`` some seconds (a zombie has)."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_killed_child_is_started_again_and_it_is_said(crew: Supervisor, said: list[str]) -> None:
    child = crew.add(program("worker", SLEEPER))
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    until(crew, lambda: child.process is not None and child.process.pid != first)
    assert said == ["worker stopped (signal SIGKILL); starting it again in 0.5 s."]
    assert child.alive


def test_each_death_waits_longer_and_a_long_life_forgives(crew: Supervisor, said: list[str], monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.01, 0.02, 0.03))
    crew.ready = True
    child = crew.add(program("worker", "raise SystemExit(3)"))
    until(crew, lambda: len(said) >= 4)
    assert said[:4] == [
        f"worker stopped (exit code 3); starting it again in {pause} s." for pause in (0.01, 0.02, 0.03, 0.03)
    ]
    monkeypatch.setattr(supervisor, "HEALTHY_AFTER", 0.0)
    said.clear()
    until(crew, lambda: said)
    assert said[0] == "worker stopped (exit code 3); starting it again in 0.01 s."
    assert child.deaths == 1


def test_a_child_that_never_starts_ends_the_start_with_its_last_words(crew: Supervisor, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.01,))
    crew.add(program("web", "raise SystemExit('no such module')"))
    with pytest.raises(Trouble) as trouble:
        until(crew, lambda: False)
    assert str(trouble.value) == "\n  ".join(
        ["web does not start (exit code 1). Its last words:", *["no such module"] * 3]
    )


def test_idle_children_stop_at_once(crew: Supervisor, said: list[str]) -> None:
    children = [crew.add(program(f"child{number}", SLEEPER)) for number in range(4)]
    until(crew, lambda: all(child.last_lines for child in children))
    began = time.monotonic()
    crew.stop()
    assert time.monotonic() - began < 2.0
    assert not any(child.alive for child in children)
    assert said == []


def test_a_stubborn_child_is_ended_after_the_grace(crew: Supervisor, said: list[str]) -> None:
    crew.grace = 0.3
    child = crew.add(program("worker", STUBBORN))
    until(crew, lambda: child.last_lines)
    began = time.monotonic()
    crew.stop()
    assert 0.3 <= time.monotonic() - began < 1.5
    assert child.process.returncode == -signal.SIGKILL
    assert said == ["worker did not stop within 0 s and was ended."]


def test_grandchildren_end_with_their_parent(crew: Supervisor) -> None:
    """What a dead web process forked would keep its port."""
    child = crew.add(program("web", PARENT))
    until(crew, lambda: child.last_lines)
    grandchild = int(child.last_lines[0])
    os.kill(child.process.pid, signal.SIGKILL)
    until(crew, lambda: len(child.last_lines) == 2)
    assert gone(grandchild)
    second = int(child.last_lines[1])
    crew.stop()
    assert gone(second)


def test_waves_stop_in_order(crew: Supervisor, tmp_path: Path) -> None:
    """The broker outlives the worker that talks to it."""
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n    pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
    )
    order = tmp_path / "order"
    for name, wave in (("broker", 1), ("worker", 0)):
        crew.add(Child(name, [sys.executable, "-c", code, str(order), f"{name} "], os.environ, wave=wave))
    until(crew, lambda: all(child.last_lines for child in crew.children))
    crew.stop()
    assert order.read_text() == "worker broker "


def test_output_goes_to_a_log_of_its_own_and_is_echoed_when_asked(crew: Supervisor, said: list[str], tmp_path) -> None:
    crew.echo = True
    child = crew.add(
        program("web", "print('one'); print('two', end='')\nimport time; print(flush=True); time.sleep(60)")
    )
    until(crew, lambda: len(child.last_lines) == 2)
    assert said == ["     web | one", "     web | two"]
    assert (tmp_path / "logs" / "web.log").read_text() == "one\ntwo\n"


def test_a_log_is_bounded(crew: Supervisor, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 10_000)
    child = crew.add(
        program("web", "for n in range(5000): print('line', n)\nimport time\nprint('end', flush=True); time.sleep(60)")
    )
    until(crew, lambda: child.last_lines and child.last_lines[-1] == "end")
    files = sorted((tmp_path / "logs").iterdir())
    assert [file.name for file in files] == ["web.log", "web.log.1"]
    assert sum(file.stat().st_size for file in files) <= 20_000


def test_standard_input_reaches_the_child(crew: Supervisor) -> None:
    child = crew.add(
        program("broker", "import sys, time; print(sys.stdin.read(), flush=True); time.sleep(60)", stdin="a secret")
    )
    until(crew, lambda: child.last_lines)
    assert child.last_lines[0] == "a secret"


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\nfrom config.supervisor import Child, Supervisor\n"
        f"crew = Supervisor(pathlib.Path({str(tmp_path)!r}), say=print)\n"
        f"child = crew.add(Child('web', [sys.executable, '-c', {SLEEPER!r}], os.environ))\n"
        "print(child.process.pid, flush=True)\ncrew.run()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert gone(child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_the_wish_to_stop(crew: Supervisor, number: int) -> None:
    with crew.signals():
        crew.add(program("web", SLEEPER))
        os.kill(os.getpid(), number)
        began = time.monotonic()
        crew.run()
    assert crew.stopping
    assert time.monotonic() - began < 0.5


def test_a_second_signal_does_not_wait(crew: Supervisor) -> None:
    with crew.signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert crew.grace == 0.0


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            Trouble, match=rf"^Port {port} on 127\.0\.0\.1 is taken by another program\. Choose another one\.$"
        ):
            require_port("127.0.0.1", port)
        assert free_port(port) != port
    require_port("127.0.0.1", port)
    assert free_port(port) == port


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 8000), ("127.0.0.1", 70_000), ("no.such.host.invalid", 80)])
def test_an_impossible_address_is_said_in_one_line(host: str, port: int) -> None:
    with pytest.raises(Trouble) as trouble:
        require_port(host, port)
    assert "\n" not in str(trouble.value)


def test_only_one_runs_in_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    with only_one(path, "http://127.0.0.1:8000, process 1"):
        with pytest.raises(Trouble) as trouble, only_one(path, "second"):
            pass
        assert str(trouble.value) == "Already running from this folder: http://127.0.0.1:8000, process 1."
    with only_one(path, "third"):
        assert path.read_text() == "third"
