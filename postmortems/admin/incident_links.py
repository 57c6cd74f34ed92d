"""From an incident's screen to its money: a card of the floor below, filled from here (R-902, R-904)."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.urls import reverse

from incidents.admin import live
from incidents.models import Incident
from postmortems.admin import places


def links(by: User, incident: Incident) -> list[tuple[str, str]]:
    """Its credits for those who may see them, and the form that takes time out of it."""
    found = []
    if by.has_perm(places.SEE):
        found.append(("Service credits", f"{reverse(places.LIST)}?q={incident.reference}"))
    if by.has_perm(places.EXCLUDE):
        found.append(("Exclude time from credits", places.exclude_url(incident)))
    return found


live.BEYOND.append(links)
