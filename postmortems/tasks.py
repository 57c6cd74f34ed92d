"""What the timetable starts on this floor. Every task may come late, twice or never (F13)."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from notifications import bell
from postmortems.credits import balances, comparing, dryrun, telling


@shared_task
def dry_run(pk: int) -> None:
    """Past months under other rules, chunk by chunk (R-1308)."""
    while dryrun.advance(pk, at=timezone.now()):
        pass


@shared_task
def go_on_with_dry_runs() -> None:
    """Begin dry runs whose bell nobody heard, and go on with those that stopped half-way."""
    for pk in dryrun.stranded(timezone.now()):
        dry_run(pk)


def ring_dry_run(pk: int) -> None:
    bell.ring(dry_run.name, pk)


@shared_task
def tell_billing() -> None:
    """Tell the billing system outside of months that were closed (R-905)."""
    telling.tell(timezone.now())


@shared_task
def post_to_stripe() -> None:
    """Bring exported credits into customers' balances, a few at a time until none is due (R-905)."""
    while balances.post(timezone.now()):
        pass


@shared_task
def compare_with_stripe() -> None:
    """Read back what Stripe booked for customers that were not looked at for longest (R-906)."""
    comparing.reconcile(timezone.now())
