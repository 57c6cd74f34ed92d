"""What we told a customer: per incident, per person and channel, what became of it (R-803, R-804)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from notifications import fates, lookup
from notifications.admin import log
from notifications.enums import ADDRESSED, Kind
from notifications.fates import Group
from notifications.masking import address_of, sees_addresses
from notifications.models import Announcement, Customer, Delivery, Subscriber

#: The newest messages are shown; the log has the others.
SHOWN = 400


@dataclass
class Reached:
    """One person on one channel, or by letter: the newest message of an incident, how many in all and in trouble."""

    person: str
    channel: str
    words: str
    colour: str
    reason: str
    at: datetime
    messages: int = 0
    trouble: int = 0


@dataclass
class Told:
    """One incident, or the letters."""

    title: str
    reference: str
    at: datetime
    url: str
    reached: dict[tuple[int | str, str], Reached] = field(default_factory=dict)

    @property
    def lines(self) -> list[Reached]:
        return sorted(self.reached.values(), key=lambda line: (line.person, line.channel))


class ToldMixin:
    """The panel under a customer's form, for whoever may see deliveries. Seven queries."""

    change_form_after_template = "admin/notifications/customer/told.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        customer = self.get_object(request, object_id) if object_id else None  # type: ignore[attr-defined]  # the admin's
        told: dict[str, Any] = {}
        if customer and request.user.has_perm("notifications.view_delivery"):
            told = panel(customer, whole=sees_addresses(request.user))
        context = (extra_context or {}) | told
        page: HttpResponse = super().changeform_view(request, object_id, form_url, context)  # type: ignore[misc]  # as above
        return page


def panel(customer: Customer, *, whole: bool) -> dict[str, Any]:
    """The context of the panel. Six queries."""
    url = reverse("admin:notifications_delivery_changelist")
    rows = _newest(customer)
    found: dict[str, Told] = {}
    for row in rows[:SHOWN]:
        _add(found, row, f"{url}?", customer, whole=whole)
    return {
        "told": list(found.values()),
        "told_more": len(rows) > SHOWN,
        "told_url": f"{url}?{urlencode({'customer': customer.reference})}",
    }


def _newest(customer: Customer) -> list[Delivery]:
    theirs = Delivery.objects.filter(lookup.told_to([customer])).order_by(*log.ORDER)
    few = theirs.order_by()[: log.COUNTED + 1].count() <= log.COUNTED
    news = Announcement.objects.only("pk", "lane", "subject", "kind").annotate(reference=lookup.REFERENCE)
    people = Subscriber.objects.only("pk", "address", "channel", "erased_at")
    rows = (log.found_first(theirs) if few else theirs)[: SHOWN + 1]
    # Beside the rows: joined, the words of ten thousand would be read before four hundred are picked.
    return list(rows.prefetch_related(Prefetch("announcement", news), Prefetch("subscriber", people)))


def _add(found: dict[str, Told], row: Delivery, url: str, customer: Customer, *, whole: bool) -> None:
    """Rows come newest first: the first of a person is what they know."""
    news: Any = row.announcement
    is_letter = news.kind in ADDRESSED
    reference = "" if is_letter else news.reference or ""
    # News and letters to customers about one incident stand together; other news has a lane alone.
    about = "letters" if is_letter else reference or news.lane
    if about not in found:
        asked = {"customer": customer.reference} | ({"incident": reference} if reference else {})
        title = "Letters to one person" if is_letter else news.subject
        found[about] = Told(title, reference, row.created_at, url + urlencode(asked))
    person = row.subscriber_id or row.address
    channel = "Letter" if news.kind == Kind.DIRECT else row.get_channel_display()
    known = found[about].reached.setdefault(
        (person, channel),
        Reached(
            person=address_of(row, whole=whole),
            channel=channel,
            words=fates.words(row.fate, row.channel, row.reason),
            colour=fates.colour(row.fate),
            reason=fates.remark(row.fate, row.reason),
            at=row.settled_at or row.created_at,
        ),
    )
    known.messages += 1
    known.trouble += row.fate in Group.TROUBLE.fates
