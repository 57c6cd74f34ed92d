"""``manage.py dispatch``: the poller that needs neither Celery nor a broker (F02)."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
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
#: How often it looks for digests whose time has come: it reads all that is held for one.
DIGEST_SECONDS = 30.0


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
            self._once()
            return
        # What runs here looks for work by itself.
        bell.mute()
        over = threading.Event()

        def close(*_: Any) -> None:
            closing.stop()
            over.set()

        signal.signal(signal.SIGTERM, close)
        signal.signal(signal.SIGINT, close)
        rounds = [
            threading.Thread(target=_rounds, args=(job, over), kwargs={"every": seconds}, daemon=True)
            for job, seconds in self._jobs()
        ]
        for thread in rounds:
            thread.start()
        over.wait()
        for thread in rounds:
            thread.join()

    def _jobs(self) -> list[tuple[Callable[[], object], float]]:
        """What is done, and how often. Each by itself: none waits for another, or fails because of it (F19)."""
        sweep_seconds = SWEEP_SECONDS if self.patience else POLL_SECONDS
        senders = [(partial(self._send, pool), POLL_SECONDS) for pool in Pool]
        return [
            *senders,
            (partial(_fan_out, self.patience), sweep_seconds),
            (_sweep, sweep_seconds),
            (_answer, sweep_seconds),
            (_digests, DIGEST_SECONDS),
            (_reconcile, RECONCILE_SECONDS),
            (_audit, AUDIT_LOOK_SECONDS),
        ]

    def _send(self, pool: str) -> None:
        delivery.drain(pool, lying_for=self.patience)

    def _once(self) -> None:
        """One after the other; what fails is told in the end, when everything else is done."""
        senders = [partial(delivery.drain, pool, seconds=3600.0) for pool in Pool]
        jobs: list[Callable[[], object]] = [
            _sweep,
            _answer,
            _digests,
            partial(_fan_out, self.patience),
            *senders,
            _audit,
        ]
        failed = []
        for job in jobs:
            try:
                job()
            except Exception as error:
                log.exception("A part of the round failed; the others follow.")
                failed.append(error)
        if failed:
            raise CommandError(f"{len(failed)} parts of the round failed; see the log.") from failed[0]


def _sweep() -> None:
    delivery.sweep()


def _fan_out(patience: float) -> None:
    for announcement in Announcement.objects.lying(patience):
        try:
            fanout.expand(announcement.pk)
        except DatabaseError:
            raise
        except Exception:  # one that cannot be written down must not keep the others (F18)
            log.exception("The readers of announcement %d cannot be written down.", announcement.pk)


def _answer() -> None:
    subscriptions.answer(at=timezone.now())


def _digests() -> None:
    digests.send(timezone.now())


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
