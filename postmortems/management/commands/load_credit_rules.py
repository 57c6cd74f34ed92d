"""``manage.py load_credit_rules``: the rules for service credits that come with the policy presets (R-901)."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from postmortems.credits.rules import presets


class Command(BaseCommand):
    help = "Loads the rules for service credits of policies that have none yet. What is there keeps every edit."

    def handle(self, *args: Any, **options: Any) -> None:
        loaded = presets.load_presets(at=timezone.now())
        for one in loaded:
            self.stdout.write(f"{one.book}: {'loaded' if one.created else 'unchanged'}")
        if not loaded:
            self.stdout.write("There is no policy yet that rules come with. Run load_policies first.")
