"""What the doorbell starts. Tasks carry ids only and may come late, twice or never (F02, F13)."""

from __future__ import annotations

import signal
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init, worker_shutting_down
from django.utils import timezone

from notifications import audit, bell, closing, delivery, digests, fanout, reconcile, retention, subscriptions
from notifications.enums import Pool
from notifications.models import Announcement, SignUp


@shared_task
def fan_out(announcement_id: int) -> None:
    """Write down the recipients of an announcement; each chunk rings for the senders."""
    fanout.expand(announcement_id)


@shared_task
def deliver(pool: str) -> None:
    """Empty a pool; when time is up before the pool is empty, ring again so that others get a turn."""
    if delivery.drain(pool) and not closing.stopping() and delivery.due(pool, timezone.now()):
        bell.ring_deliver(pool)


@shared_task
def answer_sign_ups() -> None:
    """Mail those who asked on the public form a link to confirm (R-802)."""
    subscriptions.answer(at=timezone.now())


@shared_task
def sweep() -> None:
    """Find whatever was lost on the way: leases of the dead, followers to let go, bells nobody heard."""
    delivery.sweep()
    if SignUp.objects.exists():
        bell.ring_sign_ups()
    for announcement_id in Announcement.objects.unexpanded().values_list("pk", flat=True):
        bell.ring_fan_out(announcement_id)
    for pool in Pool:
        if delivery.due(pool, timezone.now()):
            bell.ring_deliver(pool)


@shared_task
def send_digests() -> None:
    """Write the digests whose time has come (R-1314)."""
    digests.send(timezone.now())


@shared_task
def reconcile_texts() -> None:
    """Ask Twilio about texts that nobody knows the end of (F05)."""
    reconcile.run(at=timezone.now())


@shared_task
def forget() -> None:
    """Forget what is kept no longer: sign-ups nobody confirmed, names of those who left (S29)."""
    retention.forget(at=timezone.now())


@shared_task
def audit_deliveries() -> None:
    """Audit this minute, if nobody has (F22)."""
    audit.run_if_due(timezone.now())


@worker_shutting_down.connect
def close(**_: Any) -> None:
    """SIGTERM: no new claims; what is in flight is finished, the rest handed back (F30)."""
    closing.stop()


@worker_process_init.connect
def finish_first(**_: Any) -> None:
    """A child that is sent SIGTERM itself (whole process groups are) finishes its message, too."""
    signal.signal(signal.SIGTERM, lambda *_: closing.stop())
