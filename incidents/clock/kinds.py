"""The kinds of what is owed, sorted by when they are and by what meets them (R-301)."""

from __future__ import annotations

from datetime import timedelta

from incidents.enums import DutyKind

#: Kinds that ask for public words: owed only where the severity is told to the public.
PUBLIC = (DutyKind.FIRST_UPDATE, DutyKind.PUBLIC_UPDATE)
#: Owed again and again: what was said last starts their clock.
REPEATING = (DutyKind.PUBLIC_UPDATE, DutyKind.INTERNAL_UPDATE)
#: Kinds that end with the incident, and kinds that begin when it is resolved.
WHILE_OPEN = (
    DutyKind.RESPOND,
    *PUBLIC,
    DutyKind.INTERNAL_UPDATE,
    DutyKind.ESCALATE,
    DutyKind.ENTERPRISE_LETTERS,
    DutyKind.RESOLVE,
)
AFTERWARDS = (DutyKind.REVIEW_SCHEDULED, DutyKind.REVIEW_PUBLISHED, DutyKind.ACTION_REVIEW)
#: Kinds that a maintenance owes (R-501); the last one: the work ends when it was planned to.
UPKEEP = (DutyKind.MAINTENANCE_NOTICE, DutyKind.START_UPDATE, DutyKind.END_UPDATE, DutyKind.RESOLVE)
#: Kinds that nobody needs once customers no longer suffer.
UNTIL_MITIGATED = (DutyKind.RESPOND, DutyKind.ESCALATE)
#: Longer than this, a post-mortem is owed whatever the severity (R-103).
LONG = timedelta(hours=4)
#: Which act of the console meets what is owed, by its slug; everything else is marked as met by hand.
MEETS: dict[DutyKind, str] = {
    DutyKind.RESPOND: "acknowledge",
    DutyKind.FIRST_UPDATE: "update",
    DutyKind.PUBLIC_UPDATE: "update",
    DutyKind.ENTERPRISE_LETTERS: "update",
    DutyKind.INTERNAL_UPDATE: "note",
    DutyKind.RESOLVE: "resolve",
}
BY_HAND = "met"
#: Nobody can say that these are done without doing them; a customer may be called instead of written to.
ONLY_BY_ACT = tuple(kind for kind in MEETS if kind != DutyKind.ENTERPRISE_LETTERS)
