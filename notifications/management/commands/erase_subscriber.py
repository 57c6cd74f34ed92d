"""``manage.py erase_subscriber``: forget a person who asked for it (R-807, S29)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from notifications import addresses, subscriptions
from notifications.models import Subscriber


class Command(BaseCommand):
    help = "Erase everything about the subscriber with this address or number; only a hash stays, against imports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address")
        parser.add_argument("--yes", action="store_true", help="Do not ask whether you are sure.")

    def handle(self, *args: Any, **options: Any) -> None:
        typed = options["address"]
        try:
            # Also a number that is not texted any more may be erased: as it is kept.
            address = addresses.normal(typed) if "@" in typed else "".join(typed.split())
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        # Whoever asks to be forgotten means every way their address was written.
        found = list(Subscriber.objects.filter(address__iexact=address))
        if not found:
            raise CommandError("Nobody is subscribed with this address.")
        if not options["yes"] and input(f"Erase {address} for good? Type yes: ").strip() != "yes":
            raise CommandError("Nothing was erased.")
        for subscriber in found:
            subscriptions.erase(subscriber, by=None, at=timezone.now())
        self.stdout.write("Erased.")
        owned = Subscriber.objects.filter(endpoint__owner_email__iexact=address).values_list("address", flat=True)
        if owned:
            self.stdout.write(f"They also own, and should hand on or end: {', '.join(owned)}.")
