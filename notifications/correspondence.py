"""Letters and codes to one person about their own subscription, as far as the limits agree (S16, S19)."""

from __future__ import annotations

import logging
from datetime import datetime

from notifications import codes, letters, limits, outbox, suppression
from notifications.enums import ENDPOINTS, PHONES, Channel
from notifications.lint import sayable
from notifications.models import Brand, Subscriber

log = logging.getLogger(__name__)

#: So many codes to phones must have had their time before their share says anything (S19).
ENOUGH_CODES, LEAST_SHARE = 25, 0.2


def ask_to_confirm(subscriber: Subscriber, *, at: datetime) -> None:
    """Send what fits: a code to a phone; a link to confirm, or to the settings, to a mailbox or a room's owner.

    The caller holds the row. Beyond the limits nothing is sent and nobody is told.
    """
    if subscriber.channel in PHONES:
        sent = text_code(subscriber, codes.CONFIRM, at=at)
    else:
        to = mailbox_of(subscriber)
        sent = bool(to) and limits.may_write(to, at=at)
        if sent:
            _write(to, subscriber, at)
    if sent:
        subscriber.confirm_sent_at = at
        subscriber.confirm_sent_count += 1
        subscriber.save(update_fields=["confirm_sent_at", "confirm_sent_count"])


def mailbox_of(subscriber: Subscriber) -> str:
    """Where letters about a subscription go: its own address, or its owner's; empty where there is none."""
    if subscriber.channel in ENDPOINTS:
        return subscriber.endpoint.owner_email
    return "" if subscriber.channel in PHONES else subscriber.address


def mail_code(address: str, subscriber: Subscriber, others: int, *, at: datetime) -> bool:
    """Mail a code for the settings of ``subscriber`` and of so many ``others``. False beyond the limits."""
    if not limits.may_mail_code(address, at=at):
        return False
    brand = Brand.objects.default()
    code = codes.make(Channel.EMAIL, address, codes.MANAGE, at=at)
    subject, letter = letters.code(code, subscriber, brand, others, at)
    outbox.write_to([address], letter, subject=subject, brand=brand, lane=_lane(subscriber), at=at, life=codes.LIFE)
    return True


def text_code(subscriber: Subscriber, purpose: str, *, at: datetime) -> bool:
    """Text a code; False, and nothing is sent, beyond the limits and to a phone that said STOP (S19).

    By SMS for every channel of phones: whoever reads it there holds the number. A code for the
    settings is the number's, whatever is subscribed there.
    """
    number = subscriber.address
    if suppression.stopped(number) or not limits.may_text(number, at=at):
        return False
    brand = Brand.objects.default()
    channel = Channel.SMS if purpose == codes.MANAGE else subscriber.channel
    subject, letter = letters.text(codes.make(channel, number, purpose, at=at), brand)
    outbox.write_to(
        [number],
        letter,
        subject=subject,
        brand=brand,
        lane=_lane(subscriber),
        at=at,
        channel=Channel.SMS,
        life=codes.LIFE,
    )
    _watch(brand, at)
    return True


def _write(to: str, subscriber: Subscriber, at: datetime) -> None:
    brand = Brand.objects.default()
    # What the brand must not say is left out: the letter goes out without.
    names = [sayable(brand, name) for name in subscriber.follows.filter(since=None).values_list("name", flat=True)]
    if not subscriber.is_active:
        subject, letter = letters.confirm(subscriber, brand, names if subscriber.follows_only else (), at)
    elif names:
        subject, letter = letters.follow(subscriber, brand, names, at)
    else:
        subject, letter = letters.settings(subscriber, brand)
    outbox.write_to([to], letter, subject=subject, brand=brand, lane=_lane(subscriber), at=at)


def _lane(subscriber: Subscriber) -> str:
    return f"subscriber:{subscriber.public_id}"


def _watch(brand: Brand, at: datetime) -> None:
    """Raise the alarm, once a day, when hardly any codes are entered: somebody may be paid for them (S19)."""
    share = codes.share(PHONES, at=at)
    if share.sent < ENOUGH_CODES or share.entered >= LEAST_SHARE * share.sent:
        return
    if limits.take("alarm", "codes", most=1, per=limits.DAY, at=at):
        log.error("Of %d codes sent to phones within a day, only %d were entered.", share.sent, share.entered)
        subject, letter = letters.alarm(share, brand)
        to = [brand.security_email or brand.support_email]
        outbox.write_to(to, letter, subject=subject, brand=brand, lane="alarm:codes", at=at)
