"""Forms of the rules for service credits: everything on one form, wrong cells said where they stand (R-901)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from incidents.forms.base import line, words
from incidents.models import Policy
from postmortems.credits.rules import rulewords
from postmortems.credits.rules.dryrun import Whose
from postmortems.credits.rules.rulebooks import FIELDS
from postmortems.credits.rules.rulechecks import Finding, Rung, findings
from postmortems.enums import Measure
from postmortems.models import RulesError, RuleVersion, Tier

#: Empty rows that are offered beside what is there, and the most there can be.
SPARE, MOST = 2, 40
MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
#: Cells of a row by its measure: the field that takes the threshold, and what it is called.
THRESHOLD = {Measure.DURATION: ("longer_than", "longer than"), Measure.UPTIME: ("below_percent", "below, %")}


class RuleForm(forms.Form):
    """Errors stand at their field; the cursor goes to the first."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("use_required_attribute", False)
        super().__init__(*args, **options)

    def refuse(self, name: str, words: str) -> None:
        """Say why an act refused it, at its field."""
        self.add_error(name if name in self.fields else None, words)


class BookForm(RuleForm):
    """A new book of rules."""

    name = line("Name", longest=80, error_messages={"required": "Give the rules a name."})
    policy = forms.ModelChoiceField(
        Policy.objects.order_by("name"), required=False, empty_label="None: agreed with single customers"
    )
    plan = line("Plan", longest=60, required=False)


def percentage(typed: str, places: int) -> Decimal:
    """``12.5``, ``12,5 %`` → 12.5. Raises ValidationError: no number, 0, more than 100, too many places."""
    text = typed.strip().removesuffix("%").strip().replace(",", ".")
    try:
        if not re.fullmatch(r"[0-9.]{1,12}", text):
            raise InvalidOperation
        value = Decimal(text)
    except InvalidOperation:
        raise ValidationError(f"“{typed.strip()[:20]}” is no percentage. Write it like 10 or 2.5.") from None
    if not 0 < value <= 100:
        raise ValidationError("It is more than 0 % and at most 100 %.")
    if value != round(value, places):
        raise ValidationError(f"At most {places} decimal places.")
    return value


@dataclass(frozen=True)
class Row:
    """A tier as the form shows it; ``said``: findings by cell."""

    measure: Measure
    rank: forms.BoundField
    threshold: forms.BoundField
    percent: forms.BoundField
    said: Mapping[str, list[Finding]]

    @property
    def for_rank(self) -> list[Finding]:
        return self.said.get("rank", [])

    @property
    def for_threshold(self) -> list[Finding]:
        return self.said.get(THRESHOLD[self.measure][0], [])

    @property
    def for_percent(self) -> list[Finding]:
        return self.said.get("percent", [])


class DraftForm(RuleForm):
    """All that a draft says. A row without threshold and credit is left out.

    ``tiers`` of a valid form are unsaved rows. ``findings`` are of what is typed, or of what is saved.
    """

    remark = words("Why it differs from the version before", rows=2, longest=1000, required=False)
    cap_percent = line("Cap, % of the month's fee", longest=12)
    notice_days = forms.IntegerField(
        label="Maintenance is excluded when announced, days before", min_value=0, max_value=90, widget=forms.TextInput
    )
    hold_hours = forms.IntegerField(
        label="Approves by itself after, hours", required=False, min_value=0, max_value=2160, widget=forms.TextInput
    )
    second_above = forms.DecimalField(
        label="Second approver above",
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=2,
        widget=forms.TextInput,
    )

    def __init__(
        self, data: Any = None, *, version: RuleVersion, saved: Sequence[Tier], ladder: Sequence[Rung]
    ) -> None:
        self.version, self.ladder = version, ladder
        self.saved = rulewords.ordered(saved)
        self.tiers: list[Tier] = []
        super().__init__(data, initial={name: _shown(getattr(version, name)) for name in ("remark", *FIELDS)})
        for name in rulewords.CHOICES:
            self.fields[name] = forms.ChoiceField(
                label=rulewords.label(name), choices=rulewords.options(name), widget=forms.RadioSelect
            )
        self.counts = {measure: self._count(measure) for measure in Measure}
        for measure in Measure:
            self._add_cells(measure)

    # --- rows ---

    def _count(self, measure: Measure) -> int:
        there = sum(tier.measure == measure for tier in self.saved)
        if not self.is_bound:
            return there + (SPARE if measure == Measure.DURATION or not there else 1)
        sent = str(self.data.get(f"{measure}-rows", ""))
        count = int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 4 else there
        more = SPARE if "_more" in self.data else 0
        return min(count + more, MOST)

    def _add_cells(self, measure: Measure) -> None:
        there = [tier for tier in self.saved if tier.measure == measure]
        names = self._names()
        for place in range(self.counts[measure]):
            tier = there[place] if place < len(there) else None
            name, label = THRESHOLD[measure]
            row = f"{'Outage' if measure == Measure.DURATION else 'Uptime'} tier {place + 1}"
            prefix = f"{measure}-{place}"
            self.fields[f"{prefix}-rank"] = forms.ChoiceField(
                label=f"{row}, severity or worse", choices=names, initial=str(tier.rank if tier else 1)
            )
            self.fields[f"{prefix}-{name}"] = line(
                f"{row}, {label}", longest=40, required=False, initial=_threshold(tier) if tier else ""
            )
            self.fields[f"{prefix}-percent"] = line(
                f"{row}, credit in %", longest=20, required=False, initial=_shown(tier.percent) if tier else ""
            )

    def _names(self) -> list[tuple[str, str]]:
        codes = self._codes()
        return [(str(rank), codes.get(rank) or f"Rank {rank}") for rank in (1, 2, 3, 4)]

    def _codes(self) -> dict[int, str]:
        """What the policy in force calls each rank; what the draft called it where no policy says."""
        known = {tier.rank: tier.code for tier in self.saved if tier.code}
        for rank in (1, 2, 3, 4):
            if codes := list(dict.fromkeys(rung.code for rung in self.ladder if rung.rank == rank)):
                known[rank] = " / ".join(codes)[:20]
        return known

    # --- what is typed ---

    def clean_cap_percent(self) -> Decimal:
        return percentage(self.cleaned_data["cap_percent"], 2)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self.tiers = [tier for measure in Measure for tier in self._read(measure)]
        if not self.errors:
            self._refuse_twins()
        return cleaned

    def _read(self, measure: Measure) -> Iterator[Tier]:
        name, _ = THRESHOLD[measure]
        codes = self._codes()
        for place in range(self.counts[measure]):
            prefix = f"{measure}-{place}"
            typed, credit = (self.cleaned_data.get(f"{prefix}-{cell}", "") for cell in (name, "percent"))
            if not typed and not credit:
                continue
            threshold = self._cell(f"{prefix}-{name}", typed, measure)
            percent = self._cell(f"{prefix}-percent", credit, None)
            rank = int(self.cleaned_data.get(f"{prefix}-rank") or 0)
            if threshold is None or percent is None or not rank:
                continue
            tier = Tier(measure=measure, rank=rank, code=codes.get(rank, ""), percent=percent)
            setattr(tier, "below_percent" if measure == Measure.UPTIME else "longer_than_seconds", threshold)
            tier.row = prefix  # type: ignore[attr-defined]  # where it was typed
            yield tier

    def _cell(self, name: str, typed: str, measure: Measure | None) -> Any:
        if name in self.errors:
            return None
        if not typed:
            self.add_error(name, "Fill this, or empty the whole row.")
            return None
        try:
            if measure == Measure.DURATION:
                return rulewords.seconds(typed)
            return percentage(typed, 2 if measure is None else 3)
        except (RulesError, ValidationError) as error:
            self.add_error(name, error if isinstance(error, ValidationError) else str(error))
            return None

    def _refuse_twins(self) -> None:
        seen: set[tuple[object, ...]] = set()
        for tier in self.tiers:
            key = (tier.measure, tier.rank, tier.longer_than_seconds, tier.below_percent)
            if key in seen:
                name = f"{tier.row}-{THRESHOLD[Measure(tier.measure)][0]}"  # type: ignore[attr-defined]
                self.add_error(name, f"“{rulewords.passes(tier)}” stands here twice.")
            seen.add(key)

    @property
    def said(self) -> dict[str, Any]:
        """Remark and explicit fields of a valid form."""
        return {name: self.cleaned_data[name] for name in ("remark", *FIELDS)}

    # --- what is shown ---

    def _found(self) -> list[tuple[str, Finding]]:
        """Findings with the row they are of; of what is typed where all of it could be read."""
        if not self.is_bound:
            rows = [f"{measure}-{place}" for measure in Measure
                    for place, _ in enumerate(tier for tier in self.saved if tier.measure == measure)]  # fmt: skip
            found = findings(self.version, self.saved, self.ladder)
        elif self.errors:
            return []
        else:
            rows = [tier.row for tier in self.tiers]  # type: ignore[attr-defined]
            typed = RuleVersion(**{name: self.cleaned_data[name] for name in FIELDS})
            found = findings(typed, self.tiers, self.ladder)
        return [("" if one.tier is None else rows[one.tier], one) for one in found]

    @property
    def general(self) -> list[Finding]:
        """Findings of no row."""
        return [finding for row, finding in self._found() if not row]

    @property
    def flaws(self) -> int:
        """How many findings keep it from being put in force."""
        return sum(finding.is_error for _, finding in self._found())

    @property
    def rows(self) -> list[tuple[Measure, str, list[Row]]]:
        by_row: dict[str, dict[str, list[Finding]]] = {}
        for row, finding in self._found():
            by_row.setdefault(row, {}).setdefault(finding.field, []).append(finding)
        return [
            (
                measure,
                THRESHOLD[measure][1],
                [self._row(measure, f"{measure}-{place}", by_row) for place in range(self.counts[measure])],
            )
            for measure in Measure
        ]

    def _row(self, measure: Measure, prefix: str, said: Mapping[str, Mapping[str, list[Finding]]]) -> Row:
        rank, threshold, percent = (self[f"{prefix}-{cell}"] for cell in ("rank", THRESHOLD[measure][0], "percent"))
        return Row(measure, rank, threshold, percent, said.get(prefix, {}))

    @property
    def choices(self) -> list[tuple[forms.BoundField, list[tuple[str, str, str, bool]]]]:
        """Each explicit choice: (value, label, what it means, whether it is chosen)."""
        return [
            (
                self[name],
                [
                    (value, label, rulewords.MEANINGS[name][value], str(self[name].value()) == value)
                    for value, label in rulewords.options(name)
                ],
            )
            for name in rulewords.CHOICES
        ]

    @property
    def numbers(self) -> list[tuple[forms.BoundField, str]]:
        return [(self[name], NUMBER_HINTS[name]) for name in rulewords.NUMBERS]


NUMBER_HINTS = {
    "cap_percent": "All credits of a month together are never more than this.",
    "notice_days": "Maintenance announced later than this counts as downtime. 0: any announcement before it began.",
    "hold_hours": "Finance can stop it until then. Blank: a person approves each credit.",
    "second_above": "In the contract's currency. Blank: only reversals and what lowers a credit need a second person.",
}


class ForceForm(RuleForm):
    """From when a version holds; cleans to ``applies_from``: the first of a month, or None for all."""

    EVER, MONTH = "ever", "month"

    start = forms.ChoiceField(label="It is for", choices=((MONTH, "Months from"), (EVER, "All months")))
    month = line("First month", longest=7, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("start") == self.MONTH and "month" not in self.errors:
            try:
                cleaned["applies_from"] = month_of(cleaned.get("month", ""))
            except ValidationError as error:
                self.add_error("month", error)
        else:
            cleaned["applies_from"] = None
        return cleaned


def month_of(typed: str) -> date:
    """The first of ``2026-12``. Raises ValidationError."""
    match = MONTH.fullmatch(typed.strip())
    if not match:
        raise ValidationError("Write the month like 2026-12.")
    return date(int(match[1]), int(match[2]), 1)


if TYPE_CHECKING:
    VersionChoice = forms.ModelChoiceField[RuleVersion]
else:
    VersionChoice = forms.ModelChoiceField


class VersionField(VersionChoice):
    """A version by its name; a draft says that it is one."""

    def label_from_instance(self, version: Any) -> str:
        return f"{version}, draft" if version.is_draft else str(version)


class DryRunForm(RuleForm):
    """Which rules, which months, which contracts; cleans ``rules`` to a version, months to their first day."""

    first_month = line("From", longest=7)
    last_month = line("To", longest=7)
    whose = forms.ChoiceField(label="Contracts", choices=Whose.choices, initial=Whose.ALL)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["rules"] = VersionField(
            RuleVersion.objects.select_related("book").order_by("book__name", "-number"),
            label="Rules to try",
            empty_label=None,
            error_messages={"invalid_choice": "There are no such rules.", "required": "Choose the rules to try."},
        )
        self.order_fields(["rules"])

    def clean_first_month(self) -> date:
        return month_of(self.cleaned_data["first_month"])

    def clean_last_month(self) -> date:
        return month_of(self.cleaned_data["last_month"])


def _threshold(tier: Tier) -> str:
    if tier.measure == Measure.UPTIME:
        return rulewords.number(tier.below_percent)
    return rulewords.length(tier.longer_than_seconds or 0)


def _shown(value: object) -> object:
    return rulewords.number(value) if isinstance(value, Decimal) else value
