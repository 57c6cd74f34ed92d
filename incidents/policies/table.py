"""A policy version as a table to read, like section 1 of the requirements: levels across duties, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from incidents import assistant
from incidents.enums import Audience, Condition, DutyKind, Publicity, Start, Unit, Wire
from incidents.models import Contradiction, Duty, PolicyVersion, Severity, SupportTarget

BLANK = "—"
COLUMNS = (
    "Respond within",
    "First public update",
    "Public cadence",
    "Internal cadence",
    "Resolve within",
    "Post-mortem",
    "Post-mortem also owed",
    "Escalate within",
    "Letters to Enterprise customers",
    "Action items",
    "Notice of maintenance",
)
#: Conditions that make a post-mortem owed beside what the level says (R-103).
ALSO = (Condition.LONG, Condition.SECURITY, Condition.REPEAT, Condition.ON_REQUEST)
SHORT = {Unit.MINUTES: "min", Unit.HOURS: "h", Unit.DAYS: "days", Unit.BUSINESS_DAYS: "business days"}
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Line:
    """A level with its cells, in the order of COLUMNS, and its row of the channel grid, in the order of ``wires``."""

    severity: Severity
    cells: tuple[str, ...]
    channels: tuple[tuple[tuple[str, str], ...], ...]
    #: Rules by which the severity assistant proposes it (R-110), in words.
    rules: tuple[str, ...] = ()

    @property
    def labelled(self) -> list[tuple[str, str]]:
        return list(zip(COLUMNS, self.cells, strict=True))

    @property
    def grid(self) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
        return [(wire.label, settings) for wire, settings in zip(Wire, self.channels, strict=True)]


@dataclass(frozen=True)
class Overview:
    """Everything a version says, ready to be shown. ``channels`` cells are (audience, setting) in words."""

    version: PolicyVersion
    lines: list[Line]
    wires: list[str]
    points: list[Contradiction]
    targets: list[tuple[str, str]]
    hours: str
    columns: tuple[str, ...] = COLUMNS

    @property
    def unconfirmed(self) -> int:
        return sum(point.confirmed_at is None for point in self.points)


def overview(version: PolicyVersion) -> Overview:
    """Read a version in six queries, whatever its size."""
    levels = version.severities.prefetch_related("duties", "channel_rules", "criteria")
    return Overview(
        version=version,
        lines=[Line(level, _cells(level), _channels(level), tuple(_rules(level))) for level in levels],
        wires=[wire.label for wire in Wire],
        points=list(version.contradictions.select_related("confirmed_by")),
        targets=[(target.priority, _within(target)) for target in version.support_targets.all()],
        hours=hours(version),
    )


def _rules(level: Severity) -> list[str]:
    return assistant.says(assistant.candidate(level))


def span(amount: int, unit: str, limit: int | None = None) -> str:
    """``15 min``, ``30–60 min``, ``1 h``, ``7 days``, ``next business day``."""
    if unit == Unit.BUSINESS_DAYS and amount == 1 and limit in (None, 1):
        return "next business day"
    word = SHORT[Unit(unit)]
    if limit is not None and limit != amount:
        return f"{amount}–{limit} {word}"
    return f"{amount} {word.removesuffix('s') if amount == 1 else word}"


def hours(version: PolicyVersion) -> str:
    """``Mon–Fri 09:00–17:00 UTC, public holidays of DE off``; days with gaps are listed."""
    chosen = sorted(int(day) for day in version.work_days.split(",") if day.strip() in set("0123456"))
    days = ", ".join(DAY_NAMES[day] for day in chosen)
    if len(chosen) > 2 and chosen == list(range(chosen[0], chosen[-1] + 1)):
        days = f"{DAY_NAMES[chosen[0]]}–{DAY_NAMES[chosen[-1]]}"
    off = f", public holidays of {version.holiday_country} off" if version.holiday_country else ", no public holidays"
    return f"{days} {version.work_start:%H:%M}–{version.work_end:%H:%M} {version.work_zone}{off}"


def differences(old: Overview, new: Overview) -> list[tuple[str, str, str, str]]:
    """What changes from ``old`` to ``new``: (level or part, what, before, after), in words."""
    before, after = _facts(old), _facts(new)
    return [
        (*key, before.get(key, BLANK), after.get(key, BLANK))
        for key in {**before, **after}
        if before.get(key, BLANK) != after.get(key, BLANK)
    ]


def _facts(seen: Overview) -> dict[tuple[str, str], str]:
    facts = {("Calendar", "Working hours"): seen.hours}
    facts |= {("Support", priority): words for priority, words in seen.targets}
    facts |= {("Point to confirm", point.subject): point.shipped for point in seen.points}
    for line in seen.lines:
        level = line.severity
        facts |= {(level.code, column): cell for column, cell in line.labelled}
        facts |= {(level.code, name): words for name, words in _level_facts(level)}
        facts[(level.code, "Proposed when")] = "; or ".join(line.rules) or BLANK
        for wire, settings in zip(seen.wires, line.channels, strict=True):
            facts[(level.code, wire)] = ", ".join(f"{who}: {setting}" for who, setting in settings) or BLANK
        for duty in level.duties.all():
            facts[(level.code, f"{duty.get_kind_display()}, {duty.get_condition_display()}")] = _fine_print(duty)
    return facts


def _level_facts(level: Severity) -> Iterator[tuple[str, str]]:
    yield "Label", level.label
    yield "Rank", str(level.rank)
    yield "Also called", ", ".join(level.aliases) or BLANK
    yield "Meaning", level.meaning
    yield "Examples", level.examples or BLANK
    yield "Told to the public", level.get_publicity_display()
    yield "Paged", level.paged or BLANK
    yield "Told", level.told or BLANK
    yield "Banner", _yes(level.banner)
    yield "Enterprise mailed directly", _yes(level.direct_enterprise)
    yield "Counts for credits", _yes(level.counts_for_credits)
    yield "Planned work", _yes(level.is_maintenance)


def _fine_print(duty: Duty) -> str:
    """What the cells leave out: moment, owner, audience, note."""
    parts = (f"from {duty.get_starts_from_display()}", duty.owner_role, duty.get_audience_display(), duty.note)
    return ", ".join(part for part in parts if part)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _cells(level: Severity) -> tuple[str, ...]:
    duties: dict[str, list[Duty]] = defaultdict(list)
    for duty in level.duties.all():
        duties[duty.kind].append(duty)
    reviews = duties[DutyKind.REVIEW_SCHEDULED] + duties[DutyKind.REVIEW_PUBLISHED]
    return (
        _words(duties[DutyKind.RESPOND]),
        _first(level, duties),
        _words(duties[DutyKind.PUBLIC_UPDATE]),
        _words(duties[DutyKind.INTERNAL_UPDATE]),
        _words(duties[DutyKind.RESOLVE]),
        _review(duty for duty in reviews if duty.condition not in ALSO) or ("never" if level.is_maintenance else BLANK),
        _review(duty for duty in reviews if duty.condition in ALSO) or BLANK,
        _words(duties[DutyKind.ESCALATE]),
        _words(duties[DutyKind.ENTERPRISE_LETTERS]),
        _review(duties[DutyKind.ACTION_REVIEW]) or BLANK,
        _notice(duties[DutyKind.MAINTENANCE_NOTICE]),
    )


def _first(level: Severity, duties: dict[str, list[Duty]]) -> str:
    """The first public update, or why there is none."""
    if duties[DutyKind.START_UPDATE] and duties[DutyKind.END_UPDATE]:
        return "at start and at end"
    silent = {
        Publicity.INTERNAL: "internal only",
        Publicity.NEVER: "none",
        Publicity.IF_VISIBLE: "only if customers can see it",
    }.get(Publicity(level.publicity), "")
    owed = _words(duties[DutyKind.FIRST_UPDATE])
    return ", ".join(part for part in (owed if owed != BLANK else "", silent) if part) or BLANK


def _words(duties: Iterable[Duty]) -> str:
    """One cell: the duty's time, with its condition where it has one."""
    return "; ".join(_time(duty) + _when(duty.condition) for duty in duties) or BLANK


def _notice(duties: Iterable[Duty]) -> str:
    """How long before its start a maintenance is announced."""
    spans = [span(duty.amount, duty.unit) for duty in duties if duty.amount is not None]
    return "; ".join(f"{words} before" for words in spans) or BLANK


def _time(duty: Duty) -> str:
    if duty.amount is None:
        return "as promised in each update" if duty.repeats else "owed, no date set"
    if duty.amount == 0 and not duty.limit:
        return {Start.ACKNOWLEDGED: "with the acknowledgement", Start.PLANNED_END: "planned end"}.get(
            Start(duty.starts_from), "immediately"
        )
    return span(duty.amount, duty.unit, duty.limit)


def _when(condition: str) -> str:
    return "" if condition == Condition.ALWAYS else f", {Condition(condition).label}"


def _review(duties: Iterable[Duty]) -> str:
    """Post-mortem duties, those of one deadline together: ``schedule ≤ 48 h, report ≤ 7 days, always``."""
    by_condition: dict[str, list[str]] = defaultdict(list)
    for duty in duties:
        parts = by_condition[duty.condition]
        if duty.amount is not None:
            parts.append(f"{_deed(duty)} ≤ {span(duty.amount, duty.unit, duty.limit)}, ")
    by_deadline: dict[str, list[str]] = defaultdict(list)
    for condition, parts in by_condition.items():
        by_deadline["".join(parts)].append(Condition(condition).label)
    return "; ".join(f"{parts}{' or '.join(conditions)}" for parts, conditions in by_deadline.items())


def _deed(duty: Duty) -> str:
    if duty.kind == DutyKind.REVIEW_SCHEDULED:
        return "schedule"
    if duty.kind == DutyKind.ACTION_REVIEW:
        return "reviewed"
    return "published" if duty.audience == Audience.PUBLIC else "report"


def _within(target: SupportTarget) -> str:
    return span(target.amount, target.unit)


def _channels(level: Severity) -> tuple[tuple[tuple[str, str], ...], ...]:
    rules: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for rule in level.channel_rules.all():
        rules[rule.wire].append((rule.get_audience_display(), rule.get_setting_display()))
    return tuple(tuple(rules[wire]) for wire in Wire)
