"""Do the books agree? Nine set-based questions that must all find nothing (R-906, reliability.md 2.1, A8).

Nothing is changed and nothing is mended: what is found is shown to finance, and logged as an error.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, Sum

from notifications.dialects import rows as fetched
from postmortems.credits.arithmetic.money import Money
from postmortems.enums import STANDING, Account, CreditKind, CreditState, Deed, RunKind
from postmortems.models import Batch, ContractMonth, Credit, CreditDeed, Posting, Run

log = logging.getLogger(__name__)

#: So many rows of a finding are named.
EXAMPLES = 20
#: A month is assessed again within this time; billing applies what it was handed within that.
STALE, UNAPPLIED = timedelta(minutes=10), timedelta(days=14)
#: How old a kept answer may be before it is no answer: three beats.
RECENT = timedelta(minutes=15)


@dataclass(frozen=True)
class Finding:
    """What one question found. ``rows`` name some of it in words, ``number`` says how many there are in all."""

    rule: str
    words: str
    remedy: str
    number: int
    rows: tuple[str, ...]
    is_warning: bool = False


@dataclass(frozen=True)
class Report:
    """``findings`` are only what is wrong; warnings alone leave it clean."""

    at: datetime
    findings: tuple[Finding, ...] = ()
    credits: int = 0
    batches: int = 0

    @property
    def is_clean(self) -> bool:
        return all(finding.is_warning for finding in self.findings)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.is_warning]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_warning]

    def as_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "is_clean": self.is_clean,
            "credits": self.credits,
            "batches": self.batches,
            "findings": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def of(cls, content: dict[str, Any]) -> Report:
        findings = tuple(Finding(**{**one, "rows": tuple(one["rows"])}) for one in content["findings"])
        return cls(datetime.fromisoformat(content["at"]), findings, content["credits"], content["batches"])


def check(at: datetime) -> Report:
    """Ask every question now. Eleven queries and one for each batch, whatever the data."""
    findings = []
    for rule in RULES:
        number, rows = rule.look(at)
        if number:
            findings.append(Finding(rule.name, rule.words, rule.remedy, number, tuple(rows), rule.is_warning))
    return Report(at, tuple(findings), Credit.objects.count(), Batch.objects.count())


def sweep(at: datetime) -> Report:
    """Ask, keep the answer, and log an error for everything that is wrong. Safe to run late or twice."""
    report = check(at)
    for finding in report.errors:
        log.error("The books of credits do not agree. %s: %s.", finding.words, "; ".join(finding.rows))
    Run.objects.update_or_create(
        kind=RunKind.LEDGER,
        defaults={"asked_at": at, "started_at": at, "finished_at": at, "result": report.as_json()},
    )
    return report


def latest(at: datetime) -> Report:
    """The last answer, where it is recent; otherwise asked now. For screens: one query as a rule."""
    kept = Run.objects.filter(kind=RunKind.LEDGER, finished_at__gt=at - RECENT).first()
    return Report.of(kept.result) if kept else check(at)


# --- credits against postings ----------------------------------------------------------

Found = tuple[int, Sequence[str]]
#: Signed by its accounts: what a step moved of a credit.
_STEPS = (
    (Account.EXPENSE, Account.OWED, STANDING),
    (Account.OWED, Account.BILLING, (CreditState.EXPORTED, CreditState.APPLIED)),
    (Account.BILLING, Account.INVOICED, (CreditState.APPLIED,)),
)


def _postings(at: datetime) -> Found:
    """Each credit: every step of its state is posted, of its amount and to its month; nothing else is."""
    moved, unlike = [], []
    for debit, against, states in _STEPS:
        signed = (
            f"SUM(CASE WHEN debit = '{debit}' AND against = '{against}' THEN amount_minor"
            f" WHEN debit = '{against}' AND against = '{debit}' THEN -amount_minor ELSE 0 END) AS {debit}"
        )
        moved.append(signed)
        listed = ", ".join(f"'{state}'" for state in states)
        unlike.append(f"COALESCE(p.{debit}, 0) <> CASE WHEN c.state IN ({listed}) THEN c.amount_minor ELSE 0 END")
    steps = "CASE c.state WHEN 'approved' THEN 1 WHEN 'exported' THEN 2 WHEN 'applied' THEN 3 ELSE 0 END"
    sql = f"""
        SELECT c.id FROM {Credit._meta.db_table} c LEFT JOIN (
            SELECT credit_id, COUNT(*) AS number, {", ".join(moved)}, MIN(currency) AS lowest,
                MAX(currency) AS highest, MIN(contract_month_id) AS earliest, MAX(contract_month_id) AS latest
            FROM {Posting._meta.db_table} GROUP BY credit_id
        ) p ON p.credit_id = c.id
        WHERE {" OR ".join(unlike)} OR COALESCE(p.number, 0) <> {steps}
            OR p.lowest <> c.currency OR p.highest <> c.currency
            OR p.earliest <> c.contract_month_id OR p.latest <> c.contract_month_id
        ORDER BY c.id"""  # noqa: S608 -- names of tables and states are ours
    wrong = [pk for (pk,) in fetched(sql, [])]
    return len(wrong), _named(wrong)


def _controls(at: datetime) -> Found:
    """Each month and currency: what is owed is approved and not exported; what billing has is not yet applied."""
    posted = (
        f"CASE WHEN against = '{one}' THEN amount_minor WHEN debit = '{one}' THEN -amount_minor ELSE 0 END AS {one}"
        for one in Account
    )
    told = (_RESTING[account] for account in Account)
    sql = f"""
        SELECT contract_month_id, currency, {", ".join(f"SUM({one})" for one in Account)} FROM (
            SELECT contract_month_id, currency, {", ".join(posted)} FROM {Posting._meta.db_table}
            UNION ALL
            SELECT contract_month_id, currency, {", ".join(told)} FROM {Credit._meta.db_table}
            WHERE state IN ({", ".join(f"'{state}'" for state in STANDING)})
        ) AS moved GROUP BY 1, 2 HAVING {" OR ".join(f"SUM({one}) <> 0" for one in Account)}"""  # noqa: S608 -- as below
    wrong = sorted(
        (month, currency, account.value, int(amount))
        for month, currency, *amounts in fetched(sql, [])
        for account, amount in zip(Account, amounts, strict=True)
        if amount
    )
    names = _months({month for month, *_ in wrong[:EXAMPLES]})
    return len(wrong), [
        f"{names[month]}: {Account(account).label} is off by {Money(amount, currency)}"
        for month, currency, account, amount in wrong[:EXAMPLES]
    ]


#: What a credit that stands says of each account: where its money lies by its state, and what it cost.
_RESTING = {
    Account.EXPENSE: "amount_minor",
    Account.OWED: "CASE state WHEN 'approved' THEN -amount_minor ELSE 0 END",
    Account.BILLING: "CASE state WHEN 'exported' THEN -amount_minor ELSE 0 END",
    Account.INVOICED: "CASE state WHEN 'applied' THEN -amount_minor ELSE 0 END",
}


def _negative(at: datetime) -> Found:
    """No month gives less than nothing."""
    sums = Credit.objects.filter(state__in=STANDING).order_by().values_list("contract_month_id", "currency")
    wrong = list(sums.annotate(amount=Sum("amount_minor")).filter(amount__lt=0).order_by("contract_month_id"))
    names = _months({month for month, *_ in wrong[:EXAMPLES]})
    return len(wrong), [f"{names[month]}: {Money(amount, currency)}" for month, currency, amount in wrong[:EXAMPLES]]


def _currencies(at: datetime) -> Found:
    return _credits(Credit.objects.exclude(currency=F("contract_month__contract__currency")))


def _unapproved(at: datetime) -> Found:
    """What stands was approved by a person who may, by two where it takes two, or by itself."""
    by_itself = CreditDeed.objects.filter(credit=OuterRef("pk"), deed=Deed.BY_ITSELF)
    alone = Q(approved_by__isnull=True) & (Q(needs_second=True) | ~Q(Exists(by_itself)))
    second = Q(needs_second=True, first_by__isnull=True)
    own = Q(proposed_by__isnull=False, proposed_by=F("approved_by")) | Q(
        first_by__isnull=False, proposed_by=F("first_by")
    )
    undated = Q(approved_at__isnull=True)
    return _credits(Credit.objects.filter(state__in=STANDING).filter(alone | second | own | undated))


def _reversed(at: datetime) -> Found:
    """A credit is reversed once, whole, and only while it stands."""
    undoing = Credit.objects.filter(kind=CreditKind.REVERSAL, state__in=STANDING)
    unlike = undoing.filter(
        ~Q(amount_minor=-F("reverses__amount_minor"))
        | ~Q(reverses__state__in=STANDING)
        | ~Q(contract_month=F("reverses__contract_month"))
    )
    twice = undoing.order_by().values("reverses").annotate(number=Count("pk")).filter(number__gt=1)
    return _credits(Credit.objects.filter(Q(pk__in=unlike.values("pk")) | Q(pk__in=twice.values("reverses"))))


# --- batches ---------------------------------------------------------------------------


def _batches(at: datetime) -> Found:
    """Each batch: as many credits and as much as it says; its file is the one that its hash names."""
    sums: dict[int, dict[str, int]] = {}
    numbers: Counter[int] = Counter()
    rows = Credit.objects.filter(batch__isnull=False).order_by().values_list("batch_id", "currency")
    for batch, currency, amount, number in rows.annotate(Sum("amount_minor"), Count("pk")):
        sums.setdefault(batch, {})[currency] = amount
        numbers[batch] += number
    wrong = []
    for pk, name, count, totals, digest in Batch.objects.order_by("pk").values_list(
        "pk", "number", "count", "totals", "digest"
    ):
        if (numbers[pk], sums.get(pk, {})) != (count, totals):
            wrong.append(f"{name}: its credits are not what it says it holds")
        if _digest(pk) != digest:
            wrong.append(f"{name}: its file is not the one that was written")
    return len(wrong), wrong[:EXAMPLES]


def _digest(batch: int) -> str:
    """One file at a time: they are large."""
    return hashlib.sha256(bytes(Batch.objects.values_list("json", flat=True).get(pk=batch))).hexdigest()


# --- what takes too long ---------------------------------------------------------------


def _stale(at: datetime) -> Found:
    late = ContractMonth.objects.filter(stale_since__lte=at - STALE).order_by("stale_since", "pk")
    wrong = list(late.values_list("pk", flat=True))
    return len(wrong), list(_months(wrong[:EXAMPLES]).values())


def _unapplied(at: datetime) -> Found:
    return _credits(Credit.objects.filter(state=CreditState.EXPORTED, batch__closed_at__lte=at - UNAPPLIED))


# --- words -----------------------------------------------------------------------------


def _credits(credits: Any) -> Found:
    """A few of the credits by name."""
    wrong = list(credits.order_by("pk").values_list("pk", flat=True))
    return len(wrong), _named(wrong)


def _named(ids: Sequence[int]) -> list[str]:
    if not ids:
        return []
    rows = Credit.objects.filter(pk__in=ids[:EXAMPLES]).select_related("contract_month__contract").order_by("pk")
    return [
        f"{credit.key} ({credit.get_state_display().lower()}, {Money(credit.amount_minor, credit.currency)})"
        for credit in rows
    ]


def _months(ids: Collection[int]) -> dict[int, str]:
    if not ids:
        return {}
    rows = ContractMonth.objects.filter(pk__in=ids).select_related("contract").order_by("pk")
    return {month.pk: str(month) for month in rows}


@dataclass(frozen=True)
class Rule:
    """``words`` name what would be wrong, ``remedy`` what a person does about it."""

    name: str
    words: str
    remedy: str
    look: Callable[[datetime], Found]
    is_warning: bool = False


_ENGINEER = "Close no month before this is understood; tell whoever runs Heliograph."
RULES = (
    Rule("controls", "Control accounts do not come to what the credits say", _ENGINEER, _controls),
    Rule("postings", "Credits whose postings do not match their state", _ENGINEER, _postings),
    Rule("currencies", "Credits in another currency than their contract", _ENGINEER, _currencies),
    Rule("negative", "Months in which more was taken back than given", _ENGINEER, _negative),
    Rule("approvals", "Credits that stand without the approvals they need", _ENGINEER, _unapproved),
    Rule("reversals", "Credits that are reversed twice, or not as a whole", _ENGINEER, _reversed),
    Rule("batches", "Batches that differ from the ledger or from their files", _ENGINEER, _batches),
    Rule(
        "stale",
        "Months that have waited for their assessment for more than 10 minutes",
        "See that the worker runs; it assesses them by itself.",
        _stale,
    ),
    Rule(
        "unapplied",
        "Credits that were exported more than 14 days ago and are not applied",
        "Ask billing, and write down which invoice took them.",
        _unapplied,
        is_warning=True,
    ),
)
