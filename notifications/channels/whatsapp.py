"""WhatsApp by Twilio: the wire of SMS with addresses and a sender of its own, off until that is named (R-801)."""

from __future__ import annotations

from django.conf import settings

from notifications import texts
from notifications.channels import sms, twilio
from notifications.channels.email import backoff
from notifications.channels.port import Port
from notifications.enums import Channel

_NEEDED = {"TWILIO_ACCOUNT_SID": "account_sid", "TWILIO_AUTH_TOKEN": "auth_token"}


def off() -> str:
    """Why nothing can leave by WhatsApp, in words for an operator; "" when it can."""
    if not settings.TWILIO["whatsapp_from"]:
        return "WhatsApp is not set up: TWILIO_WHATSAPP_FROM is empty."
    missing = [name for name, key in _NEEDED.items() if not settings.TWILIO[key]]
    return f"WhatsApp is not complete: set {' and '.join(missing)}." if missing else ""


PORT = Port(
    Channel.WHATSAPP,
    wire=lambda: twilio.Wire(Channel.WHATSAPP),
    mould=texts.whatsapp,
    off=off,
    backoff=backoff,
    settled=sms.settled,
    withheld=sms.withheld,
)
