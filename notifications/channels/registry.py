"""Which channels there are: delivery asks here and knows none of them by name."""

from __future__ import annotations

from notifications.channels import chat, email, sms, webhook, whatsapp
from notifications.channels.port import Port

_PORTS = (email.PORT, sms.PORT, whatsapp.PORT, webhook.PORT, chat.CHAT, chat.SOCIAL)
PORTS: dict[str, Port] = {port.channel: port for port in _PORTS}


def off(channel: str) -> str:
    """Why nothing can be sent by a channel at present, in words for an operator; "" when it can."""
    port = PORTS.get(channel)
    return port.off() if port else "Not part of this version."
