"""What past months would have cost under other rules (R-1308). Computes and shows; no credit is ever written.

A dry run goes over the contracts whose months incidents touched, in chunks: each is one step that writes how far it
is, so that a run goes on where it stopped, and two workers never count a contract twice. Months that no incident
touched come to nothing; only rules by which every incident counts look at them, too. What runs still is left out,
as in an assessment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet, TextChoices

from postmortems.credits import facts
from postmortems.credits.arithmetic.assess import Result, assess
from postmortems.credits.arithmetic.case import Case, Rules, TierRule
from postmortems.credits.arithmetic.months import bounds, first, following, moment
from postmortems.credits.arithmetic.wording import explain
from postmortems.credits.facts.ruling import looked_up, names_of, plan_in
from postmortems.enums import RunKind, Scope
from postmortems.models import Contract, ContractMonth, RuleBook, RulesError, RuleVersion, Run

#: Contract months of one step, or a few more.
CHUNK = 1_500
LONGEST = 12
#: So many contract months are looked at while a person waits for the page.
GLANCE = 1_000
#: The largest differences that are kept of each currency, with their words.
LARGEST = 50
#: A step that says nothing for so long is taken up by another worker, so often.
SILENCE, TRIES = timedelta(minutes=2), 5


class Whose(TextChoices):
    """Which contracts are judged by the rules that are tried."""

    ALL = "all", "Every contract"
    BOOK = "book", "Those these rules are for"


@dataclass
class Tally:
    """A month in one currency, minor units: under the present rules and under those tried; contracts."""

    present: int = 0
    tried: int = 0
    contracts: int = 0
    more: int = 0
    less: int = 0

    @property
    def difference(self) -> int:
        return self.tried - self.present


@dataclass(frozen=True)
class Line:
    """One month of a contract that would have come to something else."""

    reference: str
    customer: str
    month: date
    currency: str
    present: int
    tried: int
    words: str

    @property
    def difference(self) -> int:
        return self.tried - self.present


# --- asking ------------------------------------------------------------------------------


def ask(
    version: RuleVersion, first_month: date, last_month: date, *, by: User | None, at: datetime, whose: str = Whose.ALL
) -> Run:
    """Ask what the months from the first to the last would have come to under a version, draft or in force.

    The rules are kept as they are now: a draft that is edited meanwhile changes nothing. Raises RulesError.
    """
    first_month, last_month = first(first_month), first(last_month)
    if first_month > last_month:
        raise RulesError("The last month comes before the first.")
    if last_month > first(at.date()):
        raise RulesError(f"{last_month:%B %Y} has not begun: nothing can be said about it.")
    if _count(first_month, last_month) > LONGEST:
        raise RulesError(f"A dry run looks at {LONGEST} months at most.")
    asked = _asked(version, first_month, last_month, Whose(whose))
    return Run.objects.create(kind=RunKind.DRY_RUN, asked=asked, asked_by=by, asked_at=at)


def glance(version: RuleVersion, month: date, *, at: datetime) -> list[tuple[str, Tally]] | None:
    """What one month of the contracts that the rules are for would come to; None: too many to look at at once."""
    month = first(month)
    chunk = list(ContractMonth.objects.filter(month=month).select_related("contract__customer")[: GLANCE + 1])
    if len(chunk) > GLANCE:
        return None
    found = _counted(_asked(version, month, month, Whose.BOOK), at, chunk, {})
    return totals(Run(result=found))


def _asked(version: RuleVersion, first_month: date, last_month: date, whose: Whose) -> dict[str, Any]:
    return {
        "rules": version.pk,
        "book": version.book_id,
        "label": str(version),
        "draft": version.is_draft,
        "said": asdict(facts.rules_of(version)),
        "from": f"{first_month:%Y-%m}",
        "to": f"{last_month:%Y-%m}",
        "whose": whose.value,
    }


def last_quarter(at: datetime) -> tuple[date, date]:
    """First and last month of the quarter before the one that ``at`` lies in."""
    begin = at.date().replace(month=(at.month - 1) // 3 * 3 + 1, day=1)
    last = first(begin - timedelta(days=1))
    return last.replace(month=last.month - 2), last


def months_of(run: Run) -> tuple[date, date]:
    """First and last month it was asked about."""
    return date.fromisoformat(f"{run.asked['from']}-01"), date.fromisoformat(f"{run.asked['to']}-01")


def _count(first_month: date, last_month: date) -> int:
    return (last_month.year - first_month.year) * 12 + last_month.month - first_month.month + 1


# --- working -----------------------------------------------------------------------------


def work(run: Run, *, at: datetime) -> Run:
    """The whole of it, step by step."""
    while advance(run.pk, at=at):
        pass
    run.refresh_from_db()
    return run


def advance(pk: int, *, at: datetime) -> bool:
    """The next chunk of a run; False when nothing is left to do, or another worker does it."""
    run = Run.objects.get(pk=pk)
    if run.finished_at:
        return False
    contracts = _contracts(run)
    if run.started_at is None:
        begun = Run.objects.filter(pk=pk, started_at=None)
        return bool(begun.update(started_at=at, total=contracts.count(), result={"beat": at.isoformat()}))
    size = max(1, CHUNK // _count(*months_of(run)))
    after = run.result.get("after", 0)
    chunk = list(contracts.filter(pk__gt=after).select_related("customer").order_by("pk")[:size])
    found = run.result | {"beat": at.isoformat()}
    if chunk:
        found |= _counted(run.asked, run.asked_at, _months(run, chunk), run.result) | {"after": chunk[-1].pk}
    is_last, done = len(chunk) < size, run.done + len(chunk)
    changes = {"finished_at": at, "total": done} if is_last else {}
    # Whoever was quicker has counted this chunk: what was found here is dropped.
    mine = Run.objects.filter(pk=pk, finished_at=None, done=run.done)
    return bool(mine.update(done=done, result=found, **changes)) and not is_last


def stranded(at: datetime) -> list[int]:
    """Runs that nobody has got on with lately: not begun, or stopped half-way. After five times it is given up."""
    return [run.pk for run in Run.objects.filter(kind=RunKind.DRY_RUN, finished_at=None) if _take_up(run, at)]


def _take_up(run: Run, at: datetime) -> bool:
    if run.started_at is None:
        return at - run.asked_at >= SILENCE
    tries = run.result.get("tries", 0)
    if at - datetime.fromisoformat(run.result["beat"]) < SILENCE:
        return False
    mine = Run.objects.filter(pk=run.pk, done=run.done, finished_at=None)
    if tries >= TRIES:
        words = f"It stopped {TRIES} times after {run.done:,} of {run.total:,} contracts. The log says why."
        mine.update(finished_at=at, failed=words)
        return False
    return bool(mine.update(result=run.result | {"beat": at.isoformat(), "tries": tries + 1}))


def _contracts(run: Run) -> QuerySet[Contract]:
    if rules_tried(run).scope == Scope.ANY:
        return Contract.objects.all()
    first_month, last_month = months_of(run)
    touched = ContractMonth.objects.filter(contract=OuterRef("pk"), month__range=(first_month, last_month))
    return Contract.objects.filter(Exists(touched))


def _months(run: Run, contracts: Sequence[Contract]) -> list[ContractMonth]:
    """Their months in order; those that no incident touched are not saved, and looked at where all incidents count."""
    span = months_of(run)
    by_pk = {contract.pk: contract for contract in contracts}
    there = {}
    for month in ContractMonth.objects.filter(contract__in=contracts, month__range=span):
        month.contract = by_pk[month.contract_id]
        there[month.contract_id, month.month] = month
    if rules_tried(run).scope == Scope.ANY:
        missing = [(one, day) for one in contracts for day in _each(*span) if (one.pk, day) not in there]
        there |= {(contract.pk, day): _unsaved(contract, day) for contract, day in missing}
    return [there[key] for key in sorted(there)]


def _unsaved(contract: Contract, month: date) -> ContractMonth:
    start, end = bounds(month, contract.zone, contract.billing_day)
    return ContractMonth(contract=contract, month=month, starts_at=moment(start), ends_at=moment(end))


def _each(first_month: date, last_month: date) -> Iterator[date]:
    while first_month <= last_month:
        yield first_month
        first_month = following(first_month)


def _counted(
    asked: Mapping[str, Any], at: datetime, chunk: Sequence[ContractMonth], result: Mapping[str, Any]
) -> dict[str, Any]:
    """The result so far with a chunk of months in it."""
    tried = _rules(asked["said"])
    tallies = {key: Tally(*values) for key, values in result.get("months", {}).items()}
    largest = {currency: list(lines) for currency, lines in result.get("largest", {}).items()}
    loaded = facts.load(chunk, at=at)
    judged = _Judged(asked, loaded)
    # By rules for which every incident counts, cases read outages that the others leave out.
    wider = facts.cases(chunk, at=at, rules=tried) if tried.scope == Scope.ANY else None
    for place, known in enumerate(loaded):
        case = wider[place][1] if wider else replace(known.case, rules=tried)
        _count_one(known.month, known.case, case if judged.by_tried(known) else None, tallies, largest)
    return {
        "months": {key: list(asdict(tally).values()) for key, tally in tallies.items()},
        "largest": largest,
    }


def _count_one(
    month: ContractMonth,
    case: Case,
    after: Case | None,
    tallies: dict[str, Tally],
    largest: dict[str, list[list[Any]]],
) -> None:
    """``after`` None: the rules that are tried are not for it."""
    present = _present(month, case)
    result = assess(after) if after else None
    tried = result.amount if result else present
    if not present and not tried:
        return
    tally = tallies.setdefault(f"{month.month:%Y-%m} {case.currency}", Tally())
    tally.present += present
    tally.tried += tried
    tally.contracts += 1
    tally.more += tried > present
    tally.less += tried < present
    difference = abs(tried - present)
    kept = largest.setdefault(case.currency, [])
    if not difference or not after or not result or (len(kept) == LARGEST and difference <= kept[-1][0]):
        return
    kept.append(
        [
            difference,
            month.contract.reference,
            month.contract.customer.name,
            f"{month.month:%Y-%m}",
            present,
            tried,
            _words(after, result),
        ]
    )
    kept.sort(key=lambda line: (-line[0], line[1], line[3]))
    del kept[LARGEST:]


def _present(month: ContractMonth, case: Case) -> int:
    """What it comes to by the present rules: as it was assessed, where nothing changed since."""
    if month.assessed_minor is not None and month.stale_since is None:
        return month.assessed_minor
    return assess(case).amount


def _words(case: Case, result: Result) -> str:
    """Why it would come to that, in a few sentences."""
    said = explain(case, result)
    lines = [str(sentence) for line in said["lines"] for sentence in line]
    words = " ".join([*lines, *(str(sentence) for sentence in said["total"])])
    return words if len(words) <= 600 else f"{words[:599]}…"


def _rules(said: Mapping[str, Any]) -> Rules:
    """Back from what was kept when it was asked."""
    return Rules(
        **{
            **said,
            "durations": tuple(TierRule(**tier) for tier in said["durations"]),
            "uptimes": tuple(TierRule(**tier) for tier in said["uptimes"]),
        }
    )


class _Judged:
    """Which months the tried rules are for. Two queries where a book's contracts are asked for, none otherwise."""

    def __init__(self, asked: Mapping[str, Any], loaded: Sequence[facts.Known]) -> None:
        self.all = asked["whose"] == Whose.ALL
        if self.all:
            return
        self.tried = names_of(RuleBook.objects.get(pk=asked["book"]))
        versions = RuleVersion.objects.filter(pk__in={known.version for known in loaded if known.version})
        self.holding = {version.pk: names_of(version.book) for version in versions.select_related("book")}

    def by_tried(self, known: facts.Known) -> bool:
        if self.all:
            return True
        case, present = known.case, self.holding.get(known.version or 0, set())
        for name in looked_up(known.month.contract, plan_in(case.terms, case.start, case.end)):
            if name in self.tried:
                return True
            if name in present:
                return False
        return False


# --- reading -----------------------------------------------------------------------------


def tallies(run: Run) -> Iterator[tuple[date, str, Tally]]:
    """Months in order, each currency by itself."""
    for key, values in sorted(run.result.get("months", {}).items()):
        month, currency = key.split()
        yield date.fromisoformat(f"{month}-01"), currency, Tally(*values)


def totals(run: Run) -> list[tuple[str, Tally]]:
    """All months together, by currency."""
    sums: dict[str, Tally] = {}
    for _, currency, tally in tallies(run):
        known = sums.setdefault(currency, Tally())
        known.present += tally.present
        known.tried += tally.tried
        known.contracts += tally.contracts
        known.more += tally.more
        known.less += tally.less
    return sorted(sums.items())


def largest(run: Run) -> list[Line]:
    """The largest differences, each currency by itself: amounts of different currencies do not compare."""
    return [
        Line(reference, customer, date.fromisoformat(f"{month}-01"), currency, present, tried, words)
        for currency, lines in sorted(run.result.get("largest", {}).items())
        for _, reference, customer, month, present, tried, words in lines
    ]


def rules_tried(run: Run) -> Rules:
    """The rules as they were when it was asked."""
    return _rules(run.asked["said"])
