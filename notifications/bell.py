"""The doorbell: tells workers that there is work, and never minds when nobody hears (F02)."""

from __future__ import annotations

import logging

from celery import current_app

log = logging.getLogger(__name__)


def ring_fan_out(announcement_id: int) -> None:
    """Ask a worker to write down the recipients of an announcement."""
    _ring("notifications.tasks.fan_out", announcement_id)


def ring_deliver(pool: str) -> None:
    """Ask a worker to empty a pool of deliveries."""
    _ring("notifications.tasks.deliver", str(pool))


def ring_sign_ups() -> None:
    """Ask a worker to answer those who asked to be subscribed."""
    _ring("notifications.tasks.answer_sign_ups")


def _ring(task: str, *arguments: int | str) -> None:
    try:
        current_app.send_task(task, args=arguments, ignore_result=True)
    except Exception as error:  # whatever ails the broker, the sweep finds the work
        log.warning("The bell for %s did not ring (%s); the sweep will find the work.", task, error)
