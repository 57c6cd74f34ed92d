"""``manage.py audit_credits``: proof that the books of credits agree (R-906, reliability.md 2.1, A8)."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from postmortems.credits.checking.reconcile import RULES, Report, check


class Command(BaseCommand):
    help = (
        "Compare credits, postings, control accounts and batches. Changes nothing; says what to do about what it "
        "finds, and ends with 1 when something is wrong. Warnings alone end with 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        report = check(timezone.now())
        seconds = time.monotonic() - began
        self.stdout.write(json.dumps(report.as_json(), indent=2) if options["json"] else _table(report, seconds))
        if not report.is_clean:
            sys.exit(1)


def _table(report: Report, seconds: float) -> str:
    found = {finding.rule: finding for finding in report.findings}
    lines = []
    for rule in RULES:
        finding = found.get(rule.name)
        lines.append(f"{finding.number if finding else 0:>9,}  {'warning: ' if rule.is_warning else ''}{rule.words}")
        if finding:
            lines += [f"{'':11}{row}" for row in (*finding.rows, finding.remedy)]
    verdict = "the books agree" if report.is_clean else f"{len(report.errors)} of {len(RULES)} rules are broken"
    return "\n".join(
        [*lines, f"\nAudited {report.credits:,} credits and {report.batches:,} batches in {seconds:.2f} s: {verdict}."]
    )
