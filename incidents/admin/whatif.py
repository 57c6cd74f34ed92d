"""What a change of severity would change besides the clocks, in words (R-109)."""

from __future__ import annotations

from incidents import clock
from incidents.models import Severity


def differences(old: Severity, new: Severity) -> list[tuple[str, str, str]]:
    """What else changes: who is told and paged, post-mortem, credits; (what, before, after)."""
    rows = [
        ("Public", old.get_publicity_display(), new.get_publicity_display()),
        ("Who is paged", old.paged or "nobody named", new.paged or "nobody named"),
        ("Who is told", old.told or "nobody named", new.told or "nobody named"),
        ("Post-mortem", _review(old), _review(new)),
        ("Enterprise customers mailed directly", _yes(old.direct_enterprise), _yes(new.direct_enterprise)),
        ("Banner in the product", _yes(old.banner), _yes(new.banner)),
        ("Counts for service credits", _yes(old.counts_for_credits), _yes(new.counts_for_credits)),
        ("Policy", str(old.version), str(new.version)),
    ]
    rows += [(f"Channel: {wire}", *settings) for wire, settings in sorted(_channels(old, new).items())]
    return [row for row in rows if row[1] != row[2]]


def _channels(old: Severity, new: Severity) -> dict[str, tuple[str, str]]:
    grids = [
        {
            f"{rule.get_wire_display()}, {rule.get_audience_display().lower()}": rule.get_setting_display()
            for rule in level.channel_rules.all()
        }
        for level in (old, new)
    ]
    return {cell: (grids[0].get(cell, "Off"), grids[1].get(cell, "Off")) for cell in {*grids[0], *grids[1]}}


def _review(level: Severity) -> str:
    duties = [duty for duty in level.duties.all() if duty.kind in clock.AFTERWARDS]
    said = [f"{duty.get_kind_display()}, {duty.get_condition_display()}" for duty in duties]
    return "; ".join(said) or "none owed"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
