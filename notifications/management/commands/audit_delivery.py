"""``manage.py audit_delivery``: proof that nobody was missed and nobody told twice (reliability.md 2.1)."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from notifications.audit import Finding, Report, audit


class Command(BaseCommand):
    help = (
        "Audit the deliveries of the last 24 hours by seven rules that must all count zero. Changes nothing; "
        "says what to do about what it finds, and ends with 1 then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        report = audit(timezone.now())
        self.stdout.write(json.dumps(report.as_json(), indent=2) if options["json"] else _table(report))
        if report.wrong:
            sys.exit(1)


def _table(report: Report) -> str:
    wrong = len(report.wrong)
    verdict = f"{wrong} of {len(report.findings)} rules are broken" if wrong else "nothing missing"
    lines = [line for finding in report.findings for line in _lines(finding)]
    return "\n".join([*lines, f"\nAudited in {report.seconds:.2f} s: {verdict}."])


def _lines(finding: Finding) -> list[str]:
    line = f"{finding.count:>9,}  {finding.rule.id}  {finding.rule.words}"
    return [line, f"{'':15}{finding.shown}", f"{'':15}{finding.rule.remedy}"] if finding.count else [line]
