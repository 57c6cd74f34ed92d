"""``manage.py press``: write the public pages now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from status.page import press


class Command(BaseCommand):
    help = "Write the public status page now, and the incident pages that may have changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="Every incident page, as after a change of design.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (press.press_all() if options["all"] else press.press_due()):
            raise CommandError("The page was not pressed; the reason is in the log. The last good page stays.")
        self.stdout.write("Pressed.")
