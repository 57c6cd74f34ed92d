"""Bringing subscribers in from a CSV file, each with the proof that they agreed (R-807, S29).

The file is read line by line and written in chunks, each a transaction of its own: a run that was
cut short is simply run again, who is there already is left alone. Nobody is mailed. Who was erased
or complained stays away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import TextChoices
from django.utils.dateparse import parse_date, parse_datetime

from notifications import addresses, phones, sheets, suppression
from notifications.enums import PHONES, Channel
from notifications.models import Subscriber, Topic
from notifications.models.audience import SubscriberQuerySet
from notifications.sheets import Finding, Report
from notifications.validators import one_line

REQUIRED = ("address", "consent_at", "consent_source")
OPTIONAL = ("channel", "components", "least_severity", "language")
CHUNK = 1000
LONGEST_SOURCE = 200
#: Where a list may say that people agreed to be told; webhooks and rooms have secrets that no list should hold.
CHANNELS = (Channel.EMAIL, *PHONES)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?", re.ASCII)


class Verdict(TextChoices):
    NEW = "new", "New"
    KNOWN = "known", "Already there"
    SUPPRESSED = "suppressed", "Suppressed"
    WRONG = "wrong", "Wrong"


#: A channel, and an address there whatever its capitals.
_There = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Person:
    """One good line. ``topics`` None: all components."""

    number: int
    channel: Channel
    address: str
    consent_at: datetime
    consent_source: str
    topics: tuple[int, ...] | None
    least_rank: int
    language: str

    @property
    def there(self) -> _There:
        return _place(self.channel, self.address)


def run(file: BinaryIO, *, at: datetime, dry: bool, tell: Callable[[Finding], None] | None = None) -> Report:
    """Import a file, or with ``dry`` only say what would happen; ``tell`` hears about every line.

    Raises BadFile before anything is written. News from ``at`` on reaches those who are new.
    """
    report = Report(Verdict.NEW)
    lines = _lines(file, at)
    while some := list(islice(lines, CHUNK)):
        people = [line for line in some if isinstance(line, _Person)]
        fates = _judge(people) if dry else _write(people, at)
        for line in some:
            finding = line if isinstance(line, Finding) else fates[line.number]
            report.add(finding)
            if tell is not None:
                tell(finding)
    return report


# --- reading ---------------------------------------------------------------------------


def _lines(file: BinaryIO, at: datetime) -> Iterator[_Person | Finding]:
    topics: dict[str, tuple[int, ...]] = {}
    for pk, name in Topic.objects.values_list("pk", "name"):
        topics[name.casefold()] = (*topics.get(name.casefold(), ()), pk)
    seen: set[int] = set()
    for line in sheets.lines(file, required=REQUIRED, optional=OPTIONAL):
        if line.wrong:
            yield Finding(line.number, Verdict.WRONG, line.first, line.wrong)
            continue
        try:
            yield _person(line.number, line.cells, topics, at, seen)
        except ValidationError as error:
            yield Finding(line.number, Verdict.WRONG, line.first, " ".join(error.messages))


def _person(
    number: int, row: dict[str, str], topics: dict[str, tuple[int, ...]], at: datetime, seen: set[int]
) -> _Person:
    channel = _channel(row.get("channel", ""))
    address = phones.normal(row["address"]) if channel in PHONES else addresses.normal(row["address"])
    person = _Person(
        number,
        channel,
        address,
        _agreed(row["consent_at"], at),
        _source(row["consent_source"]),
        _components(row.get("components", ""), topics),
        _rank(row.get("least_severity", "")),
        _language(row.get("language", "")),
    )
    # Eight bytes an address: the memory of a run is this, and one chunk.
    mark = int.from_bytes(blake2b(f"{channel}:{address.casefold()}".encode(), digest_size=8).digest())
    if mark in seen:
        raise ValidationError("The same address stands further up.")
    seen.add(mark)
    return person


def _channel(cell: str) -> Channel:
    if cell and cell.lower() not in CHANNELS:
        raise ValidationError(f"channel is one of {', '.join(CHANNELS)}; empty means {Channel.EMAIL}.")
    return Channel(cell.lower() or Channel.EMAIL)


def _agreed(cell: str, at: datetime) -> datetime:
    try:
        moment = parse_datetime(cell)
        day = None if moment else parse_date(cell)
    except ValueError:
        moment = day = None
    if day is not None:
        moment = datetime.combine(day, time(), UTC)
    if moment is None:
        raise ValidationError("consent_at is not a date like 2026-05-31 or 2026-05-31T14:30:00Z.")
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValidationError("consent_at is outside of the calendar.") from None
    if moment > at:
        raise ValidationError("consent_at is in the future.")
    return moment


def _source(cell: str) -> str:
    if not cell:
        raise ValidationError("consent_source is empty: say how the person agreed.")
    if len(cell) > LONGEST_SOURCE:
        raise ValidationError(f"consent_source is longer than {LONGEST_SOURCE} characters.")
    if not (cell.isascii() and cell.isprintable()):
        one_line(cell)
    return cell


def _components(cell: str, topics: dict[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    names = [name.strip() for name in cell.split(";") if name.strip()]
    if not names:
        return None
    unknown = [name for name in names if name.casefold() not in topics]
    if unknown:
        raise ValidationError(f"There is no component “{sheets.printable(unknown[0])}”.")
    return tuple(sorted({pk for name in names for pk in topics[name.casefold()]}))


def _rank(cell: str) -> int:
    if cell not in ("", "1", "2", "3", "4"):
        raise ValidationError("least_severity is a number from 1 (only the worst) to 4 (everything).")
    return int(cell or 4)


def _language(cell: str) -> str:
    if cell and (not _LANGUAGE.fullmatch(cell) or len(cell) > 12):
        raise ValidationError("language is a code like en or pt-BR.")
    return cell or "en"


# --- writing ---------------------------------------------------------------------------


def _judge(people: list[_Person]) -> dict[int, Finding]:
    """What each line would become. Two queries, and one for each channel."""
    others = _at(people).exclude(pk__in=_waiting(people).values("pk"))
    known = {_place(*there) for there in others.values_list("channel", "address")}
    # In this order: who is erased in between was found above, or is found here.
    silent = {_place(channel, address) for channel in CHANNELS for address in _silent(channel, people)}
    findings = {}
    for person in people:
        verdict, words = Verdict.NEW, ""
        if person.there in silent:
            verdict, words = (
                Verdict.SUPPRESSED,
                "Erased, left, complained or bounced: only their own sign-up brings them back.",
            )
        elif person.there in known:
            verdict, words = Verdict.KNOWN, "Nothing of theirs is changed."
        findings[person.number] = Finding(person.number, verdict, person.address, words)
    return findings


def _at(people: list[_Person]) -> SubscriberQuerySet:
    """Rows of these people, whoever they are by now."""
    found = Subscriber.objects.none()
    for channel in dict.fromkeys(person.channel for person in people):
        theirs = [person.address for person in people if person.channel == channel]
        found |= Subscriber.objects.at_address(*theirs).filter(channel=channel)
    return found


def _silent(channel: Channel, people: list[_Person]) -> set[str]:
    theirs = [person.address for person in people if person.channel == channel]
    return suppression.among(channel, theirs) if theirs else set()


def _waiting(people: list[_Person]) -> SubscriberQuerySet:
    """Those who signed up by themselves and never confirmed: the proof of the file does it for them."""
    return _at(people).filter(confirmed_at__isnull=True, unsubscribed_at__isnull=True, bounced_at__isnull=True)


@transaction.atomic
def _write(people: list[_Person], at: datetime) -> dict[int, Finding]:
    findings = _judge(people)
    new = {person.there: person for person in people if findings[person.number].verdict == Verdict.NEW}
    waiting = list(_waiting(list(new.values())).select_for_update().order_by("pk"))
    for subscriber in waiting:
        _fill(subscriber, new[_there(subscriber)], at)
    Subscriber.objects.bulk_update(waiting, _FILLED)
    # Always in this order, so that two imports never wait for each other crosswise.
    waited = {_there(subscriber) for subscriber in waiting}
    fresh = [
        Subscriber(channel=new[there].channel, address=new[there].address, created_at=at)
        for there in sorted(new.keys() - waited)
    ]
    for subscriber in fresh:
        _fill(subscriber, new[_there(subscriber)], at)
    Subscriber.objects.bulk_create(fresh, ignore_conflicts=True)
    # Only those that are ours: somebody may have signed up while we wrote.
    ours = Subscriber.objects.filter(public_id__in=[subscriber.public_id for subscriber in fresh])
    made = {_there(subscriber): subscriber.pk for subscriber in (*ours, *waiting)}
    Subscriber.topics.through.objects.filter(subscriber__in=waiting).delete()
    chosen = Subscriber.topics.through
    chosen.objects.bulk_create(
        chosen(subscriber_id=pk, topic_id=topic) for there, pk in made.items() for topic in new[there].topics or ()
    )
    for there, person in new.items():
        if there not in made:
            findings[person.number] = Finding(person.number, Verdict.KNOWN, person.address, "Signed up just now.")
    return findings


def _there(subscriber: Subscriber) -> _There:
    return _place(subscriber.channel, subscriber.address)


def _place(channel: str, address: str) -> _There:
    return str(channel), address.casefold()


_FILLED = [
    "language", "all_topics", "follows_only", "least_rank",
    "confirmed_at", "consent_at", "consent_source", "changed_at",
]  # fmt: skip


def _fill(subscriber: Subscriber, person: _Person, at: datetime) -> None:
    subscriber.language = person.language
    subscriber.all_topics = person.topics is None
    # Who only asked to follow one incident is proven to want all of it.
    subscriber.follows_only = False
    subscriber.least_rank = person.least_rank
    subscriber.confirmed_at = subscriber.changed_at = at
    subscriber.consent_at, subscriber.consent_source = person.consent_at, person.consent_source
