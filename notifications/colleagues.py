"""Writing to people of our own, each on their own channel (R-302)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from notifications import outbox
from notifications.channels import registry
from notifications.enums import Channel
from notifications.models import Announcement, Brand
from notifications.stories import Letter

#: What was urgent yesterday is on the dashboard today.
LIFE = timedelta(days=1)


@dataclass(frozen=True)
class Reach:
    """How one person is reached now; ``address`` is a number in E.164 where ``channel`` is SMS."""

    user_id: int
    name: str
    channel: Channel
    address: str


def reach(people: Iterable[int]) -> dict[int, Reach]:
    """How these people are reached, by id of their login; who cannot be is left out. One query.

    Who wants texts gets e-mail while texts cannot be sent. Logins that are switched off are not written to.
    """
    texts = not registry.off(Channel.SMS)
    found = {}
    for user in User.objects.filter(pk__in=set(people), is_active=True).select_related("colleague"):
        own = getattr(user, "colleague", None)
        name = user.get_full_name() or user.get_username()
        if own and own.channel == Channel.SMS and texts:
            found[user.pk] = Reach(user.pk, name, Channel.SMS, own.phone)
        elif user.email:
            found[user.pk] = Reach(user.pk, name, Channel.EMAIL, user.email)
    return found


def write(
    to: Reach, letter: Letter, *, subject: str, brand: Brand, at: datetime, life: timedelta = LIFE
) -> Announcement:
    """Write to one of us, in the transaction of what they are told about. Raises ``lint.Unsendable`` (R-111).

    Each letter has a lane of its own, so that two who write at once do not wait for each other.
    """
    return outbox.write_to(
        [to.address],
        letter,
        subject=subject[:250],
        brand=brand,
        lane=f"staff:{to.user_id}:{uuid.uuid4()}",
        at=at,
        channel=to.channel,
        life=life,
    )
