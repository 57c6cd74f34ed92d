"""Words somebody has begun: kept while they are typed, given back, and gone once they are said (R-1201).

They belong to who typed them; nobody else is ever shown them. What must be read anew each time is not
kept: the form's token, the number that is typed back (F23), the consequences that were seen (R-109).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import QueryDict
from django.urls import reverse

from incidents.admin.deeds import DEEDS
from incidents.models import Incident, SavedForm, TimelineEntry

#: The act of a declaration, which has no incident yet.
DECLARE = "declare"
#: Characters of one form, names and values together: the longest form with every field full has a tenth.
MOST = 200_000
_NEVER = frozenset({"csrfmiddlewaretoken", "token", "seen", "recipients", "_act", "_preview", "_fill", "_discard"})
#: How much of the words is quoted where they are listed.
_QUOTED = 90
_LISTED = 8


@dataclass(frozen=True)
class Waiting:
    """A saved form as the dashboard lists it."""

    row: SavedForm

    @property
    def label(self) -> str:
        if self.row.incident is None:
            return "Declare an incident"
        deed = DEEDS.get(self.row.act.partition(":")[0])
        return deed.label_for(self.row.incident) if deed else self.row.act

    @property
    def url(self) -> str:
        """Where it is opened again."""
        slug, _, update = self.row.act.partition(":")
        return form_url(self.row.incident, slug, update)

    @property
    def words(self) -> str:
        """The beginning of what was typed."""
        said = (self.row.values.get(name, [""]) for name in ("title", "body", "words", "line", "reason"))
        first = next((value[0] for value in said if value and value[0].strip()), "")
        return first if len(first) <= _QUOTED else first[: _QUOTED - 1] + "…"


class TooLongError(Exception):
    """More than fits; the text says so for people."""


def name(act: str, update: str = "") -> str:
    """What a form is kept as: corrections of two updates are two forms."""
    return f"{act}:{update}"[:30] if update else act


def keep(user: User, incident: Incident | None, act: str, sent: QueryDict, *, at: datetime) -> bool:
    """Keep what is typed so far; False: there is nothing to keep, it was sent meanwhile or emptied again."""
    if _was_sent(sent.get("token", "")):
        return False
    values = {_clean(name): [_clean(text) for text in texts] for name, texts in sent.lists() if name not in _NEVER}
    if sum(len(name) + sum(map(len, texts)) for name, texts in values.items()) > MOST:
        raise TooLongError("This is more than can be kept. Your words are still in the form.")
    if not any(text.strip() for name, texts in values.items() if name != "version" for text in texts):
        forget(user, incident, act)
        return False
    now = {"values": values, "saved_at": at}
    SavedForm.objects.update_or_create(user=user, incident=incident, act=act, defaults=now)
    return True


def find(user: User, incident: Incident | None, act: str) -> SavedForm | None:
    """What this person began and did not send. One query."""
    return SavedForm.objects.filter(user=user, incident=incident, act=act).first()


def forget(user: User, incident: Incident | None, act: str) -> None:
    """It was said, or is not wanted any more. One statement."""
    SavedForm.objects.filter(user=user, incident=incident, act=act).delete()


def given_back(row: SavedForm, token: UUID) -> QueryDict:
    """As the browser would send it now, under a new token; the version stays the one it was read at (F09)."""
    data = QueryDict(mutable=True)
    for name, texts in row.values.items():
        data.setlist(name, texts)
    data["token"] = str(token)
    return data


def waiting(user: User) -> list[Waiting]:
    """What this person began, newest first; nothing of incidents they may not know of any more. Two queries."""
    known = Incident.objects.visible_to(user)
    rows = SavedForm.objects.filter(Q(incident__isnull=True) | Q(incident__in=known), user=user)
    return [Waiting(row) for row in rows.select_related("incident").order_by("-saved_at")[:_LISTED]]


def form_url(incident: Incident | None, slug: str, update: str = "") -> str:
    """The form of an act."""
    if incident is None:
        return reverse("admin:incidents_incident_add")
    if update:
        return reverse("admin:incidents_incident_correct", args=[incident.pk, update])
    return reverse("admin:incidents_incident_act", args=[incident.pk, slug])


def _clean(text: str) -> str:
    # PostgreSQL stores no NUL; everything else comes back as it was typed.
    return text.replace("\x00", "")


def _was_sent(token: str) -> bool:
    try:
        return TimelineEntry.objects.filter(token=UUID(token)).exists()
    except ValueError:
        return False
