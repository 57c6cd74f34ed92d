"""Subscribers as a CSV file that no spreadsheet calculates with (R-807, S23)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from notifications.models import Subscriber
from notifications.models.audience import SubscriberQuerySet
from notifications.sheets import FORMULA

COLUMNS = (
    "address", "channel", "state", "customer", "components", "incidents", "maintenance", "least_severity", "language",
    "created_at", "confirmed_at", "unsubscribed_at", "bounced_at", "consent_at", "consent_source", "signed_up_from",
)  # fmt: skip
BOM = b"\xef\xbb\xbf"
CHUNK = 2000
_BEGINS = re.compile(rf"(?:\A|;)(?=[{re.escape(''.join(FORMULA))}])")


class _Echo:
    """A file for the CSV writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def harmless(cell: str) -> str:
    """A cell with a ' before whatever in it begins like a formula; some part cells at semicolons (S23)."""
    return _BEGINS.sub(r"\g<0>'", cell)


def stream(people: SubscriberQuerySet, *, bom: bool, most: int | None = None) -> Iterator[bytes]:
    """The file, line by line, in constant memory: UTF-8, RFC 4180, all moments ISO 8601 in UTC.

    ``bom`` marks it as UTF-8 for Excel; ``most`` cuts it after so many people.
    """
    if bom:
        yield BOM
    found = people.filter(erased_at__isnull=True).select_related("customer").prefetch_related("topics").order_by("pk")
    rows = (_row(subscriber) for subscriber in found[:most].iterator(chunk_size=CHUNK))
    yield from written([COLUMNS])
    yield from written(rows)


def as_file(name: str, at: datetime) -> dict[str, str]:
    """Headers of a CSV file to be kept, named by what it holds and when it was made."""
    return {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}-{at:%Y%m%d-%H%M%S}.csv"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def written(rows: Iterable[Iterable[str]]) -> Iterator[bytes]:
    """Lines of a CSV file, one by one, each cell harmless. A negative number in it would be marked: write it apart."""
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    for row in rows:
        # The writer returns what its file's write() does.
        line: object = writer.writerow([harmless(cell) for cell in row])
        yield str(line).encode()


def _row(subscriber: Subscriber) -> list[str]:
    return [
        subscriber.address,
        subscriber.channel,
        _state(subscriber),
        subscriber.customer.name if subscriber.customer else "",
        "" if subscriber.all_topics else ";".join(topic.name for topic in subscriber.topics.all()),
        "yes" if subscriber.wants_incidents else "no",
        "yes" if subscriber.wants_maintenance else "no",
        str(subscriber.least_rank),
        subscriber.language,
        _moment(subscriber.created_at),
        _moment(subscriber.confirmed_at),
        _moment(subscriber.unsubscribed_at),
        _moment(subscriber.bounced_at),
        _moment(subscriber.consent_at),
        subscriber.consent_source,
        subscriber.signed_up_from,
    ]


def _state(subscriber: Subscriber) -> str:
    if subscriber.unsubscribed_at:
        return "left"
    if subscriber.bounced_at:
        return "bounced"
    return "active" if subscriber.confirmed_at else "unconfirmed"


def _moment(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
