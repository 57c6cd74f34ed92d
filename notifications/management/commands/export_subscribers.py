"""``manage.py export_subscribers``: all subscribers as CSV, to a file or standard output (R-807)."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from notifications import exports
from notifications.models import Subscriber


class Command(BaseCommand):
    help = "Write all subscribers as CSV, safe to open in a spreadsheet. Without FILE it goes to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="A new file; only its owner may read it.")
        parser.add_argument("--active", action="store_true", help="Only those who are told now.")
        parser.add_argument("--bom", action="store_true", help="Mark the file as UTF-8 for Excel.")

    def handle(self, *args: Any, **options: Any) -> None:
        people = Subscriber.objects.active() if options["active"] else Subscriber.objects.all()
        lines = exports.stream(people, bom=options["bom"])
        if options["file"] is None:
            for line in lines:
                self.stdout.write(line.decode(), ending="")
            return
        try:
            handle = os.open(options["file"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(str(error)) from None
        with os.fdopen(handle, "wb") as file:
            file.writelines(lines)
