"""What people type for a severity: ``P0``, ``SEV1``, ``sev 1``, ``Critical``, ``2`` (R-106)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from incidents.models import Policy, Severity

_BETWEEN = re.compile(r"[\s_\-\u00ad\u2010-\u2015\u2212]+")


class SeverityError(ValueError):
    """The text names no level, or several. ``candidates`` are the levels it could mean."""

    def __init__(self, words: str, candidates: Sequence[Severity] = ()) -> None:
        super().__init__(words)
        self.candidates = tuple(candidates)


def plain(text: str) -> str:
    """As spellings are compared: case, spaces, dashes and underscores do not matter."""
    return _BETWEEN.sub("", text).casefold()


def spellings(severity: Severity) -> set[str]:
    """Everything that means this level inside its policy: code, label and aliases, plainly spelled."""
    return {plain(text) for text in (severity.code, severity.label, *severity.aliases)}


def parse(text: str, policy: Policy | None = None) -> Severity:
    """The level in force that ``text`` means, of ``policy`` or, without one, of all policies. One query.

    With a policy a bare number is its rank, 1 for the worst: ``2`` and ``P2`` are different ranks.
    Raises SeverityError with words for the operator.
    """
    typed = text.strip()
    if not typed:
        raise SeverityError("Name a severity.")
    levels = Severity.objects.in_force()
    if policy is not None:
        levels = levels.filter(version__policy=policy)
    if re.fullmatch("[0-9]+", typed):
        return _by_rank(typed, policy, list(levels))
    found = [level for level in levels if plain(typed) in spellings(level)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SeverityError(
            f"“{typed}” means {_either(found)}. Name the policy as well.",
            found,
        )
    raise _no_level(typed, policy, list(levels))


def _by_rank(typed: str, policy: Policy | None, levels: list[Severity]) -> Severity:
    if policy is None:
        raise SeverityError(
            f"“{typed}” is only a number, and policies count differently. Name the policy as well, or write a code "
            "such as P1 or SEV-1."
        )
    for level in levels:
        if str(level.rank) == typed.lstrip("0") and not level.is_maintenance:
            return level
    raise _no_level(typed, policy, levels)


def _no_level(typed: str, policy: Policy | None, levels: list[Severity]) -> SeverityError:
    if policy is None:
        return SeverityError(f"“{typed}” is not a severity of any policy in force.", levels)
    if not levels:
        return SeverityError(f"{policy} has no version in force.")
    known = ", ".join(str(level) for level in levels)
    return SeverityError(f"“{typed}” is not a severity of {policy}. It has {known}.", levels)


def _either(levels: Iterable[Severity]) -> str:
    named = [f"{level} of {level.version.policy}" for level in levels]
    return f"{', '.join(named[:-1])} or {named[-1]}"
