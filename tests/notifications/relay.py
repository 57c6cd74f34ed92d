"""A scriptable relay: a real aiosmtpd server whose answers a test may choose."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

CROWDED = "421 4.7.0 Too many connections"


class Kept(NamedTuple):
    to: str
    sender: str
    content: bytes


class Relay:
    """``say`` maps MAIL, RCPT, DATA (the answer to the message) to a reply, or to a function of the recipient.

    The reply ``hang up`` closes the connection instead of answering; None accepts. ``most``: so many
    connections at a time are welcome.
    """

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.say: dict[str, str | Callable[[str], str | None] | None] = {}
        self.pipelining = True
        self.sessions = 0
        self.most = 1000
        self._open: list[SMTP] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._controller = Controller(self, "127.0.0.1", self.port, enable_SMTPUTF8=True)

    def __enter__(self) -> Relay:
        self._controller.start()
        self.sessions = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._controller.stop()

    @property
    def readers(self) -> list[str]:
        return sorted(kept.to for kept in self.kept)

    def _reply(self, verb: str, address: str, server: SMTP) -> str | None:
        reply = self.say.get(verb)
        reply = reply(address) if callable(reply) else reply
        if reply == "hang up":
            server.transport.abort()
            return "250 nobody hears this"
        return reply

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if self._crowded(server):
            return [CROWDED]
        self.sessions += 1
        return [responses[0], *(["250-PIPELINING"] if self.pipelining else []), *responses[1:]]

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        session.host_name = hostname
        return CROWDED if self._crowded(server) else f"250 {server.hostname}"

    def _crowded(self, server: SMTP) -> bool:
        self._open = [one for one in self._open if one.transport and not one.transport.is_closing()]
        if len(self._open) < self.most:
            self._open.append(server)
        return server not in self._open

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self._reply("MAIL", address, server):
            return reply
        envelope.mail_from = address
        return "250 ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self._reply("RCPT", address, server):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        to = envelope.rcpt_tos[0]
        content: Any = envelope.original_content or envelope.content
        self.kept.append(Kept(to, str(envelope.mail_from), content))
        reply = self._reply("DATA", to, server)
        if reply and not reply.startswith("2"):
            if reply != "hang up" and not reply.startswith("250"):
                self.kept.pop()
            return reply
        return reply or "250 kept"
