"""What people are written about their own subscription, as words: never news (R-802).

Each function returns a subject and a letter; nothing is written down here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from notifications import codes, tokens
from notifications.enums import Channel
from notifications.models import Brand, Subscriber
from notifications.segments import Sms, plainly
from notifications.stories import Letter

#: What one text message holds goes out as one: codes are paid for by the part (S19).
_TEXTS = (
    "{code} is your code for {brand} status updates. It works for {minutes} minutes. Tell it to nobody.",
    "{code} is your code for {brand} status updates.",
    "{brand}: {code}",
)
_MINUTES = int(codes.LIFE.total_seconds() // 60)


def confirm(subscriber: Subscriber, brand: Brand, follows: Sequence[str], at: datetime) -> tuple[str, Letter]:
    """Asks the owner of a mailbox, or of a chat room, to begin.

    ``follows``: names of incidents, empty ones where the brand must not say them.
    """
    hours = int(tokens.CONFIRM_LIFE.total_seconds() // 3600)
    begin = f"{_asked(subscriber, brand, follows)} They begin when you confirm. The button works for {hours} hours."
    letter = Letter(
        heading="Please confirm your subscription",
        paragraphs=(begin, "If it was not you, do nothing: you will not be subscribed."),
        button="Confirm subscription",
        url=tokens.url(tokens.make(subscriber, tokens.CONFIRM, at=at), tokens.CONFIRM),
    )
    return f"Confirm your subscription to {brand.name} status updates", letter


def follow(subscriber: Subscriber, brand: Brand, follows: Sequence[str], at: datetime) -> tuple[str, Letter]:
    """Asks somebody who is subscribed whether they also want to hear of these incidents to their end."""
    letter = Letter(
        heading="Follow this incident?" if len(follows) == 1 else "Follow these incidents?",
        paragraphs=(
            _asked(subscriber, brand, follows),
            "You are subscribed already. When you confirm, you hear of this one whatever else you chose.",
            "If it was not you, do nothing: nothing changes.",
        ),
        button="Follow",
        url=tokens.url(tokens.make(subscriber, tokens.CONFIRM, at=at), tokens.CONFIRM),
    )
    return f"Follow an incident of {brand.name}", letter


def settings(subscriber: Subscriber, brand: Brand) -> tuple[str, Letter]:
    """Tells somebody who is subscribed that nothing has changed, and where they could."""
    letter = Letter(
        heading="You are subscribed already",
        paragraphs=(
            _asked(subscriber, brand, ()),
            "It is subscribed already, and nothing has changed.",
            "Here you can see and change what you hear about, or unsubscribe.",
        ),
        button="Open your settings",
        url=tokens.url(tokens.make(subscriber, tokens.MANAGE), tokens.MANAGE),
    )
    return f"Your subscription to {brand.name} status updates", letter


def code(code: str, subscriber: Subscriber, brand: Brand, others: int, at: datetime) -> tuple[str, Letter]:
    """A code for the settings, and a link for those who read the letter where they want to see them."""
    more: tuple[str, ...] = ()
    if others:
        more = (f"{others + 1} subscriptions belong to this address. The code shows them all, the button one.",)
    letter = Letter(
        heading=f"Your code is {code}",
        paragraphs=(
            f"Enter it on the page where you asked for it. It works once, for {_MINUTES} minutes.",
            *more,
            "If you did not ask for it, do nothing: nobody else can see or change your subscription.",
        ),
        button="Open your settings",
        url=tokens.url(tokens.make(subscriber, tokens.MANAGE, at=at, life=tokens.VISIT), tokens.MANAGE),
    )
    return f"Your code for {brand.name} status updates", letter


def text(code: str, brand: Brand) -> tuple[str, Letter]:
    """A code as a text message, in one part whatever the brand is called."""
    tried = [plainly(words.format(code=code, brand=brand.name, minutes=_MINUTES)) for words in _TEXTS]
    said = next((words for words in tried if Sms(words).segments == 1), tried[-1])
    return f"A code for {brand.name} status updates", Letter(heading="A code", paragraphs=(), sms=said)


def alarm(share: codes.Share, brand: Brand) -> tuple[str, Letter]:
    """Tells our own people that hardly anybody enters the codes we pay for (S19)."""
    letter = Letter(
        heading="Hardly any codes are entered",
        paragraphs=(
            f"Of {share.sent} codes that were sent to phones within a day, {share.entered} were entered.",
            "Somebody may be signing up with numbers that earn them money. Look at the bill of your SMS "
            "provider by country, and take countries you do not serve out of SMS_COUNTRIES.",
        ),
    )
    return f"{brand.name} status: few of the codes by SMS are entered", letter


def _asked(subscriber: Subscriber, brand: Brand, follows: Sequence[str]) -> str:
    here = "at this address" if subscriber.channel == Channel.EMAIL else f"in {subscriber.address}"
    named = " and ".join(f"“{name}”" if name else "an incident" for name in follows)
    wish = f"updates of {brand.name} about {named}" if follows else f"status updates of {brand.name}"
    you = "perhaps you" if subscriber.is_active else "we hope you"
    return f"Somebody, {you}, asked for {wish} {here}."
