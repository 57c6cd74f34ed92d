"""SMS: by Twilio or by Amazon SNS, off until one of them is set up (R-801)."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from notifications import optouts, spending, suppression, texts
from notifications.channels import port, sns, twilio
from notifications.channels.email import backoff
from notifications.channels.port import Answer, Port, Verdict
from notifications.channels.twilio_codes import said
from notifications.enums import Channel, Fate
from notifications.queue import Item

#: What a provider says of a number whose owner told it STOP.
_STOPPED = (said(21610), sns.OPTED_OUT)
_NEEDED = {
    "TWILIO_ACCOUNT_SID": "account_sid",
    "TWILIO_AUTH_TOKEN": "auth_token",
    "TWILIO_SMS_FROM": "sms_from",
}


def off() -> str:
    """Why no SMS can leave, in words for an operator; "" when they can."""
    match settings.SMS_PROVIDER:
        case "":
            return "SMS is not set up: SMS_PROVIDER is empty."
        case "twilio":
            missing = [name for name, key in _NEEDED.items() if not settings.TWILIO[key]]
            return f"SMS through Twilio is not complete: set {' and '.join(missing)}." if missing else ""
        case "sns":
            return sns.off()
    return f"SMS_PROVIDER is “{settings.SMS_PROVIDER}”: it can be twilio or sns."


def wire() -> port.Wire:
    return sns.Wire() if settings.SMS_PROVIDER == "sns" else twilio.Wire(Channel.SMS)


def withheld(item: Item, mould: port.Mould) -> tuple[Fate, str] | None:
    """The last look before a text leaves: nobody who said STOP is texted, and no cap is passed (S19, F05)."""
    assert isinstance(mould, texts.TextMould)
    if suppression.stopped(item.address):
        return Fate.SUPPRESSED, optouts.REASON
    if item.attempts:
        return None
    reached = spending.charge(mould.segments, lane=mould.lane, is_code=mould.is_code, at=timezone.now())
    return (Fate.DEAD, reached) if reached else None


def settled(item: Item, answer: Answer) -> None:
    """Who told the provider STOP told us (S19)."""
    if answer.verdict is Verdict.BOUNCED and answer.reason in _STOPPED:
        optouts.stop(item.address, at=timezone.now())


PORT = Port(Channel.SMS, wire=wire, mould=texts.sms, off=off, backoff=backoff, settled=settled, withheld=withheld)
