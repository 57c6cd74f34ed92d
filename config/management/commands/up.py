"""``manage.py up``: one command that runs everything."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from argparse import ArgumentParser
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management.base import BaseCommand, CommandError, SystemCheckError
from django.db import connections

from config import programs
from config.demo.people import ADMIN, password_file
from config.supervisor import Supervisor, Trouble, free_port, only_one, require_port
from incidents.models import Policy
from postmortems.models import RuleBook

#: Seconds from the start of the programs to the first answer of the page.
READY_WITHIN = 90.0


class Command(BaseCommand):
    help = (
        "Run everything: broker (unless REDIS_URL is set), local mailbox (unless SMTP_URL is set), web, worker and "
        "dispatcher. Restarts what dies; Ctrl-C or SIGTERM stops all."
    )

    #: Only errors stop it; what an embedded copy should know stands in the welcome.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on.")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--demo", action="store_true", help="Load the demo organisation on the first start.")
        parser.add_argument("--verbose", action="store_true", help="Show what the programs write, line by line.")
        parser.add_argument("--grace", type=float, default=10.0, help="Seconds a busy program has to stop.")

    def handle(self, *args: Any, **options: Any) -> None:
        errors = [message for message in run_checks() if message.is_serious()]
        if errors:
            raise SystemCheckError("\n".join(["This cannot run like this:", *map(str, errors)]))
        var_dir = settings.VAR_DIR
        self.url = os.environ.get("SITE_URL") or f"http://{_speakable(options['host'])}:{options['port']}"
        self.crew = Supervisor(var_dir / "logs", say=self._say, echo=options["verbose"], grace=options["grace"])
        try:
            with only_one(var_dir / "up.lock", f"{self.url}, process {os.getpid()}"), self.crew.signals():
                self._run(**options)
        except Trouble as trouble:
            raise CommandError(str(trouble)) from None

    def _run(self, *, host: str, port: int, demo: bool, **_: Any) -> None:
        require_port(host, port)
        try:
            self.env = self._surroundings()
            self._say("Preparing the database …")
            self._once("migrate", "--verbosity", "0", "--skip-checks")
            if demo:
                self._once("demo", "--skip-checks")
            for child in (
                programs.web(host, port, self.env),
                programs.worker(self.env),
                programs.dispatch(_manage(), self.env),
            ):
                if not self.crew.stopping:
                    self.crew.add(child)
            self.crew.run_until(lambda: _answers(host, port, self.url), timeout=READY_WITHIN, what="The public page")
            if not self.crew.stopping:
                self._welcome()
                self.crew.run()
        finally:
            self._say("Stopping …")
            self.crew.stop()
        self._say("Stopped.")

    def _surroundings(self) -> dict[str, str]:
        """What the programs find in their environment; starts broker and mailbox where none are named."""
        env = {**os.environ, "SITE_URL": self.url, "VAR_DIR": str(settings.VAR_DIR), "PYTHONUNBUFFERED": "1"}
        if not env.get("REDIS_URL"):
            child, env["REDIS_URL"] = programs.broker(free_port(), settings.VAR_DIR / "broker", env)
            self.crew.add(child)
        if settings.MAILBOX_IN_USE:
            env["MAILBOX_PORT"] = str(free_port(settings.MAILBOX_PORT))
            self.crew.add(programs.mailbox(_manage(), env))
        return env

    def _once(self, *command: str) -> None:
        """Run a command of ours to its end, while the others keep running. Raises Trouble when it fails."""
        process = subprocess.Popen(  # noqa: S603 -- our own commands
            [sys.executable, str(_manage()), *command], env=self.env, start_new_session=True
        )
        self.crew.run_until(lambda: process.poll() is not None, timeout=600, what=f"manage.py {command[0]}")
        if process.poll() is None:
            process.terminate()
        if process.wait() and not self.crew.stopping:
            raise Trouble(f"manage.py {command[0]} failed; see above.")

    def _welcome(self) -> None:
        lines = ["", "Heliograph is running.", ""]
        lines += [f"  Public page  {self.url}/status", f"  Console      {self.url}/admin/"]
        lines += [f"               {words}" for words in _login()]
        if settings.MAILBOX_IN_USE:
            lines.append(f"  Mailbox      {self.url}/admin/mailbox/  (all outgoing mail; nothing leaves this machine)")
        if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
            lines.append("  Database     SQLite, for demo and development; production runs on PostgreSQL")
        lines += [f"  First steps  {words}" for words in _first_steps()]
        lines += [f"  Logs         {os.path.relpath(settings.VAR_DIR / 'logs')}", ""]
        lines += ["Ctrl-C stops everything; the data stays.", ""]
        self._say("\n".join(lines))

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()


def _manage() -> Path:
    return settings.BASE_DIR / "manage.py"


def _speakable(host: str) -> str:
    """The host to put in an address when a program listens on ``host``."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _answers(host: str, port: int, url: str) -> bool:
    """Whether the public page answers 200, asked past any proxy of the environment."""
    site = urlsplit(url)
    connection = http.client.HTTPConnection(_speakable(host).strip("[]"), port, timeout=10)
    try:
        connection.request("GET", "/status", headers={"Host": site.netloc, "X-Forwarded-Proto": site.scheme})
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _first_steps() -> list[str]:
    """What an empty copy still needs, in the order in which it is done; nothing once there are policies and rules."""
    steps = []
    if not Policy.objects.exists():
        steps.append("manage.py load_policies      the five policy presets")
    if not RuleBook.objects.exists():
        steps.append("manage.py load_credit_rules  then the rules for service credits that come with them")
    connections.close_all()
    return steps


def _login() -> list[str]:
    """How to log in, in words; the demo's password is named only while it still opens the door."""
    admins = get_user_model().objects.filter(is_superuser=True, is_active=True)
    path = password_file()
    demo = admins.filter(username=ADMIN).first()
    connections.close_all()
    if demo is not None and path.exists() and demo.check_password(path.read_text().strip()):
        return [f"login {ADMIN}, password {path.read_text().strip()}"]
    if demo is not None or admins.exists():
        return []
    return ["no login yet: manage.py createsuperuser"]
