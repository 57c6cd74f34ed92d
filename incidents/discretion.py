"""What must not be named to who may not know of it: restricted incidents, where others speak of them (R-213)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from incidents.enums import Verb
from incidents.models import Incident, TimelineEntry

#: What stands there instead, in a table and in a sentence.
RESTRICTED, HIDDEN = "restricted", "a restricted incident"
_REFERENCE = re.compile(r"\bINC-\d{4}-\d{4,9}\b", re.ASCII)
#: What somebody wrote about two incidents at once.
_ABOUT_BOTH = frozenset({Verb.LINKED, Verb.UNLINKED, Verb.MERGED})


def hidden_sources(user: AbstractBaseUser | AnonymousUser) -> set[str]:
    """Names in the ledger of impacts of restricted incidents this person may not know of. One query."""
    return {Incident(reference=reference).source for reference in _hidden(user)}


def veiled(entries: Iterable[TimelineEntry], user: AbstractBaseUser | AnonymousUser) -> list[TimelineEntry]:
    """Entries as this person may read them; changed in memory only. One query where they name other incidents.

    What they name may have been restricted since: the timeline keeps what it says, and not everybody is told.
    """
    found = list(entries)
    told = {entry.pk: json.dumps(entry.facts) for entry in found}
    named = {reference for text in told.values() for reference in _REFERENCE.findall(text)}
    hidden = _hidden(user, named) if named else set()
    for entry in found:
        if hidden.intersection(_REFERENCE.findall(told[entry.pk])):
            entry.facts = json.loads(without(told[entry.pk], hidden))
            entry.words = "" if entry.verb in _ABOUT_BOTH else entry.words
    return found


def without(text: str, hidden: Collection[str]) -> str:
    """The text without these references."""
    return _REFERENCE.sub(lambda found: HIDDEN if found[0] in hidden else found[0], text)


def _hidden(user: AbstractBaseUser | AnonymousUser, among: Collection[str] | None = None) -> set[str]:
    """References of restricted incidents this person may not know of."""
    secret = Incident.objects.filter(is_restricted=True)
    hidden = secret.exclude(pk__in=secret.visible_to(user).values("pk"))
    if among is not None:
        hidden = hidden.filter(reference__in=among)
    return set(hidden.values_list("reference", flat=True))
