"""What entries about people and links say, in words, for the timeline (R-204, R-212, R-213)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incidents.enums import Role, Tie
from incidents.repeats import INVERSE

NOBODY = "nobody"


def of(facts: Mapping[str, Any]) -> list[str]:
    """The facts of an entry as short phrases; none where they say nothing about people or other incidents."""
    return [*_people(facts), *_others(facts)]


def _people(facts: Mapping[str, Any]) -> list[str]:
    people = [str(name) for name in facts.get("people") or ()]
    if facts.get("role") in Role.values and len(people) == 2:
        return [f"{Role(facts['role']).label}: {people[0] or NOBODY} → {people[1] or NOBODY}"]
    told = [", ".join(people)] if people else []
    if facts.get("missed"):
        told.append(f"no address of {', '.join(map(str, facts['missed']))}")
    if "from" in facts and "to" in facts:
        told.append(f"{facts['from'] or NOBODY} → {facts['to'] or NOBODY}")
    return told


def _others(facts: Mapping[str, Any]) -> list[str]:
    told = []
    if facts.get("tie") in Tie.values:
        tie = Tie(facts["tie"])
        told.append(f"{INVERSE[tie]} {facts['by_other']}" if "by_other" in facts else f"{tie.label} {facts['other']}")
    if "into" in facts:
        told.append(f"into {facts['into']}")
    if "took" in facts:
        told.append(f"took over {facts['took']}")
    return told
