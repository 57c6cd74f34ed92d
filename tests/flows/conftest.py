"""A whole Heliograph in its own folder, a real mail server, and a real browser."""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from config.supervisor import free_port

ROOT = Path(__file__).resolve().parents[2]
#: How long the browser and the mail may take; a story that needs longer is broken.
PATIENCE = 20.0


def wait_for(found: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Ask until the answer is true; fails naming ``what`` did not come."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if answer := found():
            return answer
        time.sleep(0.1)
    pytest.fail(f"{what} did not come within {patience:.0f} s")


@dataclass
class PostOffice:
    """A mail server that keeps everything."""

    port: int
    letters: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.letters.append(message)
        return "250 kept"

    def to(self, address: str, subject: str = "") -> list[EmailMessage]:
        return [m for m in list(self.letters) if address in str(m["To"]) and subject in str(m["Subject"])]

    def wait(self, address: str, subject: str) -> EmailMessage:
        found: EmailMessage = wait_for(lambda: self.to(address, subject), f"A mail “{subject}” to {address}")[-1]
        return found


@dataclass(frozen=True)
class House:
    """A running product: its address and the operator's password."""

    url: str
    password: str


@pytest.fixture(scope="session")
def post_office() -> Iterator[PostOffice]:
    office = PostOffice(free_port())
    controller = Controller(office, hostname="127.0.0.1", port=office.port)
    controller.start()
    yield office
    controller.stop()


@pytest.fixture(scope="session")
def house(post_office: PostOffice, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """``manage.py up --demo`` as a newcomer starts it, but with a mail server of its own."""
    folder = tmp_path_factory.mktemp("house")
    port = free_port()
    env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")}
    env |= {"VAR_DIR": str(folder), "SMTP_URL": f"smtp://127.0.0.1:{post_office.port}", "ENV_FILE": os.devnull}
    log = (folder / "up.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--demo", "--port", str(port)],
        cwd=ROOT,
        env=env,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> str:
        assert process.poll() is None, (folder / "up.log").read_text()
        said = (folder / "up.log").read_text()
        return said if "is running" in said else ""

    said = wait_for(ready, "The house", patience=90)
    password = said.split("password ")[1].split()[0]
    yield House(url, password)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    log.close()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's own Chromium; a browser that the test tool downloads is not wanted."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Install chromium (Debian: apt-get install chromium)."
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
    return {**browser_type_launch_args, "executable_path": chromium, "args": flags}


def fetch(url: str) -> str:
    with urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()
