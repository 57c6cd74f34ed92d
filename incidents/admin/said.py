"""What entries about people, links and the assistant say, in words, for the timeline (R-110, R-204, R-212, R-213)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incidents import assistant
from incidents.enums import Fact, Role, Tie, Verb
from incidents.repeats import INVERSE

NOBODY = "nobody"


#: What it means for the people whom an entry names.
_WHY = {Verb.RESTRICTED: "May know", Verb.ADMITTED: "Let in", Verb.INFORMED: "Told"}


def of(facts: Mapping[str, Any], verb: str = "") -> list[str]:
    """The facts of an entry as short phrases; none where they say nothing about people, other incidents or advice."""
    return [*_people(facts, verb), *_others(facts), *_advice(facts.get("assistant") or {})]


def _people(facts: Mapping[str, Any], verb: str) -> list[str]:
    people = [str(name) for name in facts.get("people") or ()]
    if facts.get("role") in Role.values and len(people) == 2:
        return [f"{Role(facts['role']).label}: {people[0] or NOBODY} → {people[1] or NOBODY}"]
    why = f"{_WHY[Verb(verb)]}: " if verb in _WHY else ""
    told = [why + ", ".join(people)] if people else []
    if facts.get("missed"):
        told.append(f"no address of {', '.join(map(str, facts['missed']))}")
    if facts.get("withheld"):
        told.append("messages that had not left were held back; an update tells those people anew")
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


def _advice(said: Mapping[str, Any]) -> list[str]:
    """What the severity assistant was told, and what it proposed because of which rule."""
    if not said:
        return []
    known = said.get("facts") or {}
    told = [f"{fact.label}: {_shown(fact, known[fact.value]).lower()}" for fact in Fact if fact.value in known]
    rule = f", because {said['rule']}" if said.get("rule") else ""
    proposed = f"proposed {said['proposed']}{rule}" if said.get("proposed") else "proposed nothing"
    return [
        *told,
        f"The assistant {proposed}",
        *(str(said[name]).rstrip(".") for name in ("gap", "edge") if said.get(name)),
    ]


def _shown(fact: Fact, value: str) -> str:
    """In today's words; a word that is not in use any more as it was kept."""
    return assistant.VOCABULARY[fact].get(value, value) if fact in assistant.VOCABULARY else value
