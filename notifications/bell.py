"""The doorbell: tells workers that there is work, and never minds when nobody hears (F02)."""

from __future__ import annotations

import logging
import time

from celery import current_app

log = logging.getLogger(__name__)

#: After a failed ring nobody tries for this long: a dead broker must not slow down what does not need it.
SILENCE_SECONDS = 5.0


class _Bell:
    silent_until = 0.0


def ring_fan_out(announcement_id: int) -> None:
    """Ask a worker to write down the recipients of an announcement."""
    _ring("notifications.tasks.fan_out", announcement_id, queue="celery")


def ring_deliver(pool: str) -> None:
    """Ask a worker to empty a pool of deliveries. Each pool has a queue of its own name (F19)."""
    _ring("notifications.tasks.deliver", str(pool), queue=str(pool))


def ring_sign_ups() -> None:
    """Ask a worker to answer those who asked to be subscribed; in the letters' queue, behind no news (F19)."""
    _ring("notifications.tasks.answer_sign_ups", queue="letters")


def mute() -> None:
    """For a process that looks for work by itself."""
    _Bell.silent_until = float("inf")


def _ring(task: str, *arguments: int | str, queue: str) -> None:
    if time.monotonic() < _Bell.silent_until:
        return
    try:
        current_app.send_task(task, args=arguments, queue=queue, ignore_result=True)
    except Exception as error:  # whatever ails the broker, the sweep finds the work
        _Bell.silent_until = time.monotonic() + SILENCE_SECONDS
        log.warning("The bell for %s did not ring (%s); the sweep will find the work.", task, error)
