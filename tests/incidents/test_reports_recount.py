"""The report of obligations against the rows counted one by one in plain Python (R-303)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents import reports
from incidents.enums import UNCOUNTED, DutyKind, State
from incidents.models import Incident, Obligation
from tests import scene

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
#: Hours before and after midnight at the end of February, to the hour: edges of the month are met.
HOURS = st.integers(-60, 60)
ROW = st.tuples(st.integers(0, 3), HOURS, st.sampled_from(["met", "dropped", "waived", "open"]), st.integers(-3, 3))


def fate(row: Obligation) -> str:
    """What became of one, told by its own words; empty: nothing to count."""
    assert row.limit_at is not None
    if row.kept is not None:
        return "kept" if row.kept else "broken"
    if row.dropped_at:
        return "waived" if row.waived_by_id else ""
    return "broken" if row.limit_at < AT else "open"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ROW, max_size=12))
def test_r303_the_report_is_what_counting_row_by_row_gives(rows: list[tuple[int, int, str, int]]) -> None:
    Obligation.objects.all().delete()
    ann = scene.operator()
    levels = [scene.severity("P0", duties=[]), scene.severity("P1", 2, duties=[])]
    states = [State.RESOLVED, State.DECLARED, State.FALSE_ALARM, State.MERGED]
    kinds = list(DutyKind)
    left = dict.fromkeys(kinds[:12])
    into = Incident.objects.filter(reference="INC-2026-9999").first() or _incident("INC-2026-9999", levels[0])
    for place, ((which, hours, end, late), kind) in enumerate(zip(rows, left, strict=False)):
        reference = f"INC-2026-{which + 1:04d}"
        incident = Incident.objects.filter(reference=reference).first() or _incident(reference, levels[which % 2])
        merged = into if states[which] == State.MERGED else None
        Incident.objects.filter(pk=incident.pk).update(state=states[which], merged_into=merged)
        limit = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours)
        done = limit + timedelta(hours=late)
        Obligation.objects.create(
            incident=incident,
            kind=kind,
            opened_at=limit - timedelta(days=1),
            due_at=limit - timedelta(minutes=place),
            limit_at=limit,
            met_at=done if end == "met" else None,
            dropped_at=done if end in ("dropped", "waived") else None,
            waived_by=ann if end == "waived" else None,
        )
    counted: Counter[tuple[object, ...]] = Counter()
    lates: dict[tuple[object, ...], list[timedelta]] = {}
    for row in Obligation.objects.select_related("incident__severity"):
        assert row.incident is not None
        assert row.limit_at is not None
        if row.incident.state in UNCOUNTED or not fate(row):
            continue
        key = (row.limit_at.date().replace(day=1), row.incident.severity.code, row.kind)
        counted[*key, fate(row)] += 1
        if fate(row) == "broken":
            lates.setdefault(key, []).append((row.met_at or row.dropped_at or AT) - row.limit_at)
    report = reports.obligations(reports.period("2026-02", "2026-03", at=AT), at=AT)
    found = {
        (line.month, line.severity, line.kind, name): getattr(line.tally, name)
        for line in report.lines
        for name in reports.COUNTS
        if getattr(line.tally, name)
    }
    assert found == dict(counted)
    middles = {(line.month, line.severity, line.kind): line.tally.median for line in report.lines if line.tally.broken}
    assert middles == {key: median(each) for key, each in lates.items()}
    total = Counter(name for *_, name in counted.elements())
    assert {name: getattr(report.total, name) for name in reports.COUNTS if total[name]} == dict(total)


def _incident(reference: str, severity: object) -> Incident:
    return Incident.objects.create(
        reference=reference,
        title="Trouble",
        severity=severity,
        brand=scene.brand(),
        started_at=AT,
        detected_at=AT,
        declared_at=AT,
    )
