"""``manage.py load_policies``: bring in the five presets (R-101), and the runbook (R-208)."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from incidents import policies, runbook


class Command(BaseCommand):
    help = (
        "Loads the policy presets and the lines of the runbook that are not there yet. What is there keeps every edit."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for loaded in policies.load_presets(at=timezone.now()):
            self.stdout.write(f"{loaded.policy.slug}: {'loaded' if loaded.created else 'unchanged'}")
        loaded_lines = runbook.load()
        self.stdout.write(f"runbook: {f'{loaded_lines} lines loaded' if loaded_lines else 'unchanged'}")
