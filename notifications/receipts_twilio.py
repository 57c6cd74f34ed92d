"""What Twilio says of a text afterwards, in our words (R-806): its status callbacks, and what we ask it.

Callbacks come twice, late, in any order, and before we have written down that the text left. Each is
heard once; after the last word on a text nothing changes it any more; and words about an earlier
copy never end a later one.
"""

from __future__ import annotations

from datetime import datetime

from notifications import optouts, receipts
from notifications.callbacks import Named
from notifications.channels.twilio_codes import Fault, meaning, said
from notifications.models import Delivery, Receipt
from notifications.receipts import Heard

SOURCE = "twilio"
#: What people text us, as a source of receipts.
TEXTS = "twilio-in"
#: Twilio has the text; what becomes of it is open.
_UNDER_WAY = ("accepted", "scheduled", "queued", "sending", "sent")
_ARRIVED = ("delivered", "read")
_FAILED = ("undelivered", "failed", "canceled")
_LAST = (*_ARRIVED, *_FAILED)


def hear(named: Named, sid: str, status: str, code: int, *, at: datetime, asked: bool = False) -> bool:
    """Write down what became of a copy of a text. ``code`` 0: no error. False when that was heard before.

    ``asked``: we asked, and hear it once more although it may have been called in: then the row was
    still in a worker's hands, who is gone.
    """
    row = Delivery.objects.filter(pk=named.delivery).select_related("subscriber").first()
    heard = Heard(
        source=SOURCE,
        event=f"{sid}:{status}{':asked' if asked else ''}",
        word=status,
        delivery=row.pk if row else None,
        at=at,
        detail=said(code) if code else "",
    )
    if row is None or _last_word_was_said(sid):
        return receipts.note(heard)
    if row.fence != named.fence:
        return _hear_of_an_older_copy(heard)
    if status in _FAILED:
        return _hear_of_a_failure(heard, row, code)
    if status in _ARRIVED:
        new = receipts.delivered(heard)
    elif status in _UNDER_WAY:
        new = receipts.accepted(heard)
    else:
        return receipts.note(heard)
    Delivery.objects.filter(pk=row.pk, receipt="").update(receipt=sid)
    return new


def _last_word_was_said(sid: str) -> bool:
    last = [f"{sid}:{status}" for status in _LAST]
    return Receipt.objects.filter(source=SOURCE, event__in=last).exists()


def _hear_of_an_older_copy(heard: Heard) -> bool:
    """That one left after all: nobody needs another. That it failed says nothing of the one sent since."""
    if heard.word in (*_UNDER_WAY, *_ARRIVED):
        return receipts.accepted(heard, earlier=True)
    return receipts.note(heard)


def _hear_of_a_failure(heard: Heard, row: Delivery, code: int) -> bool:
    fault = meaning(code).fault
    if fault is Fault.NUMBER:
        return receipts.bounced(heard, for_good=True)
    if fault is not Fault.STOPPED:
        return receipts.failed(heard)
    if number := row.address or (row.subscriber.address if row.subscriber else ""):
        optouts.stop(number, at=heard.at)
    return receipts.returned(heard)
