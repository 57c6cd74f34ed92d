"""Who does what in an incident: each role in a sentence, and who answers for each activity (R-204)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incidents.enums import Role

#: What whoever takes the role does, told to that person.
TASKS: dict[Role, str] = {
    Role.COMMANDER: "Leads: decides severity, priorities and when it is over, gives out the roles. Repairs nothing.",
    Role.TECHNICAL: "Finds the cause and the quickest way to stop the harm; says what is tried and what it did.",
    Role.COMMUNICATIONS: "Writes what the public and colleagues read, and keeps every promise of a next update.",
    Role.SCRIBE: "Writes down what happens, with times: the post-mortem is made from it.",
    Role.SECURITY: "Judges what an attacker could see or do, keeps traces safe, and says who may know.",
    Role.CUSTOMER_SUCCESS: "Talks to Enterprise customers, and brings back what it means for them.",
}
#: Letters of the table, in words.
PARTS: dict[str, str] = {"R": "does it", "A": "answers for it", "C": "is asked before", "I": "is told"}

_ORDER = (Role.COMMANDER, Role.TECHNICAL, Role.COMMUNICATIONS, Role.SCRIBE, Role.SECURITY, Role.CUSTOMER_SUCCESS)
#: Each activity with the parts of the roles in that order. One answers for each; "AR" does it as well.
_TABLE: tuple[tuple[str, str], ...] = (
    ("Declare it and set the severity", "AR C I I C I"),
    ("Find the cause", "A R I I C I"),
    ("Stop the harm", "A R I I C I"),
    ("Updates for the public", "A C R I C C"),
    ("Updates for colleagues", "A C R I I I"),
    ("Enterprise customers", "A I C I C R"),
    ("Security: traces, access, who may know", "A C I I R I"),
    ("Timeline", "A C C R C C"),
    ("Say that it is over", "AR C C I C I"),
    ("Post-mortem", "A R C C C C"),
)


@dataclass(frozen=True)
class Row:
    """An activity; ``parts`` are letters of ``PARTS`` by role."""

    activity: str
    parts: Mapping[Role, str]

    @property
    def cells(self) -> list[tuple[str, str]]:
        """(letters, in words) in the order of ``roles``."""
        return [(part, " and ".join(PARTS[letter] for letter in part)) for part in self.parts.values()]


def roles() -> list[tuple[Role, str]]:
    """Every role with what it does."""
    return [(role, TASKS[role]) for role in _ORDER]


def rows() -> list[Row]:
    """The whole table."""
    return [Row(activity, dict(zip(_ORDER, parts.split(), strict=True))) for activity, parts in _TABLE]


def does(role: Role) -> list[str]:
    """What the role does itself."""
    return [row.activity for row in rows() if "R" in row.parts[role]]


def table() -> dict[str, object]:
    """What the part ``raci.html`` shows: ``heads`` (label, task), ``rows``, and the letters in words."""
    return {
        "heads": [(role.label, task) for role, task in roles()],
        "rows": rows(),
        "parts": list(PARTS.items()),
    }
