"""Time that a person takes out, with a reason: caused by the customer, force majeure, as the contract says (R-902).

Never edited: an exclusion is withdrawn, and another one made.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from incidents.models import Incident
from notifications.models import Customer
from postmortems.credits.assessing import mark_incidents
from postmortems.enums import ExclusionKind
from postmortems.models import Exclusion

from .moves import NotAllowed, because


@transaction.atomic
def exclude(
    incident: Incident,
    *,
    customer: Customer | None,
    kind: ExclusionKind,
    starts_at: datetime | None,
    ends_at: datetime | None,
    reason: str,
    by: User,
    at: datetime,
) -> Exclusion:
    """Take time of an incident out, for one customer or (None) for all; without ends from its beginning, to its end.

    Raises NotAllowed: no reason, or it ends before it begins.
    """
    if not (words := reason.strip()):
        raise NotAllowed("Say why: the reason is kept with the exclusion.")
    if starts_at and ends_at and ends_at <= starts_at:
        raise NotAllowed("What is excluded ends after it begins.")
    made = Exclusion.objects.create(
        incident=incident,
        customer=customer,
        kind=kind,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=words,
        made_at=at,
        made_by=by,
    )
    mark_incidents([incident.pk], at=at)
    return made


@transaction.atomic
def withdraw(exclusion: Exclusion, *, reason: str, by: User, at: datetime) -> Exclusion:
    """It counts no longer. Raises NotAllowed: no reason, or it was withdrawn already."""
    standing = Exclusion.objects.filter(pk=exclusion.pk, withdrawn_at=None)
    withdrawn = standing.update(withdrawn_at=at, withdrawn_by=by, withdrawn_because=because(reason))
    if not withdrawn:
        raise NotAllowed("It was withdrawn already.")
    mark_incidents([exclusion.incident_id], at=at)
    exclusion.refresh_from_db()
    return exclusion
