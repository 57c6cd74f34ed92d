"""``manage.py up``: one command that runs the whole product, with real processes and nothing else."""

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest
from django.conf import settings

from config.supervisor import free_port
from notifications.mailbox.box import Box

#: Generous: the first start compiles, migrates and loads 90 days, perhaps beside other tests.
READY_WITHIN = 150.0
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "LC_ALL") if name in os.environ}


class House:
    """A copy that runs in a folder whose name is as awkward as a folder's may be."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.lines: list[str] = []
        self.command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "up", "--demo", "--port", str(port)]
        self.environment = ENVIRONMENT | {"VAR_DIR": str(folder), "ENV_FILE": os.devnull}
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self.wait_for("Ctrl-C stops everything", READY_WITHIN)

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, words: str, within: float = 60.0) -> None:
        end = time.monotonic() + within
        while not any(words in line for line in self.lines):
            assert self.process.poll() is None, "\n".join(self.lines)
            assert time.monotonic() < end, "\n".join(self.lines)
            time.sleep(0.05)

    @property
    def password(self) -> str:
        (found,) = re.findall(r"login admin, password (\S+)", "\n".join(self.lines))
        return found

    def browser(self):
        return build_opener(ProxyHandler({}), HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path: str) -> str:
        with self.browser().open(self.url + path, timeout=20) as response:
            assert response.status == 200
            return response.read().decode()

    def child(self, words: str) -> int:
        """The process id of the program whose command line holds ``words``."""
        rows = subprocess.check_output(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)], text=True)
        (found,) = [row.split()[0] for row in rows.splitlines() if words in row]
        return int(found)

    def relatives(self) -> list[str]:
        """Every process that was started for this folder, whoever is its parent now."""
        mark = f"VAR_DIR={self.folder}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    found.append((environ.parent / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def stop(self) -> float:
        """Seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return time.monotonic() - began


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "50% of a folder?"


@pytest.mark.services
def test_one_command_runs_everything_and_survives_deaths_and_restarts(folder: Path) -> None:
    port = free_port()
    house = House(folder, port)
    try:
        assert "All systems operational" in house.get("/status")
        _log_in(house)

        # The whole chain: web → database → worker → SMTP → mailbox → console.
        form = {"address": "newcomer@example.org", "scope": "all", "wants_incidents": "on", "least_rank": "4"}
        house.browser().open(f"{house.url}/subscriptions/subscribe", urlencode(form).encode(), timeout=20)
        box = Box(folder / "mailbox")
        _wait(lambda: list(box.entries("newcomer@example.org")), "a confirmation in the mailbox")

        # Whoever dies is started again, and it is said.
        for words, name in (("granian", "web"), ("celery", "worker"), ("dispatch", "dispatch"), ("valkey", "broker")):
            os.kill(house.child(words), signal.SIGKILL)
            house.wait_for(f"{name} stopped (signal SIGKILL); starting it again")
        _wait(lambda: _answers(house), "the page after a restart")

        # A second one in the same folder, and one on the same port, are refused in one line.
        second = _refused(house.command, house.environment)
        assert second == f"CommandError: Already running from this folder: {house.url}, process {house.process.pid}."
        other = _refused(house.command, house.environment | {"VAR_DIR": str(folder / "other")})
        assert other == f"CommandError: Port {port} on 127.0.0.1 is taken by another program. Choose another one."

        password = house.password
        assert house.stop() < 15.0
        assert house.relatives() == []
    finally:
        house.process.kill()

    # A second start keeps the data and the password.
    house = House(folder, port)
    try:
        assert "The demo organisation is there already; nothing was changed." in house.lines
        assert house.password == password
        _log_in(house)
        house.stop()
        assert house.relatives() == []
    finally:
        house.process.kill()


def _log_in(house: House) -> None:
    browser = house.browser()
    page = browser.open(f"{house.url}/admin/login/", timeout=20).read().decode()
    (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page))
    form = {"username": "admin", "password": house.password, "csrfmiddlewaretoken": token, "next": "/admin/mailbox/"}
    answer = browser.open(f"{house.url}/admin/login/", urlencode(form).encode(), timeout=20)
    assert answer.url == f"{house.url}/admin/mailbox/"


def _answers(house: House) -> bool:
    try:
        return bool(house.get("/status"))
    except OSError:
        return False


def _wait(found, what: str, within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not found():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)


def _refused(command: list[str], environment: dict[str, str]) -> str:
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 1
    return outcome.stderr.strip()
