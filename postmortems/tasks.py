"""What the timetable starts on this floor. Every task may come late, twice or never (F13)."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from notifications import bell
from postmortems.credits import assessing, book
from postmortems.credits.batches import telling
from postmortems.credits.checking import recheck, reconcile
from postmortems.credits.rules import dryrun
from postmortems.credits.statements import correspondence
from postmortems.credits.stripe import balances, comparing


@shared_task
def assess_outstanding() -> None:
    """Find facts, contracts and rules that changed, and assess the months that they make out of date (R-903)."""
    assessing.sweep(timezone.now())


@shared_task
def refresh_estimates() -> None:
    """What credits come to while an incident still runs (R-1305)."""
    assessing.refresh(timezone.now())


@shared_task
def work_off_runs() -> None:
    """Assessments that somebody asked for, and those whose worker died half-way."""
    for pk in assessing.asked_for():
        assessing.work_off(pk, at=timezone.now())


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


@shared_task
def release_credits() -> None:
    """Approve what nobody stopped until its holding time was over (R-905)."""
    book.release(timezone.now())


@shared_task
def reconcile_credits() -> None:
    """Do the books of credits agree? What does not is logged as an error (R-906)."""
    reconcile.sweep(timezone.now())


@shared_task
def second_opinion() -> None:
    """Compute this month and the last a second way, once a day, and compare (reliability.md 5.3)."""
    recheck.nightly(timezone.now())


@shared_task
def write_about_credits() -> None:
    """Tell customers of credits that were applied (R-905)."""
    while correspondence.write(timezone.now()):
        pass
