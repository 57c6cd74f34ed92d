"""Keeping months up to date: what is marked is assessed again, and what follows is proposed (R-903).

Runs by the worker, late, twice or in two processes at once: months are locked, an assessment is written only
where it says something else than the one before, and a chunk is everything or nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import CharField, Q, Value

from incidents.models import Incident
from postmortems.credits import facts
from postmortems.credits.arithmetic.assess import ALGORITHM, Assessor, Result
from postmortems.credits.arithmetic.case import Case, Outage, digest
from postmortems.credits.arithmetic.months import moment
from postmortems.credits.arithmetic.wording import explain
from postmortems.credits.book import settling
from postmortems.enums import RunKind
from postmortems.models import Assessment, ContractMonth, OutageFacts, Run, Touch

from .looking import look
from .marking import mark_contracts, mark_incidents, mark_month, mark_months, mark_rules, mark_running

__all__ = [
    "asked_for",
    "assess_marked",
    "assess_month",
    "mark_contracts",
    "mark_incidents",
    "mark_rules",
    "name_of",
    "refresh",
    "sweep",
    "work_off",
]

log = logging.getLogger(__name__)

#: Months in one transaction.
CHUNK = 500
#: What an assessment writes to its month. The row is there: ``bulk_create`` only finds it.
_WRITTEN = ["starts_at", "ends_at", "stale_since", "assessed_minor", "estimate_minor", "is_running", "assessment"]


def sweep(at: datetime) -> int:
    """Find what changed, and assess every month that is out of date, the oldest mark first. How many were.

    A month that cannot be assessed stays marked and is logged; the others go on.
    """
    look(at)
    marked = ContractMonth.objects.filter(stale_since__isnull=False)
    keys = list(marked.order_by("stale_since", "month", "pk").values_list("pk", flat=True))
    done = 0
    for place in range(0, len(keys), CHUNK):
        chunk = keys[place : place + CHUNK]
        done += len(chunk) - len(assess_marked(chunk, at=at))
    return done


def refresh(at: datetime) -> int:
    """Estimates of what is running, as it stands now. How many differ from what was known."""
    running = facts.known(Incident.objects.open().values_list("pk", flat=True), at=at)
    grave = [one for one in running.values() if any(level.counts for level in one.severities)]
    if grave:
        mark_running(grave, at=at)
    keys = list(ContractMonth.objects.filter(is_running=True).order_by("month", "pk").values_list("pk", flat=True))
    changed = 0
    for place in range(0, len(keys), CHUNK):
        months = ContractMonth.objects.filter(pk__in=keys[place : place + CHUNK]).select_related("contract")
        changed += _refresh(list(months), at=at)
    return changed


def assess_marked(keys: Sequence[int], *, at: datetime, by: User | None = None, marked: bool = True) -> list[int]:
    """Assess these months; those that could not be, as ids. ``marked``: only those that are out of date.

    What fails is tried again by halves, so that one month never keeps the others back. Where the database itself
    fails, nothing can be done but later: that is raised.
    """
    try:
        _assess(keys, at=at, by=by, marked=marked)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(keys) == 1:
            log.exception("Contract month %s could not be assessed.", keys[0])
            return list(keys)
        half = len(keys) // 2
        first = assess_marked(keys[:half], at=at, by=by, marked=marked)
        return first + assess_marked(keys[half:], at=at, by=by, marked=marked)
    return []


# --- asked for by a person ---------------------------------------------------------------


def assess_month(month: date, *, by: User | None, at: datetime) -> Run:
    """Ask for the assessment of every contract's month; a worker does it (``work_off``). Asked twice is once."""
    asked = {"month": f"{month:%Y-%m}"}
    waiting = Run.objects.filter(kind=RunKind.ASSESS, asked=asked, asked_by=by, finished_at=None).first()
    return waiting or Run.objects.create(kind=RunKind.ASSESS, asked=asked, asked_by=by, asked_at=at)


def asked_for() -> list[int]:
    """Runs that are not finished, the oldest first."""
    runs = Run.objects.filter(kind=RunKind.ASSESS, finished_at=None).order_by("asked_at", "pk")
    return list(runs.values_list("pk", flat=True))


def work_off(run_id: int, *, at: datetime) -> None:
    """All that is left of a run. Each chunk is one transaction with the note how far it is: whoever takes it up
    again goes on behind the last one.
    """
    while _work_on(run_id, at=at):
        pass


@transaction.atomic
def _work_on(run_id: int, *, at: datetime) -> bool:
    """The next chunk; False: nothing is left, or somebody else is at it."""
    run = Run.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=run_id, finished_at=None).first()
    if run is None:
        return False
    month = date.fromisoformat(f"{run.asked['month']}-01")
    rows = ContractMonth.objects.filter(month=month).order_by("pk")
    if run.started_at is None:
        mark_month(month, at=at)
        run.started_at, run.total = at, rows.count()
    keys = list(rows.filter(pk__gt=run.result.get("after", 0)).values_list("pk", flat=True)[:CHUNK])
    failed = assess_marked(keys, at=at, by=run.asked_by, marked=False) if keys else []
    mark_months(failed, at=at)
    run.done += len(keys)
    run.result = {
        "after": keys[-1] if keys else run.result.get("after", 0),
        "failed": run.result.get("failed", 0) + len(failed),
    }
    if len(keys) < CHUNK:
        run.finished_at, run.total = at, run.done
        if count := run.result["failed"]:
            run.failed = f"{count} of {run.done} months could not be assessed. They stay marked; the log says why."
    run.save()
    return run.finished_at is None


def name_of(inputs: object, facts: object, content: object) -> str:
    """The digest of an assessment: of all that it keeps."""
    return digest([inputs, facts, content])


# --- one chunk ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """What a month comes to. ``case`` is as it is kept: without the moment of the look."""

    month: ContractMonth
    case: Case
    version: int | None
    result: Result
    estimate: int
    running: bool


@transaction.atomic
def _assess(keys: Sequence[int], *, at: datetime, by: User | None, marked: bool) -> None:
    """Lock, read, compute, write, propose. The same number of queries for one month as for five hundred."""
    wanted = Q(pk__in=keys, stale_since__isnull=False) if marked else Q(pk__in=keys)
    locked = ContractMonth.objects.select_for_update(skip_locked=marked, of=("self",)).filter(wanted)
    months = list(locked.select_related("contract").order_by("pk"))
    if not months:
        return
    steady = _Steady()
    found = [steady.come_to(one) for one in facts.load(months, at=at)]
    incidents = facts.incidents_of(one.case for one in found)
    kept = _keep_facts(found, incidents, at=at)
    assessments = _keep_assessments(found, kept, at=at, by=by)
    _touch(found, incidents)
    for one, assessment in zip(found, assessments, strict=True):
        month = one.month
        month.starts_at, month.ends_at = moment(one.case.start), moment(one.case.end)
        month.stale_since, month.assessment = None, assessment
        month.assessed_minor, month.estimate_minor = one.result.amount, one.estimate
        month.is_running = one.running
    _write(months)
    settling.settle([(one.month, assessment) for one, assessment in zip(found, assessments, strict=True)], at=at)


class _Steady:
    """Outages without the moment of the look, and what months come to by them; what is the same is done once."""

    def __init__(self) -> None:
        self._outages: dict[int, tuple[Outage, Outage]] = {}
        self._over, self._running = Assessor(), Assessor()

    def come_to(self, known: facts.Known) -> _Found:
        case = known.case
        running = any(outage.running for outage in case.outages)
        kept = replace(case, outages=tuple(self._outage(one) for one in case.outages)) if running else case
        result = self._over.assess(kept)
        estimate = self._running.assess(case, with_running=True).amount if running else result.amount
        return _Found(known.month, kept, known.version, result, estimate, running)

    def _outage(self, outage: Outage) -> Outage:
        # The one asked for is kept beside, so that no other can get its id.
        return self._outages.setdefault(id(outage), (outage, facts.open_ended(outage)))[1]


def _keep_facts(found: Iterable[_Found], incidents: dict[str, int], *, at: datetime) -> dict[int, int]:
    """Write down what was read of each outage, unless it is there. Ids by ``id`` of the outage. Three queries."""
    named = {id(outage): (digest(outage.as_json()), outage) for outage in _distinct(found)}
    digests = {name for name, _ in named.values()}
    there = _facts(digests)
    new = {name: outage for name, outage in named.values() if name not in there}
    if new:
        OutageFacts.objects.bulk_create(
            (
                OutageFacts(incident_id=incidents[one.reference], digest=name, content=one.as_json(), known_at=at)
                for name, one in sorted(new.items())
            ),
            ignore_conflicts=True,
        )
        there = _facts(digests)
    return {key: there[name] for key, (name, _) in named.items()}


def _distinct(found: Iterable[_Found]) -> Iterable[Outage]:
    return {id(outage): outage for one in found for outage in one.case.outages}.values()


def _facts(digests: Iterable[str]) -> dict[str, int]:
    return dict(OutageFacts.objects.filter(digest__in=digests).order_by().values_list("digest", "pk"))


def _keep_assessments(
    found: Sequence[_Found], kept: dict[int, int], *, at: datetime, by: User | None
) -> list[Assessment]:
    """The assessment of each month: the one there is, where it says just the same. Two queries."""
    present = Assessment.objects.defer("inputs", "facts", "content").in_bulk(
        [one.month.assessment_id for one in found if one.month.assessment_id]
    )
    new: dict[int, Assessment] = {}
    for one in found:
        before = present.get(one.month.assessment_id or 0)
        inputs = one.case.as_json(outages=False)
        content = one.result.as_json() | {"words": explain(one.case, one.result)}
        read = [kept[id(outage)] for outage in one.case.outages]
        name = name_of(inputs, read, content)
        if before is None or before.digest != name:
            new[one.month.pk] = Assessment(
                contract_month=one.month,
                number=before.number + 1 if before else 1,
                algorithm=ALGORITHM,
                rules_id=one.version,
                inputs=inputs,
                facts=read,
                content=content,
                amount_minor=one.result.amount,
                digest=name,
                made_at=at,
                asked_by=by,
            )
    _insert(new.values())
    return [new.get(one.month.pk) or present[one.month.assessment_id or 0] for one in found]


def _insert(assessments: Collection[Assessment]) -> None:
    """All of them at once; as rows, for as arrays every quote of the JSON would be escaped by hand (measured: half)."""
    names = [one.digest for one in assessments]
    for one, name in zip(assessments, names, strict=True):
        one.digest = Value(name, output_field=CharField())
    Assessment.objects.bulk_create(assessments)
    for one, name in zip(assessments, names, strict=True):
        one.digest = name


def _touch(found: Sequence[_Found], incidents: dict[str, int]) -> None:
    """Which incidents each month was assessed by. Three queries at most."""
    wanted = {(one.month.pk, incidents[outage.reference]) for one in found for outage in one.case.outages}
    rows = Touch.objects.filter(contract_month__in=[one.month.pk for one in found])
    there = {
        (month, incident): pk for pk, month, incident in rows.values_list("pk", "contract_month_id", "incident_id")
    }
    if gone := [pk for place, pk in there.items() if place not in wanted]:
        Touch.objects.filter(pk__in=gone).delete()
    if new := sorted(wanted - there.keys()):
        with connection.cursor() as cursor:
            cursor.execute(_TOUCHED[connection.vendor], [json.dumps(new)])


#: All of them as one value: with 20 incidents to a month, rows by the ORM were a quarter of the work (measured).
_INTO = "INSERT INTO postmortems_touch (contract_month_id, incident_id)"
_TOUCHED = {
    "postgresql": f"{_INTO} SELECT (one ->> 0)::bigint, (one ->> 1)::bigint"  # noqa: S608 -- words of ours
    " FROM jsonb_array_elements(%s::jsonb) AS one ON CONFLICT DO NOTHING",
    "sqlite": f"{_INTO} SELECT json_extract(one.value, '$[0]'), json_extract(one.value, '$[1]')"  # noqa: S608
    " FROM json_each(%s) AS one WHERE true ON CONFLICT DO NOTHING",
}


def _write(months: Sequence[ContractMonth]) -> None:
    """All of them in one statement."""
    ContractMonth.objects.bulk_create(
        (
            ContractMonth(
                contract_id=month.contract_id,
                month=month.month,
                **{name: getattr(month, name) for name in _WRITTEN},
            )
            for month in months
        ),
        update_conflicts=True,
        unique_fields=["contract", "month"],
        update_fields=_WRITTEN,
    )


def _refresh(months: Sequence[ContractMonth], *, at: datetime) -> int:
    changed, assessor = [], Assessor()
    for month, case in facts.cases(months, at=at):
        estimate = assessor.assess(case, with_running=True).amount
        if estimate != month.estimate_minor:
            month.estimate_minor = estimate
            changed.append(month)
    ContractMonth.objects.bulk_update(changed, ["estimate_minor"])
    return len(changed)
