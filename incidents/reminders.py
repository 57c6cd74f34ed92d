"""Telling who owes it: before it is due, and when it is broken, once each, on their own channel (R-302).

The sweep may come late, twice, in two processes or after a day off (F13): what was told is noted on the
obligation in the transaction that writes the letter. What is broken by then is told as broken only.
"""

from __future__ import annotations

import calendar
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from incidents import owners, timeline
from incidents.clock import BY_HAND, MEETS
from incidents.enums import DutyKind, Verb
from incidents.models import Incident, Maintenance, Obligation, TimelineEntry
from notifications import colleagues
from notifications.colleagues import Reach
from notifications.lint import Unsendable
from notifications.models import Brand
from notifications.stories import Letter

log = logging.getLogger(__name__)

#: Reminded a quarter of its time before it is due, and never earlier than this.
LEAD = timedelta(minutes=10)
#: A reminder that arrives much later than it was written helps nobody.
SHORTEST = timedelta(minutes=5)
#: Told in one transaction; also what a database takes as values of one statement.
_MOST = 10_000
#: So many stand in one letter; the others are counted.
_LISTED = 10
#: Asked of each of thousands.
_LABELS = {kind.value: str(kind.label) for kind in DutyKind}
_BUTTONS = {
    "acknowledge": "Acknowledge it",
    "update": "Post the update",
    "note": "Write the note",
    "resolve": "Resolve it",
    BY_HAND: "Open it",
}


class Owed(NamedTuple):
    """What is read of an obligation: there may be thousands, and rows of their own would cost half of the sweep."""

    pk: int
    kind: str
    owner_role: str
    opened_at: datetime
    due_at: datetime
    limit_at: datetime
    incident_id: int | None
    maintenance_id: int | None


@dataclass(frozen=True)
class Thing:
    """What the obligation is of: an incident, or a maintenance."""

    pk: int
    reference: str
    title: str
    brand_id: int
    #: Who declared it, or planned it.
    author: int | None
    restricted: bool = False
    version: int = 0
    is_incident: bool = True

    @property
    def name(self) -> str:
        """As a letter may call it: of a restricted incident the reference alone (R-213)."""
        return self.reference if self.restricted else f"{self.reference} {self.title}"


@dataclass(frozen=True)
class Notice:
    """Something to tell one person about one obligation."""

    row: Owed
    thing: Thing
    broken: bool

    @property
    def verb(self) -> Verb:
        return Verb.BROKEN if self.broken else Verb.REMINDED

    @property
    def words(self) -> str:
        """``First public update: due at 03:15 UTC, broken since 03:30 UTC.``"""
        due = f"{_LABELS[self.row.kind]}: due at {_moment(self.row.due_at)}"
        if self.broken:
            return f"{due}, broken since {_moment(self.row.limit_at)}."
        return f"{due}." if self.row.limit_at == self.row.due_at else f"{due}, broken at {_moment(self.row.limit_at)}."

    @property
    def screen(self) -> str:
        kind = "incident" if self.thing.is_incident else "maintenance"
        return _url(f"admin:incidents_{kind}_change", self.thing.pk)

    @property
    def deed(self) -> str:
        """The slug of the act that meets it."""
        return MEETS.get(DutyKind(self.row.kind), BY_HAND)

    @property
    def link(self) -> str:
        """Where it is met."""
        if not self.thing.is_incident:
            return self.screen
        url = _url("admin:incidents_incident_act", self.thing.pk, self.deed)
        return f"{url}?{urlencode({'obligation': self.row.pk})}" if self.deed == BY_HAND else url

    @property
    def button(self) -> str:
        return _BUTTONS[self.deed] if self.thing.is_incident else "Open it"

    @property
    def urgency(self) -> tuple[bool, datetime, int]:
        return not self.broken, self.row.due_at, self.row.pk


def sweep(at: datetime) -> int:
    """Tell everybody what they owe by now, or failed to do; answers of how many obligations (UTC).

    One query when there is nothing to tell.
    """
    told = 0
    while untold(at).exists():
        found = _tell(at)
        told += found
        if found < _MOST:
            break
    return told


def untold(at: datetime) -> QuerySet[Obligation]:
    """Obligations that may be told now: broken and not told so, or due soon and not reminded of."""
    broken = Q(limit_at__lt=at)
    due = Q(reminded_at__isnull=True, limit_at__gte=at)
    return Obligation.objects.open().filter(broken | due, due_at__lte=at + LEAD, broken_at__isnull=True)


def lead(row: Owed | Obligation) -> timedelta:
    """How long before it is due it is reminded of."""
    if row.due_at is None:
        return timedelta()
    return max(min((row.due_at - row.opened_at) / 4, LEAD), timedelta())


@transaction.atomic
def _tell(at: datetime) -> int:
    notices = _claim(at)
    if not notices:
        return 0
    broken = {(notice.row.incident_id, notice.row.maintenance_id) for notice in notices if notice.broken}
    if broken:
        # Named by what they are of, which is locked: thousands of ids would cost a sixth of the sweep.
        _of(broken, at).filter(limit_at__lt=at).update(broken_at=at)
    reminded = [notice.row.pk for notice in notices if not notice.broken]
    if reminded:
        Obligation.objects.filter(pk__in=reminded).update(reminded_at=at)
    reached = _reached(notices)
    letters: dict[int, list[Notice]] = defaultdict(list)
    for notice, to in reached:
        if to:
            letters[to.user_id].append(notice)
    people = {to.user_id: to for _, to in reached if to}
    brands = Brand.objects.in_bulk({notice.thing.brand_id for notice in notices})
    for person, theirs in letters.items():
        theirs.sort(key=lambda notice: notice.urgency)
        _write(people[person], theirs, brands[theirs[0].thing.brand_id], at)
    timeline.record_by_itself(_entries(reached, at))
    return len(notices)


def _claim(at: datetime) -> list[Notice]:
    """What is told now, locked. Whatever an act holds this moment is left to the next sweep.

    Incidents and maintenances are locked before their obligations, as every act does it.
    """
    some = list(untold(at).order_by("due_at", "pk").values_list("incident", "maintenance")[:_MOST])
    things = _incidents({incident for incident, _ in some if incident})
    works = _maintenances({work for _, work in some if work})
    rows = _of([*((pk, None) for pk in things), *((None, pk) for pk in works)], at).select_for_update()
    found = []
    for row in map(Owed._make, rows.values_list(*Owed._fields)):
        thing = things.get(row.incident_id or 0) or works.get(row.maintenance_id or 0)
        if thing and (row.limit_at < at or row.due_at - lead(row) <= at):
            found.append(Notice(row, thing, broken=row.limit_at < at))
    return found


def _of(owners: Iterable[tuple[int | None, int | None]], at: datetime) -> QuerySet[Obligation]:
    """What may be told of these incidents and maintenances, by id."""
    pairs = list(owners)
    incidents = [incident for incident, _ in pairs if incident]
    works = [work for _, work in pairs if work]
    return untold(at).filter(Q(incident__in=incidents) | Q(maintenance__in=works)).order_by("due_at", "pk")


def _incidents(ids: Iterable[int]) -> dict[int, Thing]:
    free = Incident.objects.filter(pk__in=list(ids)).select_for_update(skip_locked=True, no_key=True)
    rows = free.order_by("pk").values_list(
        "pk", "reference", "title", "public_title", "brand", "declared_by", "is_restricted", "version"
    )
    return {
        pk: Thing(pk, reference, public or title, brand, author, restricted, version)
        for pk, reference, title, public, brand, author, restricted, version in rows
    }


def _maintenances(ids: Iterable[int]) -> dict[int, Thing]:
    rows = Maintenance.objects.filter(pk__in=list(ids)).select_for_update(skip_locked=True, no_key=True)
    return {
        pk: Thing(pk, reference, title, brand, author, is_incident=False)
        for pk, reference, title, brand, author in rows.values_list("pk", "reference", "title", "brand", "scheduled_by")
    }


def _reached(notices: Sequence[Notice]) -> list[tuple[Notice, Reach | None]]:
    """Who is told of each: the first of those who owe it that can be reached; None: nobody can."""
    incidents = {notice.thing.pk: notice.thing for notice in notices if notice.thing.is_incident}
    people = owners.people_of(incidents, restricted=[pk for pk, thing in incidents.items() if thing.restricted])
    owing: list[list[int]] = []
    for notice in notices:
        thing = notice.thing
        if thing.is_incident:
            owing.append(
                people.owing(thing.pk, notice.row.owner_role, declarer=thing.author, restricted=thing.restricted)
            )
        else:
            owing.append([thing.author] if thing.author else [])
    ways = colleagues.reach(person for persons in owing for person in persons)
    return [
        (notice, next((ways[person] for person in persons if person in ways), None))
        for notice, persons in zip(notices, owing, strict=True)
    ]


def _write(to: Reach, notices: Sequence[Notice], brand: Brand, at: datetime) -> None:
    """One letter to one person, most urgent first."""
    last = max(notice.row.limit_at for notice in notices)
    life = colleagues.LIFE
    if not any(notice.broken for notice in notices):
        life = max(SHORTEST, min(life, last - at))
    for named in (True, False):
        letter = _letter(notices, named=named)
        try:
            colleagues.write(to, letter, subject=letter.heading, brand=brand, at=at, life=life)
        except Unsendable as error:
            # A title may hold what must not go out; the reference never does.
            log.warning("A reminder to %s cannot name what it is about: %s", to.name, error)
            continue
        return


def _letter(notices: Sequence[Notice], *, named: bool) -> Letter:
    """``named``: with the titles of what it is about."""
    first, heading = notices[0], _heading(notices)
    paragraphs = [_paragraph(notice, alone=len(notices) == 1, named=named) for notice in notices[:_LISTED]]
    if len(notices) > _LISTED:
        paragraphs.append(f"And {len(notices) - _LISTED} more.")
    if len(notices) == 1:
        sms = f"{first.thing.reference} {first.words} {first.link}"
        return Letter(heading, tuple(paragraphs), first.button, first.link, sms=sms)
    board = _url("admin:index")
    sms = f"{heading}. First: {first.thing.reference} {first.words} {board}"
    return Letter(heading, tuple(paragraphs), "Open the dashboard", board, sms=sms)


def _heading(notices: Sequence[Notice]) -> str:
    broken = sum(notice.broken for notice in notices)
    soon = len(notices) - broken
    if len(notices) == 1:
        what = f"{_LABELS[notices[0].row.kind]}, {notices[0].thing.reference}"
        return f"Broken: {what}" if broken else f"Due soon: {what}"
    said = [f"{count} {words}" for count, words in ((broken, "broken"), (soon, "due soon")) if count]
    return f"What you owe: {', '.join(said)}"


def _paragraph(notice: Notice, *, alone: bool, named: bool) -> str:
    about = notice.thing.name if named else notice.thing.reference
    lines = [about, notice.words]
    if not alone:
        lines.append(f"{notice.button}: {notice.link}")
    if notice.screen != notice.link:
        lines.append(f"Everything about it: {notice.screen}")
    return "\n".join(lines)


def _entries(reached: Sequence[tuple[Notice, Reach | None]], at: datetime) -> Iterator[TimelineEntry]:
    """One entry for all that one person was told about an incident, broken and due apart."""
    told: dict[tuple[Thing, Verb, Reach | None], list[Notice]] = defaultdict(list)
    for notice, to in reached:
        if notice.thing.is_incident:
            told[notice.thing, notice.verb, to].append(notice)
    for (thing, verb, to), notices in told.items():
        who = f"{to.name} was told." if to else "Nobody who owes it can be reached."
        yield TimelineEntry(
            incident_id=thing.pk,
            verb=verb,
            at=at,
            recorded_at=at,
            words=" ".join([*(notice.words for notice in notices), who]),
            facts={"kinds": [notice.row.kind for notice in notices], "to": to.name if to else ""},
            version=thing.version,
        )


def _moment(at: datetime) -> str:
    return f"{at.hour:02}:{at.minute:02} UTC on {at.day} {calendar.month_name[at.month]}"


def _url(name: str, *args: object) -> str:
    return f"{settings.SITE_URL}{reverse(name, args=args)}"
