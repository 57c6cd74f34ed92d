"""Links by which customers see their credits: read only, for half a year, and revoked at any time (R-906).

The link is random and only its hash is kept: nobody who reads the database can open a page.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse

from notifications.models import Contact, Customer
from postmortems.models import StatementLink

LIFE = timedelta(days=180)
#: A visit is noted once in so long: a page that is read writes nothing else.
_NOTED = timedelta(hours=1)
_CONTACT = "contact:"


def make(customer: Customer, *, given_to: str, by: User | None, at: datetime) -> str:
    """A new link, absolute. It cannot be read again later. One query."""
    token = secrets.token_urlsafe(32)
    StatementLink.objects.create(
        customer=customer,
        digest=_digest(token),
        given_to=given_to[:250],
        made_at=at,
        made_by=by,
        expires_at=at + LIFE,
    )
    return f"{settings.SITE_URL}{reverse('credits:statement', args=[token])}"


def of_contact(contact: Contact) -> str:
    """What stands in ``given_to``: no name and no address, so that there is nothing to forget (R-807)."""
    return f"{_CONTACT}{contact.pk}"


def shown(customer: Customer, most: int) -> list[tuple[StatementLink, str]]:
    """The newest links, each with to whom it was given, as contacts are called now. Two queries."""
    links = list(StatementLink.objects.filter(customer=customer).select_related("made_by")[:most])
    names = {of_contact(one): f"{one.name}, {one.email}" for one in Contact.objects.filter(customer=customer)}
    gone = "A contact who is no longer known"
    return [
        (link, names.get(link.given_to, gone) if link.given_to.startswith(_CONTACT) else link.given_to)
        for link in links
    ]


def holder(token: str, *, at: datetime) -> Customer | None:
    """Whose page it opens; None for unknown, expired and revoked links alike. Notes that it was used."""
    links = StatementLink.objects.valid(at).select_related("customer")
    link = links.filter(digest=_digest(token)).first()
    if link is None:
        return None
    if link.last_seen_at is None or link.last_seen_at < at - _NOTED:
        StatementLink.objects.filter(pk=link.pk).update(last_seen_at=at)
    return link.customer


@transaction.atomic
def revoke(link: StatementLink, *, by: User, at: datetime) -> None:
    """It opens nothing any more. Twice is once."""
    StatementLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=at, revoked_by=by)


@transaction.atomic
def revoke_all(customer: Customer, *, by: User, at: datetime) -> int:
    """None of this customer's links opens anything any more, letters' among them; how many there were."""
    return StatementLink.objects.valid(at).filter(customer=customer).update(revoked_at=at, revoked_by=by)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
