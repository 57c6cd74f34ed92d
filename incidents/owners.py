"""Who owes it: from the policy's words to a person (R-302)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import Permission, User
from django.db.models import Q

from incidents.enums import Role
from incidents.models import Assignment, Insider

#: How policies call the roles of an incident, in lower case; every other word means its commander.
ROLES: dict[str, Role] = {
    **{role.label.lower(): role for role in Role},
    "on-call": Role.TECHNICAL,
    "on-call engineer": Role.TECHNICAL,
    "l1 on-call": Role.TECHNICAL,
    "engineering lead": Role.TECHNICAL,
    "tech lead": Role.TECHNICAL,
    "communications": Role.COMMUNICATIONS,
    "customer success": Role.CUSTOMER_SUCCESS,
    "account manager": Role.CUSTOMER_SUCCESS,
    "legal": Role.SECURITY,
    "ciso": Role.SECURITY,
}


@dataclass(frozen=True)
class People:
    """Who has which role of which incident now, and who may know of those that are restricted."""

    holders: dict[tuple[int, Role], int]
    #: (incident, person) of everybody who is named.
    named: frozenset[tuple[int, int]]
    #: Informed of every security incident.
    informed: frozenset[int]

    def owing(self, incident: int, words: str, *, declarer: int | None, restricted: bool) -> list[int]:
        """Who owes it, most answerable first: the role's holder, else the commander, else who declared it (R-302).

        Of a restricted incident nobody is told who is not named in it (R-213).
        """
        found = [self.holders.get((incident, role_of(words))), self.holders.get((incident, Role.COMMANDER)), declarer]
        people = list(dict.fromkeys(one for one in found if one is not None))
        if restricted:
            return [one for one in people if (incident, one) in self.named or one in self.informed]
        return people


def role_of(words: str) -> Role:
    """The role of an incident that a policy's words mean; the commander's where they name none."""
    return ROLES.get(words.strip().lower(), Role.COMMANDER)


def people_of(incidents: Collection[int], *, restricted: Collection[int]) -> People:
    """Everybody who may owe something in these incidents, by id. One query, three where some are restricted."""
    rows = Assignment.objects.current().filter(incident__in=incidents).values_list("incident", "role", "user")
    holders = {(incident, Role(role)): user for incident, role, user in rows}
    named = {(incident, user) for (incident, _), user in holders.items()}
    informed: set[int] = set()
    if restricted:
        named |= set(Insider.objects.filter(incident__in=restricted).values_list("incident", "user"))
        informed = _informed()
    return People(holders, frozenset(named), frozenset(informed))


def _informed() -> set[int]:
    """People who are informed about security incidents (``models.people.is_informed_of_security``)."""
    wanted = Permission.objects.filter(content_type__app_label="incidents", codename="informed_of_security")
    held = Q(user_permissions__in=wanted) | Q(groups__permissions__in=wanted)
    return set(User.objects.filter(held, is_active=True).values_list("pk", flat=True))
