"""``manage.py demo``: a believable organisation to try things on."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from config.demo import credits, history, organisation, people
from incidents import policies, runbook
from incidents.models import Incident
from notifications.models import Brand

#: The same names on every machine.
SEED = 2026


class Command(BaseCommand):
    help = "Load the demo organisation with 90 days of history. Does nothing where it is loaded already; sends nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("This is production: the demo organisation stays out of it.")
        if Brand.objects.filter(slug=organisation.BRAND).exists():
            people.make_staff()
            self.stdout.write("The demo organisation is there already; nothing was changed.")
            return
        if Brand.objects.exists() or Incident.objects.exists():
            raise CommandError("This database belongs to another organisation; the demo needs one of its own.")
        began = time.monotonic()
        now = timezone.now()
        dice = random.Random(SEED)  # noqa: S311 -- invented names, not secrets
        with transaction.atomic():
            staff = people.make_staff()
            founded = now - timedelta(days=100)
            policies.load_presets(at=founded, by=staff[people.ADMIN])
            runbook.load()
            brand = organisation.make_brand()
            components = organisation.make_components(founded)
            customers = organisation.make_customers(components, dice)
            organisation.make_subscribers(components, customers, dice, now)
            money = credits.steps(customers, components, staff, now=now)
            history.tell(brand, components, staff, now=now, beside=money)
        self.stdout.write(
            f"Loaded the demo organisation {brand.name}: {len(components)} components, {Incident.objects.count()} past "
            f"incidents, {organisation.SUBSCRIBERS} subscribers, in {time.monotonic() - began:.1f} s."
        )
