"""Who says yes, no, or that the customer keeps it (R-904, R-1308).

Nobody approves what they asked for, what they proposed, or what is for an incident that they resolved; what
takes money back, or is above the limit of the rules, needs two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from incidents.enums import Verb
from incidents.models import TimelineEntry
from postmortems.credits.arithmetic.money import Money
from postmortems.credits.facts.cited import cited
from postmortems.enums import WAITING, CreditKind, CreditState, Deed
from postmortems.models import ContractMonth, Credit

from .limits import limits
from .moves import FOLLOWING, Outcome, balances, because, held, move, record
from .settling import settle_again

#: So many months are locked at a time when holding times are over.
CHUNK = 500
#: Why single credits are not returned, kept or stopped.
ASKS = "It asks for a decision: keep it, or take it back."
TAKES_NOTHING = "It takes nothing back: approve or return it."
HOLDS_NOTHING = "It has no holding time: a person has to approve it anyway."


@transaction.atomic
def approve(ids: Iterable[int], *, by: User, at: datetime) -> Outcome:
    """Say yes to each. What needs a second person waits for one after the first.

    An id is what the approver saw: its amount never changes, and one that was replaced is refused with what
    replaced it. Of a decision it means that money is taken back.
    """
    credits, outcome = held(ids), Outcome()
    judge = _Judge(credits, by=by, at=at)
    first: list[Credit] = []
    final: list[Credit] = []
    # Reversals first: what else was to be approved of their month may no longer be right then.
    for credit in sorted(credits, key=lambda one: one.kind != CreditKind.REVERSAL):
        if words := judge.objection(credit):
            outcome.refused.append((credit, words))
        elif credit.needs_second and credit.first_by_id is None:
            first.append(credit)
        else:
            final.append(credit)
            judge.count(credit)
    move(first, CreditState.SECOND, deed=Deed.APPROVED_FIRST, by=by, at=at, first_by=by, holds_until=None)
    _stand(final, deed=Deed.APPROVED, by=by, at=at)
    outcome.done = [*first, *final]
    return outcome


@transaction.atomic
def give_back(ids: Iterable[int], *, reason: str, by: User, at: datetime) -> Outcome:
    """Say no to each, and why. Nothing is proposed again until the month comes to something else."""
    reason = because(reason)
    outcome = _weighed(ids, lambda credit: ASKS if credit.state == CreditState.DECISION else "")
    move(outcome.done, CreditState.RETURNED, deed=Deed.RETURNED, by=by, at=at, reason=reason)
    _decided(credit.contract_month_id for credit in outcome.done if credit.kind in FOLLOWING)
    mark_stale((credit.contract_month_id for credit in outcome.done if credit.kind not in FOLLOWING), at=at)
    return outcome


@transaction.atomic
def keep(ids: Iterable[int], *, reason: str, by: User, at: datetime) -> Outcome:
    """Decide that the customer keeps what the newer assessment would take back, and why."""
    reason = because(reason)
    outcome = _weighed(ids, lambda credit: "" if _takes_back(credit) else TAKES_NOTHING)
    move(outcome.done, CreditState.KEPT, deed=Deed.KEPT, by=by, at=at, reason=reason)
    _decided(credit.contract_month_id for credit in outcome.done)
    return outcome


@transaction.atomic
def stop(ids: Iterable[int], *, reason: str, by: User, at: datetime) -> Outcome:
    """Stop holding times: a person has to approve these. Holds for what replaces them, too."""
    reason = because(reason)
    outcome = _weighed(ids, lambda credit: HOLDS_NOTHING if credit.holds_until is None else "")
    Credit.objects.filter(pk__in=[credit.pk for credit in outcome.done]).update(holds_until=None)
    for credit in outcome.done:
        credit.holds_until = None
    record(outcome.done, Deed.STOPPED, by=by, at=at, reason=reason)
    return outcome


def _weighed(ids: Iterable[int], objection: Callable[[Credit], str]) -> Outcome:
    """Those that wait and nothing is to be said against, locked; of the others what is."""
    credits, outcome = held(ids), Outcome()
    newer = _newer(credits)
    for credit in credits:
        words = objection(credit) if credit.state in WAITING else _settled(credit, newer)
        if words:
            outcome.refused.append((credit, words))
        else:
            outcome.done.append(credit)
    return outcome


def _takes_back(credit: Credit) -> bool:
    return credit.kind in FOLLOWING and credit.amount_minor < 0


def release(at: datetime) -> int:
    """Approve by itself what nobody stopped until its holding time was over (R-905); how many.

    Safe to run late, twice and beside itself. What is being worked on, and months whose facts are newer than
    their assessment, are left for the next time.
    """
    released, last = 0, 0
    while chunk := _released(last, at):
        last, number = chunk
        released += number
    return released


@transaction.atomic
def _released(after: int, at: datetime) -> tuple[int, int] | None:
    """The next months beyond this id: the last one's id, and how many credits; None: there are none."""
    over = Credit.objects.filter(
        state=CreditState.PROPOSED, holds_until__lte=at, needs_second=False, amount_minor__gt=0, kind__in=FOLLOWING
    )
    months = ContractMonth.objects.filter(pk__gt=after, stale_since=None)
    months = months.filter(Exists(over.filter(contract_month=OuterRef("pk")))).order_by("pk")[:CHUNK]
    locked = {
        month.pk: month for month in months.select_for_update(of=("self",), skip_locked=True).select_related("contract")
    }
    if not locked:
        return None
    credits = list(over.filter(contract_month__in=locked))
    for credit in credits:
        credit.contract_month = locked[credit.contract_month_id]
    _stand(credits, deed=Deed.BY_ITSELF, by=None, at=at)
    return max(locked), len(credits)


def _stand(credits: Sequence[Credit], *, deed: Deed, by: User | None, at: datetime) -> None:
    """They are owed from now on; what a person had decided about their months is done with."""
    move(credits, CreditState.APPROVED, deed=deed, by=by, at=at, approved_by=by, approved_at=at)
    ContractMonth.objects.filter(
        pk__in=[credit.contract_month_id for credit in credits if credit.kind in FOLLOWING]
    ).update(decided_minor=None)
    undone = [credit for credit in credits if credit.kind == CreditKind.REVERSAL]
    assessed = [credit.contract_month for credit in undone if credit.reverses and credit.reverses.kind in FOLLOWING]
    if assessed:
        # Who reverses a credit does not want the same proposed again.
        _decided(month.pk for month in assessed)
        for month in assessed:
            month.decided_minor = month.assessed_minor
        settle_again({month.pk: month for month in assessed}.values(), at=at)
    given = [credit.contract_month_id for credit in undone if credit.reverses and credit.reverses.kind not in FOLLOWING]
    mark_stale(given, at=at)


class _Judge:
    """Why somebody may not approve a credit. What it has to know is asked once for all of them."""

    def __init__(self, credits: Sequence[Credit], *, by: User, at: datetime) -> None:
        self.by = by
        self.newer = _newer(credits)
        self.resolved = _resolved(credits, by)
        self.balances = balances({credit.contract_month_id for credit in credits})
        # Credits of assessments keep within the cap by themselves.
        typed = [credit for credit in credits if credit.kind not in FOLLOWING and credit.amount_minor > 0]
        self.limits = limits([credit.contract_month for credit in typed], at=at)

    def objection(self, credit: Credit) -> str:
        """A sentence, or nothing."""
        return self._standing(credit) or self._person(credit) or self._amount(credit)

    def count(self, credit: Credit) -> None:
        """It stands from now on: what is judged after it has to fit beside it."""
        held = self.balances[credit.contract_month_id]
        source = credit.reverses or credit
        name = "assessed" if source.kind in FOLLOWING else "goodwill"
        self.balances[credit.contract_month_id] = replace(held, **{name: getattr(held, name) + credit.amount_minor})

    def _standing(self, credit: Credit) -> str:
        return "" if credit.state in WAITING else _settled(credit, self.newer)

    def _person(self, credit: Credit) -> str:
        return barred(credit, self.by, self.resolved.get(credit.assessment_id or 0, ()))

    def _amount(self, credit: Credit) -> str:
        month, stands = credit.contract_month, self.balances[credit.contract_month_id]
        if credit.kind in FOLLOWING:
            right = credit.amount_minor == (month.assessed_minor or 0) - stands.assessed
            return "" if right else "What stands of its month has changed: look at the month again."
        source = credit.reverses or credit
        part = stands.assessed if source.kind in FOLLOWING else stands.goodwill
        if part + credit.amount_minor < 0:
            return f"Only {Money(part, credit.currency)} stand: reverse what was taken back before."
        limit = self.limits.get(month.pk)
        if limit and credit.amount_minor > 0 and stands.total + credit.amount_minor > limit.minor:
            together = Money(stands.total + credit.amount_minor, credit.currency)
            return (
                f"With it the month would come to {together}, above its cap of {Money(limit.minor, credit.currency)}."
            )
        return ""


def barred(credit: Credit, by: User, resolved: Sequence[str]) -> str:
    """Why it takes somebody else to approve it; "": it does not. ``resolved``: those of its incidents ``by`` did."""
    if credit.proposed_by_id == by.pk:
        return "You proposed it: somebody else has to approve it."
    if credit.assessment and credit.assessment.asked_by_id == by.pk:
        return "You asked for the assessment that it comes from: somebody else has to approve it."
    if resolved:
        return f"You resolved {', '.join(resolved)}, which it is for: somebody else has to approve it."
    if credit.first_by_id == by.pk:
        return "You approved it already: it needs a second person."
    return ""


def _resolved(credits: Sequence[Credit], by: User) -> dict[int, list[str]]:
    """By assessment: references of the incidents in its lines that this person resolved."""
    mine = set(
        TimelineEntry.objects.filter(verb=Verb.RESOLVED, by=by).order_by().values_list("incident__reference", flat=True)
    )
    if not mine:
        return {}
    counted = cited({credit.assessment_id for credit in credits if credit.assessment_id})
    found = {pk: sorted(mine.intersection(references)) for pk, references in counted.items()}
    return {pk: hit for pk, hit in found.items() if hit}


def _newer(credits: Iterable[Credit]) -> dict[int, Credit]:
    """By superseded credit: what replaced it and was not replaced itself."""
    old = [credit for credit in credits if credit.state == CreditState.SUPERSEDED]
    if not old:
        return {}
    later = defaultdict(list)
    months = {credit.contract_month_id for credit in old}
    rows = Credit.objects.filter(contract_month__in=months, kind__in=FOLLOWING).exclude(state=CreditState.SUPERSEDED)
    for credit in rows.order_by("number"):
        later[credit.contract_month_id].append(credit)
    found = {}
    for credit in old:
        for one in later[credit.contract_month_id]:
            if one.number > credit.number:
                found[credit.pk] = one
                break
    return found


def _settled(credit: Credit, newer: Mapping[int, Credit]) -> str:
    """Why nothing is to be said about what waits no longer."""
    if credit.state == CreditState.SUPERSEDED:
        instead = newer.get(credit.pk)
        amount = Money(instead.amount_minor, instead.currency) if instead else "nothing"
        return f"A newer assessment replaced it: {amount} instead of {Money(credit.amount_minor, credit.currency)}."
    return _SETTLED[CreditState(credit.state)]


_SETTLED = {
    CreditState.APPROVED: "It is approved already.",
    CreditState.EXPORTED: "It was approved and exported already.",
    CreditState.APPLIED: "It was approved and applied already.",
    CreditState.RETURNED: "It was returned already.",
    CreditState.KEPT: "It was decided already that the customer keeps it.",
}


def _decided(months: Iterable[int]) -> None:
    """A person decided about what they come to now: nothing (more) is proposed until that changes."""
    ContractMonth.objects.filter(pk__in=set(months)).update(decided_minor=F("assessed_minor"))


def mark_stale(months: Iterable[int], *, at: datetime) -> None:
    """Goodwill takes room under the cap, and makes it: what is assessed has to follow."""
    ContractMonth.objects.filter(pk__in=set(months), stale_since=None).update(stale_since=at)
