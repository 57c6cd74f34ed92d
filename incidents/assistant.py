"""The severity assistant: from facts to the level a policy means, and the rule that says so (R-110).

Pure. A policy's criteria are its only knowledge: what they do not read is not asked. The worst level
that matches wins. Where the facts fall between two levels, or sit exactly on a threshold, that is said
and nothing is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from incidents.enums import Comparison, Fact
from incidents.models import Criterion, Severity

#: Facts that are words, each from harmless to bad, with what they are called.
VOCABULARY: dict[Fact, dict[str, str]] = {
    Fact.FUNCTION: {
        "none": "Nothing that customers use",
        "cosmetic": "Looks or wording only",
        "minor": "A function that is not critical",
        "degraded": "Much is slow, or fails now and then",
        "major": "A major function",
        "critical": "A critical function",
        "all": "Everything is down",
    },
    Fact.DATA_LOSS: {"none": "No", "partial": "Some", "all": "Much or all"},
    Fact.BREACH: {"no": "No", "yes": "Yes"},
    Fact.WORKAROUND: {"yes": "Yes", "no": "No"},
    Fact.TENANTS: {"none": "None", "one": "One", "few": "A few", "many": "Many", "all": "All"},
}
#: Facts that are numbers: the largest that makes sense; the smallest is 0.
LARGEST: dict[Fact, int] = {Fact.SHARE: 100, Fact.MINUTES: 527_040, Fact.ERROR_RATE: 100, Fact.LATENCY: 10_000}
_SAID: dict[Fact, str] = {
    Fact.SHARE: "{} % of users are affected",
    Fact.MINUTES: "it has lasted {} minutes",
    Fact.ERROR_RATE: "{} % of requests fail",
    Fact.LATENCY: "responses take {} times as long as normal",
}
_NUMBER = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?")
#: How a word, and how a number, can be read.
OF_WORDS = (Comparison.IS, Comparison.AT_LEAST, Comparison.AT_MOST)
OF_NUMBERS = (Comparison.OVER, Comparison.AT_LEAST, Comparison.AT_MOST, Comparison.UNDER)
#: A fact as it was read: a number, or a word of its vocabulary.
Value = Decimal | str


class FactError(ValueError):
    """What was typed for a fact is none; the message is written for whoever typed it."""


@dataclass(frozen=True)
class Part:
    """One criterion. All parts of a rule must hold."""

    fact: Fact
    comparison: Comparison
    value: Value

    def holds(self, given: Value) -> bool:
        at, edge = _place(self.fact, given), _place(self.fact, self.value)
        return {
            Comparison.OVER: at > edge,
            Comparison.AT_LEAST: at >= edge,
            Comparison.AT_MOST: at <= edge,
            Comparison.UNDER: at < edge,
            Comparison.IS: at == edge,
        }[self.comparison]

    @property
    def words(self) -> str:
        """``more than 50 % of users are affected``, ``security breach: yes``."""
        if self.fact in _SAID:
            return _SAID[self.fact].format(f"{self.comparison.label} {shown(self.fact, self.value)}")
        more = {Comparison.AT_LEAST: " or worse", Comparison.AT_MOST: " or less"}.get(self.comparison, "")
        words = list(VOCABULARY[self.fact])
        ends = {Comparison.AT_LEAST: words[-1], Comparison.AT_MOST: words[0]}
        if ends.get(self.comparison) == self.value:
            more = ""
        return f"{self.fact.label.lower()}: {shown(self.fact, self.value).lower()}{more}"


Rule = tuple[Part, ...]


@dataclass(frozen=True)
class Candidate:
    """A level as the assistant knows it; ``rank`` 1 is the worst, ``name`` is what people read."""

    key: int
    name: str
    rank: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Proposal:
    """``level`` None: no level matches, and ``gap`` says which were nearest, or too little is known yet.

    ``rule``: the rule that matched. ``alternatives``: milder levels that match too. ``edge``: a value that sits
    exactly on a threshold. ``asked``: facts that are missing and could change the answer. ``unread``: facts
    that this policy does not judge by.
    """

    level: Candidate | None
    rule: str = ""
    alternatives: tuple[Candidate, ...] = ()
    gap: str = ""
    edge: str = ""
    asked: tuple[Fact, ...] = ()
    unread: tuple[Fact, ...] = ()


def candidate(severity: Severity) -> Candidate:
    """A level with its ``criteria``, which the caller has prefetched. A rule that cannot be read is left out."""
    rows: dict[int, list[Criterion]] = {}
    for row in sorted(severity.criteria.all(), key=lambda row: (row.rule, row.pk)):
        rows.setdefault(row.rule, []).append(row)
    rules: list[Rule] = []
    for parts in rows.values():
        with suppress(ValueError):
            rules.append(tuple(part(row) for row in parts))
    return Candidate(severity.pk, severity.short, severity.rank, tuple(rules))


def part(row: Criterion) -> Part:
    """Raises ``FactError`` when its value is none of its fact."""
    fact = Fact(row.fact)
    return Part(fact, Comparison(row.comparison), read(fact, row.value))


def read(fact: Fact, typed: object) -> Value:
    """What was typed, or sent as JSON, for a fact. Raises ``FactError``."""
    if isinstance(typed, bool) or not isinstance(typed, str | int | float | Decimal):
        raise FactError(_wanted(fact))
    text = str(typed).strip()
    if fact in VOCABULARY:
        word = text.casefold()
        if word not in VOCABULARY[fact]:
            raise FactError(_wanted(fact))
        return word
    if not _NUMBER.fullmatch(text):
        raise FactError(_wanted(fact))
    number = Decimal(text)
    if number > LARGEST[fact]:
        raise FactError(f"At most {LARGEST[fact]:,}.")
    return number.normalize()


def read_all(given: Mapping[Any, object]) -> tuple[dict[Fact, Value], dict[str, str]]:
    """(facts, errors by name) of what was sent; blanks are not known."""
    facts: dict[Fact, Value] = {}
    errors: dict[str, str] = {}
    for name, typed in given.items():
        if name not in Fact.values:
            errors[str(name)] = f"There is no such fact. Known are: {', '.join(Fact.values)}."
        elif typed not in (None, ""):
            try:
                facts[Fact(name)] = read(Fact(name), typed)
            except FactError as error:
                errors[str(name)] = str(error)
    return facts, errors


def shown(fact: Fact, value: Value) -> str:
    """A value in words: ``12.5``, ``A major function``."""
    return VOCABULARY[fact][str(value)] if fact in VOCABULARY else stored(value)


def stored(value: Value) -> str:
    """A value as a criterion keeps it, and as JSON has it."""
    return value if isinstance(value, str) else f"{value:f}"


def asks(levels: Iterable[Candidate]) -> tuple[Fact, ...]:
    """The facts that these levels are judged by, in the order they are asked."""
    wanted = {part.fact for level in levels for rule in level.rules for part in rule}
    return tuple(fact for fact in Fact if fact in wanted)


def says(level: Candidate) -> list[str]:
    """Its rules in words, one line each."""
    return [_all_of(rule) for rule in level.rules]


def propose(facts: Mapping[Fact, Value], levels: Iterable[Candidate]) -> Proposal:
    """The level these facts mean. The order of ``levels`` does not matter."""
    ranked = sorted(levels, key=lambda level: (level.rank, level.key))
    read_ = asks(ranked)
    matching = [level for level in ranked if _matched(level, facts)]
    found = matching[0] if matching else None
    worse = [level for level in ranked if found is None or level.rank < found.rank]
    rule = _matched(found, facts) if found else None
    return Proposal(
        level=found,
        rule=_all_of(rule) if rule else "",
        alternatives=tuple(matching[1:]),
        gap="" if found else _gap(facts, ranked),
        edge=_edge(facts, [*worse, *_just(found, facts)]),
        asked=tuple(fact for fact in read_ if fact in _open(facts, worse)),
        unread=tuple(fact for fact in Fact if fact in facts and fact not in read_),
    )


def _matched(level: Candidate, facts: Mapping[Fact, Value]) -> Rule | None:
    """The first of its rules that holds, by what is known."""
    return next((rule for rule in level.rules if _holds(rule, facts)), None)


def _holds(rule: Rule, facts: Mapping[Fact, Value]) -> bool:
    return all(one.fact in facts and one.holds(facts[one.fact]) for one in rule)


def _missed(rule: Rule, facts: Mapping[Fact, Value]) -> list[Part]:
    return [one for one in rule if one.fact in facts and not one.holds(facts[one.fact])]


def _open(facts: Mapping[Fact, Value], levels: Iterable[Candidate]) -> set[Fact]:
    """Missing facts of rules that may still turn out to hold."""
    rules = [rule for level in levels for rule in level.rules if not _missed(rule, facts)]
    return {one.fact for rule in rules for one in rule if one.fact not in facts}


def _gap(facts: Mapping[Fact, Value], levels: list[Candidate]) -> str:
    """Which levels were nearest, and what kept each away; empty while some level has not been asked about at all."""
    near = [(level, _nearest(level, facts)) for level in levels if level.rules]
    if not near or any(rule is None for _, rule in near):
        return ""
    said = [
        f"{level.name} would need that {_all_of(missed)} ({_here(missed, facts)})"
        for level, rule in near
        for missed in [tuple(_missed(rule or (), facts))]
    ]
    return f"These facts fall between the levels. {'; '.join(said)}."


def _nearest(level: Candidate, facts: Mapping[Fact, Value]) -> Rule | None:
    """Of its rules that do not hold the one that the fewest facts speak against, and the most for."""
    refuted = [rule for rule in level.rules if _missed(rule, facts)]

    def distance(rule: Rule) -> tuple[int, int, int]:
        known = sum(one.fact in facts for one in rule)
        missed = _missed(rule, facts)
        return sum(not _is_on(one, facts) for one in missed), len(missed), len(missed) - known

    return min(refuted, key=distance, default=None)


def _edge(facts: Mapping[Fact, Value], levels: Iterable[Candidate]) -> str:
    """Values that sit exactly on a threshold that decides something."""
    found: dict[Fact, list[str]] = {}
    for level in sorted(levels, key=lambda level: (level.rank, level.key)):
        for rule in level.rules:
            on = [one for one in rule if _is_on(one, facts)]
            if not on or any(one not in on for one in _missed(rule, facts)):
                continue
            for one in on:
                line = f"{level.name} is for {one.comparison.label} {shown(one.fact, one.value)}"
                if line not in found.setdefault(one.fact, []):
                    found[one.fact].append(line)
    sentences = [
        f"{fact.label}: {shown(fact, facts[fact])} is exactly on the edge. {', '.join(lines)}."
        for fact, lines in found.items()
    ]
    return " ".join(sentences)


def _just(found: Candidate | None, facts: Mapping[Fact, Value]) -> list[Candidate]:
    """The level that was found, if it only just is: each of its rules that holds has a value on the edge."""
    held = [rule for rule in found.rules if _holds(rule, facts)] if found else []
    just = all(any(_is_on(one, facts) for one in rule) for rule in held)
    return [replace(found, rules=tuple(held))] if found and just else []


def _is_on(one: Part, facts: Mapping[Fact, Value]) -> bool:
    return one.fact in LARGEST and one.comparison != Comparison.IS and facts.get(one.fact) == one.value


def _all_of(rule: Rule) -> str:
    return " and ".join(one.words for one in rule)


def _here(rule: Rule, facts: Mapping[Fact, Value]) -> str:
    """What is the case instead: ``here: 40``."""
    return f"here: {', '.join(shown(one.fact, facts[one.fact]).lower() for one in rule)}"


def _place(fact: Fact, value: Value) -> Decimal:
    """Where a value stands: the number itself, or how far down its vocabulary."""
    return value if isinstance(value, Decimal) else Decimal(list(VOCABULARY[fact]).index(value))


def _wanted(fact: Fact) -> str:
    if fact in VOCABULARY:
        return f"Say one of: {', '.join(VOCABULARY[fact])}."
    return "Write a number such as 40 or 12.5, without a unit."
