"""What an operator may say about an incident: each act with its form, its permission and its moment.

The console offers acts, not fields (design.md, habit 10): nothing here decides about incidents,
``incidents.lifecycle`` does.
"""

from __future__ import annotations

from django.contrib.auth.models import User

from incidents.clock import BY_HAND, MEETS
from incidents.enums import DutyKind
from incidents.models import Incident, Obligation

from .course import COURSE
from .deed import COMMAND, DECLARE, PUBLISH, Deed
from .finding import FINDING
from .linking import LINKING
from .owing import OWING
from .people import PEOPLE
from .working import WORKING

__all__ = ["COMMAND", "DECLARE", "DEEDS", "PUBLISH", "Deed", "meeting", "offered"]

#: By slug, in the order in which they are offered.
DEEDS: dict[str, Deed] = {deed.slug: deed for deed in (*COURSE, *FINDING, *PEOPLE, *LINKING, *WORKING, *OWING)}


def meeting(owed: Obligation, user: User) -> Deed | None:
    """The act that meets what is owed, if it is offered to this user now."""
    deed = DEEDS[MEETS.get(DutyKind(owed.kind), BY_HAND)]
    return deed if deed and owed.incident and deed.offered(owed.incident, user) else None


def offered(incident: Incident, user: User) -> list[Deed]:
    """The buttons of the incident's screen, for this user and this state."""
    return [deed for deed in DEEDS.values() if deed.listed and deed.offered(incident, user)]
