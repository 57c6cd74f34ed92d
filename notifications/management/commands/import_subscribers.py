"""``manage.py import_subscribers``: subscribers from a CSV file, with the proof of their consent (R-807)."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from notifications import imports, sheets
from notifications.imports import Verdict
from notifications.sheets import Finding


class Command(BaseCommand):
    help = (
        "Import subscribers from a CSV file (UTF-8; columns: address, consent_at, consent_source and, if you like, "
        "components, least_severity, language). They count as confirmed by the proof given; nobody is mailed. "
        "Says what became of every line that is not simply new; -v 2 says it of every line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="Only say what would happen.")

    def handle(self, *args: Any, **options: Any) -> None:
        def tell(finding: Finding) -> None:
            if finding.verdict != Verdict.NEW or options["verbosity"] > 1:
                said = " ".join(filter(None, [finding.named, finding.words]))
                self.stdout.write(f"line {finding.number}: {finding.verdict.label.lower()}: {said}")

        try:
            with options["file"].open("rb") as file:
                report = imports.run(file, at=timezone.now(), dry=options["dry_run"], tell=tell)
        except (OSError, sheets.BadFile) as error:
            raise CommandError(str(error)) from None
        counts = ", ".join(f"{report.counts[verdict]} {verdict.label.lower()}" for verdict in Verdict)
        self.stdout.write(f"{report.total} lines: {counts}.{' Nothing was written.' if options['dry_run'] else ''}")
