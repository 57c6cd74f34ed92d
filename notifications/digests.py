"""Digests: one mail a day for those who asked for it (R-1314).

News for them is held on its row until the clock on their wall shows their time; then everybody who
holds the same news gets the same compiled mail, and the held rows say in which digest they are.
The worst incidents never wait here: the fan-out does not hold them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, time
from typing import NamedTuple

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from notifications import outbox, quiet
from notifications.enums import Channel, Fate
from notifications.models import Announcement, Delivery
from notifications.stories import Digest, Line, Story

log = logging.getLogger(__name__)

#: People whose digests are written in one transaction.
CHUNK = 1000


class _Held(NamedTuple):
    id: int
    person: int
    news: int
    brand: int


def send(at: datetime) -> int:
    """Write the digests that are due; returns for how many people. Safe to run late, twice, or by several at once."""
    waiting = Delivery.objects.filter(fate=Fate.HELD, channel=Channel.EMAIL).order_by()
    clocks = waiting.values_list("subscriber__time_zone", "subscriber__digest_at").distinct()
    total = 0
    for zone, clock in list(clocks):
        due = quiet.last(at, zone, clock) if clock and zone else at
        while told := _write_some(zone, clock, due, at):
            total += told
    return total


@transaction.atomic
def _write_some(zone: str | None, clock: time | None, due: datetime, at: datetime) -> int:
    held = Delivery.objects.filter(
        fate=Fate.HELD,
        channel=Channel.EMAIL,
        subscriber__time_zone=zone,
        subscriber__digest_at=clock,
        created_at__lte=due,
    )
    people = list(held.order_by("subscriber").values_list("subscriber", flat=True).distinct()[:CHUNK])
    rows = _locked(held.filter(subscriber__in=people))
    for news, group in _alike(rows).items():
        try:
            _write(news, group, due, at)
        except DatabaseError:
            raise
        except Exception as error:  # one that cannot be written must not keep everybody else's (F18)
            _let_go(group, error)
    return len({row.person for row in rows})


def _locked(held: QuerySet[Delivery]) -> list[_Held]:
    """Rows that a newer update or somebody's leaving is just ending are stepped over."""
    mine = held.select_for_update(skip_locked=True, of=("self",)).order_by("subscriber", "-announcement")
    columns = mine.values_list("pk", "subscriber_id", "announcement_id", "announcement__brand_id")
    return [_Held(*row) for row in columns]


def _alike(rows: Sequence[_Held]) -> dict[tuple[int, ...], list[_Held]]:
    """Rows by what their person has to read; one brand speaks in one mail."""
    by_person: dict[tuple[int, int], list[_Held]] = {}
    for row in rows:
        by_person.setdefault((row.person, row.brand), []).append(row)
    alike: dict[tuple[int, ...], list[_Held]] = {}
    for theirs in by_person.values():
        alike.setdefault(tuple(row.news for row in theirs), []).extend(theirs)
    return alike


def _write(news: tuple[int, ...], rows: list[_Held], due: datetime, at: datetime) -> None:
    told = {one.pk: one for one in Announcement.objects.filter(pk__in=news).select_related("brand")}
    ordered = [told[pk] for pk in news]
    outbox.write_digest(
        list(dict.fromkeys(row.person for row in rows)),
        Digest(tuple(_story(one) for one in ordered)),
        subject=_subject(ordered),
        brand=ordered[0].brand,
        at=at,
    )
    Delivery.objects.filter(pk__in=[row.id for row in rows]).update(
        fate=Fate.SUPPRESSED, reason=f"In the digest of {due:%Y-%m-%d %H:%M} UTC.", settled_at=at
    )


def _let_go(rows: Sequence[_Held], error: Exception) -> None:
    """What cannot be told in one mail is told one by one; what cannot be told at all ends there, for people to see."""
    log.error("A digest cannot be written, %d messages go one by one: %s: %s", len(rows), type(error).__name__, error)
    Delivery.objects.filter(pk__in=[row.id for row in rows]).update(fate=Fate.PENDING, next_at=Now())


def _story(news: Announcement) -> Story:
    content = news.content
    lines = tuple(Line(**line) for line in content["lines"][:1])
    return Story(**{**content, "lines": lines, "components": (), "hook": ""})


def _subject(news: Sequence[Announcement]) -> str:
    if len(news) == 1:
        return news[0].subject
    return f"[{news[0].brand.name}] {len(news)} updates since your last digest"
