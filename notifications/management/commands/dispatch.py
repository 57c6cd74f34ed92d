"""``manage.py dispatch``: the poller that needs neither Celery nor a broker (F02)."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connections
from django.utils import timezone

from notifications import audit, bell, closing, delivery, digests, fanout, reconcile, subscriptions
from notifications.book import AWAY
from notifications.enums import Pool
from notifications.models import Announcement

log = logging.getLogger(__name__)

#: Work that has been lying for so long was not heard by a worker.
UNHEARD_SECONDS = 2.0
POLL_SECONDS = 1.0
#: How often leases are reaped and followers let go.
SWEEP_SECONDS = 2.0
#: How often it looks whether a minute was left without an audit.
AUDIT_LOOK_SECONDS = 5.0
#: How often Twilio is asked about texts in doubt.
RECONCILE_SECONDS = 30.0


class Command(BaseCommand):
    help = (
        "Send what the doorbell forgot: writes down recipients, sends what has been due for 2 s, takes back what dead "
        "workers held. Needs only the database and the relay. Any number may run; SIGTERM stops it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do everything that is due now, then end.")
        parser.add_argument("--eager", action="store_true", help="Do not leave fresh work to the workers for 2 s.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.patience = 0.0 if options["eager"] or options["once"] else UNHEARD_SECONDS
        if options["once"]:
            _sweep(self.patience)
            for pool in Pool:
                delivery.drain(pool, seconds=3600.0)
            _audit()
            return
        # What runs here looks for work by itself.
        bell.mute()
        over = threading.Event()

        def close(*_: Any) -> None:
            closing.stop()
            over.set()

        signal.signal(signal.SIGTERM, close)
        signal.signal(signal.SIGINT, close)
        rounds = [threading.Thread(target=self._senders, args=(pool, over), daemon=True) for pool in Pool]
        rounds.append(threading.Thread(target=self._sweeper, args=(over,), daemon=True))
        # By itself: nobody waits for an audit.
        rounds.append(
            threading.Thread(target=_rounds, args=(_audit, over), kwargs={"every": AUDIT_LOOK_SECONDS}, daemon=True)
        )
        rounds.append(
            threading.Thread(target=_rounds, args=(_reconcile, over), kwargs={"every": RECONCILE_SECONDS}, daemon=True)
        )
        for thread in rounds:
            thread.start()
        over.wait()
        for thread in rounds:
            thread.join()

    def _senders(self, pool: str, over: threading.Event) -> None:
        _rounds(lambda: delivery.drain(pool, lying_for=self.patience), over, every=POLL_SECONDS)

    def _sweeper(self, over: threading.Event) -> None:
        _rounds(lambda: _sweep(self.patience), over, every=SWEEP_SECONDS if self.patience else POLL_SECONDS)


def _sweep(patience: float) -> None:
    delivery.sweep()
    subscriptions.answer(at=timezone.now())
    digests.send(timezone.now())
    for announcement in Announcement.objects.lying(patience):
        fanout.expand(announcement.pk)


def _reconcile() -> None:
    reconcile.run(at=timezone.now())


def _audit() -> None:
    audit.run_if_due(timezone.now())


def _rounds(once: Callable[[], object], over: threading.Event, *, every: float) -> None:
    """Round after round; the next one tries again whatever happened to this one."""
    while not over.is_set():
        try:
            once()
        except AWAY as error:
            log.warning("The database is away: %s", error)
            connections.close_all()
        except Exception:
            log.exception("A round of the dispatcher failed; the next one follows.")
            connections.close_all()
        over.wait(every)
    connections.close_all()
