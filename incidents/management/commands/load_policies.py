"""``manage.py load_policies``: bring in the five presets (R-101)."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from incidents import policies


class Command(BaseCommand):
    help = "Loads the policy presets that are not there yet. Policies that are there keep every edit."

    def handle(self, *args: Any, **options: Any) -> None:
        for loaded in policies.load_presets(at=timezone.now()):
            self.stdout.write(f"{loaded.policy.slug}: {'loaded' if loaded.created else 'unchanged'}")
