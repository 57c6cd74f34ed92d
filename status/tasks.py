"""Work of the public page on the timetable."""

from celery import shared_task
from django.utils import timezone

from status import followers
from status.page import press


@shared_task(name="status.tasks.press")
def press_page() -> None:
    """Press what may have changed by itself: a new day, a passed promise, a crash between commit and press (F02)."""
    press.press_due()


@shared_task(name="status.tasks.let_followers_go")
def let_followers_go() -> None:
    """Who followed what is over is told no more."""
    followers.let_go(at=timezone.now())
