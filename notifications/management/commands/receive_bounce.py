"""``manage.py receive_bounce``: one message that came back, from standard input (docs/mail.md)."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError
from django.utils import timezone

from notifications import bounces, dsn

#: sysexits.h: the mail system keeps the message and tries again.
TEMPORARY_FAILURE = 75


class Command(BaseCommand):
    help = "Reads one bounce (RFC 3464) or complaint (RFC 5965) from standard input, for a pipe in a mail system."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", default="", help="The address it was delivered to, if no header names it.")

    def handle(self, *args: Any, to: str, **options: Any) -> None:
        """Ends well whatever the message is, so that nobody is sent a bounce for a bounce; 75: try again later."""
        raw = sys.stdin.buffer.read(dsn.LARGEST)
        try:
            lines = bounces.receive(raw, to=to, at=timezone.now())
        except DatabaseError as error:
            self.stderr.write(f"The database is away: {str(error).strip().splitlines()[0]}")
            sys.exit(TEMPORARY_FAILURE)
        for line in lines or ["no report in it"]:
            self.stdout.write(line)
