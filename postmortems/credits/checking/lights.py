"""The red light: whether the books are right, in words, for finance's first page (R-906, R-1308). Few queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from postmortems.credits.finance import overview
from postmortems.credits.stripe.troubles import Troubles, troubles
from postmortems.enums import RunKind
from postmortems.models import Run

from . import reconcile

#: Reconciled every five minutes; an answer this old is none.
LONG_AGO = timedelta(hours=1)
#: Said by a light of its own.
_APART = "stale"
#: So many rows of a finding are named here.
NAMED = 3
#: So many differences from Stripe's books are named.
FINDINGS = 5
#: A second opinion is made every night.
UNASKED = timedelta(hours=36)


@dataclass(frozen=True)
class Light:
    """One thing that must be right. ``level``: a colour of the console; ``found``: what is wrong, in sentences."""

    title: str
    level: str
    words: str
    found: tuple[str, ...] = ()


def standing(at: datetime) -> list[Light]:
    """All of them, in the order in which they matter."""
    return [light for light in (_books(at), _current(at), _second_opinion(at), _stripe()) if light]


def kept(at: datetime) -> Light:
    """The worst of them, without looking at the books anew; for pages that are opened all the time. Eight queries."""
    books = _kept_books(at)
    found = [light for light in (books, _current(at), _second_opinion(at), _stripe()) if light]
    worst = (light for level in ("red", "yellow") for light in found if light.level == level)
    return next(worst, books)


def _kept_books(at: datetime) -> Light:
    """The last answer about the books. One query."""
    run = Run.objects.filter(kind=RunKind.LEDGER, finished_at__isnull=False).first()
    if run is None or run.finished_at is None:
        return Light("Books not looked at yet", "grey", "The worker does so every few minutes.")
    if run.finished_at < at - LONG_AGO:
        return Light("Books not looked at any more", "red", "The worker does so every few minutes: is it running?")
    return _told_of(reconcile.Report.of(run.result))


def _books(at: datetime) -> Light:
    """The last reconciliation: is what credits say what the ledger says? One query while it is recent."""
    return _told_of(reconcile.latest(at))


def _told_of(report: reconcile.Report) -> Light:
    errors = [finding for finding in report.errors if finding.rule != _APART]
    title, when = "Books agree", f"{report.at:%Y-%m-%d %H:%M} UTC"
    counted = f"{report.credits:,} credit{'s' if report.credits != 1 else ''}"
    counted += f" and {report.batches:,} batch{'es' if report.batches != 1 else ''}"
    found = tuple(_finding(finding) for finding in [*errors, *report.warnings])
    if errors:
        return Light("Books do not agree", "red", f"Looked at {counted}, {when}.", found)
    words = f"{counted} agree with the ledger and their files, {when}."
    return Light(title, "yellow" if found else "green", words[0].upper() + words[1:], found)


def _finding(finding: reconcile.Finding) -> str:
    more = f" and {finding.number - NAMED:,} more" if finding.number > NAMED else ""
    return f"{finding.words}: {'; '.join(finding.rows[:NAMED])}{more}. {finding.remedy}"


def _current(at: datetime) -> Light:
    """Whether what changed was assessed again. One query."""
    number, since = overview.stale()
    title = "Assessed as known now"
    if not number or since is None:
        return Light(title, "green", "Every month was assessed after its facts, contract and rules last changed.")
    words = f"{number:,} contract month{'s' if number > 1 else ''} changed and wait for the worker."
    if since > at - reconcile.STALE:
        return Light(title, "blue", words)
    minutes = int((at - since).total_seconds()) // 60
    return Light(title, "red", words, (f"The oldest waits for {minutes:,} minutes: is the worker running?",))


def _second_opinion(at: datetime) -> Light:
    """What the other implementation said. One query."""
    title, run = "Second opinion", overview.last_recheck()
    if run is None or run.finished_at is None:
        return Light(title, "grey", "No second computation was made yet.")
    when = f"{run.finished_at:%Y-%m-%d %H:%M} UTC"
    if run.failed:
        return Light(title, "red", f"The last one stopped, {when}.", (run.failed,))
    if reason := run.result.get("unavailable"):
        return Light(title, "grey", str(reason))
    if differ := int(run.result.get("differ", 0)):
        return Light(
            title, "red", f"{differ:,} of {run.done:,} months come to something else, {when}.", _told(run.result)
        )
    level = "green" if run.finished_at > at - UNASKED else "yellow"
    return Light(title, level, f"{run.done:,} months computed by another way came to the same, {when}.")


def _told(result: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(one) for one in result.get("found", ())[:5])


def _stripe() -> Light | None:
    """What keeps credits from Stripe, and where its books differ; nothing where all is well. Stripe is not asked."""
    found = troubles()
    if not found:
        return None
    words = " ".join(_stripe_words(found))
    told = (
        *([f"Nothing is posted to Stripe: {found.stopped}"] if found.stopped else ()),
        *(f"{credit.key}: {credit.stripe_error}" for credit in found.refused),
        *found.findings[:FINDINGS],
    )
    return Light("Stripe", "red" if found.stopped or found.number or found.findings else "yellow", words, told)


def _stripe_words(found: Troubles) -> Iterator[str]:
    if found.number:
        yield f"{found.number:,} credit{'s were' if found.number > 1 else ' was'} refused by Stripe."
    if found.late:
        yield f"{found.late:,} could not be posted yet and {'are' if found.late > 1 else 'is'} tried again by itself."
    if number := len(found.findings):
        yield f"Stripe’s books and ours differ in {number:,} place{'s' if number > 1 else ''}."
    if found.stopped:
        yield "Stripe does not take our key."
