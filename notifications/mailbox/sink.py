"""The relay itself: accepts everything over SMTP and puts it into the box."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from notifications.mailbox.box import Box

#: Larger mail is refused with 552, as relays do.
LARGEST = 12_000_000


class Sink:
    """What aiosmtpd asks for each message."""

    def __init__(self, box: Box) -> None:
        self.box = box

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        key = self.box.add(content, recipients=list(envelope.rcpt_tos), sender=envelope.mail_from or "")
        return f"250 2.0.0 Kept as {key}"


def protocol(box: Box) -> SMTP:
    """One connection."""
    return SMTP(Sink(box), data_size_limit=LARGEST, enable_SMTPUTF8=True, hostname="mailbox.invalid", ident="Mailbox")


async def serve(folder: Path, port: int) -> None:
    """Listen on 127.0.0.1 until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    box = Box(folder)
    loop = asyncio.get_running_loop()
    enough = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, enough.set)
    server = await loop.create_server(lambda: protocol(box), "127.0.0.1", port)
    try:
        await enough.wait()
    finally:
        server.close()
