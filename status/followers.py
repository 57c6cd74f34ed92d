"""Following one notice ends by itself: a day after it is over (R-802)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from notifications import subscriptions
from notifications.models import Follow
from status.models import Notice

#: An incident that comes back within this time is still followed.
AFTERWARDS = timedelta(days=1)


def let_go(*, at: datetime) -> int:
    """End what has been over for AFTERWARDS. Returns how many followers were let go; again changes nothing."""
    followed = set(Follow.objects.order_by().values_list("lane", flat=True).distinct())
    ids = [lane.removeprefix("notice:") for lane in followed]
    ended = at - AFTERWARDS
    going_on = Q(resolved_at__isnull=True, withdrawn_at__isnull=True)
    lately = Q(resolved_at__gt=ended, withdrawn_at__isnull=True) | Q(withdrawn_at__gt=ended)
    kept = {notice.lane for notice in Notice.objects.filter(going_on | lately, public_id__in=ids)}
    return subscriptions.end_follows(sorted(followed - kept), at=at)
