"""Why a credit waits, and whether this person may do something about it, in words (R-904, R-1308)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from incidents.enums import Verb
from incidents.models import TimelineEntry
from postmortems.credits.arithmetic.money import Money, MoneyError, parse
from postmortems.credits.book import approving, settling
from postmortems.enums import WAITING, CreditKind, CreditState
from postmortems.models import Credit, Touch

APPROVE = "postmortems.approve_credit"
_HOUR = timedelta(hours=1)
_NO_RIGHT = "Approving takes a right that you do not have."


@dataclass(frozen=True)
class Why:
    """Why it waits, and why not for this person.

    ``words``: "" where it does not wait, or ``barred`` says it. ``barred``: why they may not approve it; "": they may.
    """

    words: str
    barred: str

    @property
    def aside(self) -> str:
        """Why not this person, where that says something about the credit; who never approves knows that already."""
        return "" if self.barred == _NO_RIGHT else self.barred


def of(credits: Sequence[Credit], *, by: User, at: datetime) -> dict[int, Why]:
    """Of each credit by its id. One query; ``assessment``, ``first_by`` and the contract month are loaded."""
    resolved = resolvers({reference for credit in credits for reference in incidents_of(credit)})
    return {credit.pk: _one(credit, by, resolved, at) for credit in credits}


def _one(credit: Credit, by: User, resolved: dict[str, set[int]], at: datetime) -> Why:
    said, against = words(credit, at), barred(credit, by, resolved)
    # Who approved it first is told so once, not by name and as “you”.
    is_own = credit.state == CreditState.SECOND and credit.first_by_id == by.pk and against not in ("", _NO_RIGHT)
    return Why("" if is_own else said, against)


def incidents_of(credit: Credit) -> list[str]:
    """References of the incidents it was computed from, in order, each once."""
    if credit.assessment is None:
        return []
    lines = credit.assessment.content.get("lines", ())
    return list(dict.fromkeys(reference for line in lines for reference in line["references"]))


def resolvers(references: Collection[str]) -> dict[str, set[int]]:
    """Who said of each incident that it is over, by its reference. One query, none where nothing is asked."""
    found: dict[str, set[int]] = defaultdict(set)
    if references:
        rows = TimelineEntry.objects.filter(incident__reference__in=references, verb=Verb.RESOLVED, by__isnull=False)
        for reference, person in rows.order_by().values_list("incident__reference", "by_id"):
            found[reference].add(person)
    return found


def words(credit: Credit, at: datetime) -> str:
    """``Approves by itself in 3 h unless somebody stops it.``"""
    if credit.state == CreditState.SECOND:
        name = (credit.first_by.get_full_name() or credit.first_by.username) if credit.first_by else "somebody"
        return f"{name} approved it: a second person has to."
    if credit.state == CreditState.DECISION:
        return f"Would lower what was approved by {Money(-credit.amount_minor, credit.currency)}: decide."
    if credit.state != CreditState.PROPOSED:
        return ""
    if credit.needs_second:
        return _needs_two(credit)
    if credit.holds_until is None:
        if _is_long_ago(credit):
            return f"Its month ended more than {settling.LONG_AGO.days} days before: a person decides."
        return "Raises what was approved: a person decides." if _raises(credit) else "A person approves it."
    if credit.holds_until <= at:
        return "Approves by itself any moment now."
    return f"Approves by itself in {_length(credit.holds_until - at)} unless somebody stops it."


def _needs_two(credit: Credit) -> str:
    if credit.kind == CreditKind.REVERSAL:
        return "A reversal: needs two people."
    if credit.amount_minor < 0:
        return "It lowers what was approved: needs two people."
    limit = credit.assessment.rules.second_above if credit.assessment and credit.assessment.rules else None
    if limit is None:
        return "Needs two people."
    try:
        shown = str(Money(parse(str(limit), credit.currency), credit.currency))
    except MoneyError:
        # A limit with more places than this currency has.
        shown = f"{limit} {credit.currency}"
    return f"Above {shown}: needs a second person."


def _raises(credit: Credit) -> bool:
    return credit.kind == CreditKind.CORRECTION and credit.amount_minor > 0


def _is_long_ago(credit: Credit) -> bool:
    """Its rules have a holding time, and it has none: its month was over for too long."""
    rules = credit.assessment.rules if credit.assessment else None
    return (
        rules is not None
        and rules.hold_hours is not None
        and settling.is_long_ago(credit.contract_month, credit.proposed_at)
    )


def barred(credit: Credit, by: User, resolved: dict[str, set[int]]) -> str:
    """Why ``by`` may not approve it; "" where they may."""
    if credit.state not in WAITING:
        return f"It is {credit.get_state_display().lower()}: nothing waits."
    if not by.has_perm(APPROVE):
        return _NO_RIGHT
    mine = sorted(reference for reference in incidents_of(credit) if by.pk in resolved.get(reference, ()))
    return approving.barred(credit, by, mine)


def barred_ids(by: User) -> list[int]:
    """Waiting credits that ``by`` may not approve because of what they resolved. Two queries.

    Few people of finance resolve incidents: the rows that are looked at are those their incidents touched.
    """
    touched = Touch.objects.filter(
        incident__in=TimelineEntry.objects.filter(verb=Verb.RESOLVED, by=by).values("incident"),
        contract_month__credits__state__in=WAITING,
    )
    rows: Iterable[Credit] = Credit.objects.waiting().filter(contract_month__in=touched.values("contract_month"))
    rows = list(rows.select_related("assessment").defer("assessment__inputs", "assessment__facts"))  # type: ignore[attr-defined]  # a queryset until here
    resolved = resolvers({reference for credit in rows for reference in incidents_of(credit)})
    return [
        credit.pk for credit in rows if any(by.pk in resolved.get(reference, ()) for reference in incidents_of(credit))
    ]


def _length(ahead: timedelta) -> str:
    """``3 h``, ``45 min``, ``2 d 4 h``: rounded up, so that nothing comes earlier than said."""
    minutes = -(-ahead // timedelta(minutes=1))
    if minutes < 60:
        return f"{minutes} min"
    hours = -(-ahead // _HOUR)
    if hours < 48:
        return f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"
