"""Every cell of the table of requirements.md, section 1, against the loaded presets (R-101, R-107).

The table is written here once more, as the requirements word it; what each wording means as rows is
written beside it by hand. Nothing is read from the preset files.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from django.db import transaction

from incidents import policies
from incidents.models import Severity

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
A, B, C, D, E = "public-status", "enterprise-sla", "consumer-app", "startup-sev", "platform-sev"


class Owed(NamedTuple):
    """A duty, as a cell of the table means it."""

    amount: int | None
    unit: str
    start: str = "declared"
    limit: int | None = None
    condition: str = "always"
    repeats: bool = False


def every(amount: int | None, unit: str = "minutes", limit: int | None = None, start: str = "last_update") -> Owed:
    return Owed(amount, unit, start, limit, repeats=True)


def after(amount: int | None, unit: str = "minutes", condition: str = "always") -> Owed:
    return Owed(amount, unit, "resolved", condition=condition)


NONE: dict[str, list[Owed]] = {}
WEEK = {"review_scheduled": [after(48, "hours")], "review_published": [after(7, "days")]}
HIT = "customers_hit"

# (preset, level) → the row: for each column its wording, what it means, and the words of the console's table.
Cell = tuple[str, dict[str, list[Owed]], str]
SILENT: Cell = ("—", NONE, "—")


def respond(wording: str, amount: int, unit: str, shown: str = "") -> Cell:
    return (wording, {"respond": [Owed(amount, unit)]}, shown or wording)


def first(wording: str, amount: int, unit: str = "minutes", start: str = "declared") -> Cell:
    return (wording, {"first_update": [Owed(amount, unit, start)]}, wording)


def public(wording: str, amount: int, unit: str = "minutes", limit: int | None = None) -> Cell:
    return (wording, {"public_update": [every(amount, unit, limit)]}, wording)


def internal(wording: str, amount: int, unit: str) -> Cell:
    return (wording, {"internal_update": [every(amount, unit, start="declared")]}, wording)


def resolve(wording: str, amount: int, unit: str, shown: str = "") -> Cell:
    return (wording, {"resolve": [Owed(amount, unit)]}, shown or wording)


def review(wording: str, means: dict[str, list[Owed]], shown: str = "") -> Cell:
    return (wording, means, shown or wording)


PROMISED: Cell = ("as promised", {"public_update": [every(None)]}, "as promised in each update")
COLUMNS = ("respond", "first", "public", "internal", "resolve", "review")
TABLE: dict[tuple[str, str], tuple[Cell, Cell, Cell, Cell, Cell, Cell]] = {
    (A, "major"): (
        respond("15 min", 15, "minutes"),
        first("15 min", 15),
        public("15 min", 15),
        SILENT,
        resolve("4 h", 4, "hours"),
        review("published ≤ 7 days, always", {"review_published": [after(7, "days")]}),
    ),
    (A, "minor"): (
        respond("30 min", 30, "minutes"),
        first("30 min", 30),
        public("30–60 min", 30, limit=60),
        SILENT,
        SILENT,
        review(
            "published ≤ 14 days, when impact is significant",
            {"review_published": [after(14, "days", "significant")]},
        ),
    ),
    (A, "maintenance"): (
        SILENT,
        (
            "at start and at end",
            {
                "start_update": [Owed(0, "minutes", "planned_start")],
                "end_update": [Owed(0, "minutes", "planned_end")],
            },
            "at start and at end",
        ),
        SILENT,
        SILENT,
        ("planned end", {"resolve": [Owed(0, "minutes", "planned_end")]}, "planned end"),
        review("never", NONE),
    ),
    (B, "P0"): (
        respond("15 min", 15, "minutes"),
        first("with the acknowledgement", 0, start="acknowledged"),
        public("30 min", 30),
        SILENT,
        resolve("4 h", 4, "hours"),
        review(
            "≤ 5 business days, always",
            {"review_published": [after(5, "business_days")]},
            "report ≤ 5 business days, always",
        ),
    ),
    (B, "P1"): (
        respond("1 h", 1, "hours"),
        SILENT,
        public("1 h", 1, "hours"),
        SILENT,
        resolve("8 h", 8, "hours"),
        review(
            "≤ 5 business days, always",
            {"review_published": [after(5, "business_days")]},
            "report ≤ 5 business days, always",
        ),
    ),
    (B, "P2"): (respond("4 h", 4, "hours"), SILENT, SILENT, SILENT, resolve("24 h", 24, "hours"), SILENT),
    (B, "P3"): (respond("24 h", 24, "hours"), SILENT, SILENT, SILENT, resolve("1 week", 7, "days", "7 days"), SILENT),
    (C, "P0"): (
        respond("15 min", 15, "minutes"),
        first("60 min", 60),
        public("1 h", 1, "hours"),
        internal("30 min", 30, "minutes"),
        resolve("4 h", 4, "hours"),
        review("schedule ≤ 48 h, report ≤ 1 week, always", WEEK, "schedule ≤ 48 h, report ≤ 7 days, always"),
    ),
    (C, "P1"): (
        respond("1 h", 1, "hours"),
        first("60 min", 60),
        public("1 h", 1, "hours"),
        internal("2 h", 2, "hours"),
        resolve("24 h", 24, "hours"),
        review(
            "as P0, when customers were hit",
            {"review_scheduled": [after(48, "hours", HIT)], "review_published": [after(7, "days", HIT)]},
            "schedule ≤ 48 h, report ≤ 7 days, when customers were hit",
        ),
    ),
    (C, "P2"): (respond("4 h", 4, "hours"), SILENT, SILENT, internal("2 h", 2, "hours"), SILENT, SILENT),
    (C, "P3"): (respond("24 h", 24, "hours"), SILENT, SILENT, internal("2 h", 2, "hours"), SILENT, SILENT),
    (D, "SEV1"): (
        respond("5 min", 5, "minutes"),
        first("15 min", 15),
        PROMISED,
        SILENT,
        SILENT,
        review("schedule ≤ 48 h", {"review_scheduled": [after(48, "hours")]}, "schedule ≤ 48 h, always"),
    ),
    (D, "SEV2"): (
        respond("15 min", 15, "minutes"),
        first("30 min", 30),
        PROMISED,
        SILENT,
        SILENT,
        review("schedule ≤ 48 h", {"review_scheduled": [after(48, "hours")]}, "schedule ≤ 48 h, always"),
    ),
    (D, "SEV3"): (respond("1 h", 1, "hours"), ("internal only", NONE, "internal only"), SILENT, SILENT, SILENT, SILENT),
    (D, "SEV4"): (
        respond("next business day", 1, "business_days"),
        ("none", NONE, "none"),
        SILENT,
        SILENT,
        SILENT,
        SILENT,
    ),
    (E, "SEV-1"): (
        respond("5 min", 5, "minutes"),
        first("immediately", 0),
        public("30 min", 30),
        SILENT,
        resolve("1 h (MTTR target)", 1, "hours", "1 h"),
        review("always", {"review_published": [after(None)]}),
    ),
    (E, "SEV-2"): (
        respond("15 min", 15, "minutes"),
        first("15 min", 15),
        public("30 min", 30),
        SILENT,
        resolve("1 h", 1, "hours"),
        review("always", {"review_published": [after(None)]}),
    ),
    (E, "SEV-3"): (
        respond("1 h", 1, "hours"),
        ("only if customers can see it", NONE, "only if customers can see it"),
        public("30 min", 30),
        SILENT,
        SILENT,
        SILENT,
    ),
    (E, "SEV-4"): (respond("4 h", 4, "hours"), ("none", NONE, "none"), SILENT, SILENT, SILENT, SILENT),
}

#: The column "meant for": what the definition must not lose.
MEANT_FOR = {
    (A, "major"): [
        "unavailable for more than 5 minutes",
        "lost or corrupted",
        "breached",
        "more than half of all users",
    ],
    (A, "minor"): ["degraded for less than 5 minutes", "in part", "not critical", "less than half of all users"],
    (A, "maintenance"): ["Planned work"],
    (B, "P0"): ["Everything is down", "lost or corrupted", "breach is in progress", "All customers"],
    (B, "P1"): ["major feature is down", "significantly degraded", "Many customers"],
    (B, "P2"): ["minor feature is down", "comes and goes", "One customer or a few"],
    (B, "P3"): ["cosmetic", "documentation", "labelled wrongly"],
    (C, "P0"): ["completely out", "breached"],
    (C, "P1"): ["major function is impaired"],
    (C, "P2"): ["minor function"],
    (C, "P3"): ["cosmetic", "something better"],
    (D, "SEV1"): ["Everything is down", "much data is lost", "All users"],
    (D, "SEV2"): ["significantly degraded", "critical feature is broken", "Many users"],
    (D, "SEV3"): ["slightly degraded", "not critical"],
    (D, "SEV4"): ["minor flaw", "way around it"],
    (E, "SEV-1"): ["Everything is down", "data is lost", "All users"],
    (E, "SEV-2"): ["significantly degraded", "critical feature"],
    (E, "SEV-3"): ["Limited", "way around it"],
    (E, "SEV-4"): ["cosmetic", "internal tool"],
}
KINDS = {
    "respond": ["respond"],
    "first": ["first_update", "start_update", "end_update"],
    "public": ["public_update"],
    "internal": ["internal_update"],
    "resolve": ["resolve"],
    "review": ["review_scheduled", "review_published"],
}
#: R-103's conditions are not the table's (tests/incidents/test_policies.py holds them).
BESIDE = ("long", "security", "repeat", "on_request")
CELLS = [
    pytest.param(level, number, id=f"{level[0]}-{level[1]}-{column}")
    for level in TABLE
    for number, column in enumerate(COLUMNS)
]
Seen = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def seen(django_db_setup: None, django_db_blocker: Any) -> Seen:
    """The presets as loaded: duties and words of every level, read once and rolled back."""
    with django_db_blocker.unblock(), transaction.atomic():
        policies.load_presets(at=AT)
        shown = {
            (slug, line.severity.code): line.cells[:6]
            for slug in (A, B, C, D, E)
            for line in policies.overview(
                Severity.objects.in_force().filter(version__policy__slug=slug)[0].version
            ).lines
        }
        found: Seen = {}
        for level in Severity.objects.in_force().prefetch_related("duties"):
            duties: dict[str, list[Owed]] = {}
            for duty in level.duties.all():
                if duty.condition not in BESIDE:
                    owed = Owed(duty.amount, duty.unit, duty.starts_from, duty.limit, duty.condition, duty.repeats)
                    duties.setdefault(duty.kind, []).append(owed)
            key = (level.version.policy.slug, level.code)
            found[key] = {"duties": duties, "shown": shown[key], "meaning": level.meaning, "rank": level.rank}
        transaction.set_rollback(True)
    return found


def test_r101_every_level_of_the_table_is_loaded_and_no_other(seen: Seen) -> None:
    assert set(seen) == set(TABLE) == set(MEANT_FOR)


@pytest.mark.parametrize(("level", "number"), CELLS)
def test_r101_r107_a_cell_of_the_table(seen: Seen, level: tuple[str, str], number: int) -> None:
    wording, means, _ = TABLE[level][number]
    loaded = seen[level]["duties"]
    kinds = KINDS[COLUMNS[number]]
    assert {kind: loaded[kind] for kind in kinds if kind in loaded} == means, wording


@pytest.mark.parametrize(("level", "number"), CELLS)
def test_r101_a_cell_reads_like_the_table(seen: Seen, level: tuple[str, str], number: int) -> None:
    _, _, shown = TABLE[level][number]
    assert seen[level]["shown"][number] == shown


@pytest.mark.parametrize("level", MEANT_FOR, ids="-".join)
def test_r101_the_definition_keeps_what_the_level_is_meant_for(seen: Seen, level: tuple[str, str]) -> None:
    meaning = seen[level]["meaning"].casefold()
    assert [words for words in MEANT_FOR[level] if words.casefold() not in meaning] == []


def test_r106_ranks_are_1_to_4_and_a_uses_1_and_3_beside_maintenance(seen: Seen) -> None:
    ranks = {slug: sorted(row["rank"] for (of, _), row in seen.items() if of == slug) for slug in (A, B, C, D, E)}
    assert ranks == {A: [1, 3, 4], B: [1, 2, 3, 4], C: [1, 2, 3, 4], D: [1, 2, 3, 4], E: [1, 2, 3, 4]}
