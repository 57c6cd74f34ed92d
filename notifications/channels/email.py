"""The wire of e-mail: SMTP, one recipient per transaction, every answer sorted by whose fault it is (F04).

Over ``smtplib``, but not through its ``sendmail``: the reply to the final dot is the outcome, a
refused recipient is seen, the connection is kept between messages, and every wait has an end.
Where the relay offers PIPELINING, sender, recipient and DATA travel in one packet.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from random import SystemRandom
from typing import Any, cast

from django.conf import settings
from django.core.mail.utils import DNS_NAME

from notifications import verp
from notifications.channels import port, provider
from notifications.channels.port import Answer, Outage, Port, Verdict
from notifications.compiler import Mould, mould
from notifications.enums import Channel
from notifications.queue import Item

_random = SystemRandom()
#: Seconds between tries: full jitter over BACKOFF · 2ⁿ, at most BACKOFF_CAP (F04).
BACKOFF, BACKOFF_CAP = 30.0, 900.0

_DOT = b".\r\n"
#: A reply longer than this is not one (corpus: "64 KiB line", endless multi-line).
_MAX_LINE, _MAX_LINES = 8192, 100
_ENHANCED = re.compile(r"\b5\.(\d{1,3})\.(\d{1,3})\b")
_ANY_ENHANCED, _PLAIN = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b"), re.compile(r"\b[45]\d\d\b")
_ABOUT_US = re.compile(
    r"relay|policy|spam|blocked|block list|blocklist|blacklist|denied|auth|reputation|rate|limit|not permitted", re.I
)


class _Lost(Exception):
    """The connection broke; ``after_dot`` tells whether the message may have left."""

    def __init__(self, reason: str, *, after_dot: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_dot = after_dot


class Wire:
    """One connection to the relay of ``settings.SMTP``, with at most one message in flight."""

    def __init__(self) -> None:
        self._relay: dict[str, Any] = settings.SMTP
        self._smtp: smtplib.SMTP | None = None
        self._returning = verp.returning()
        self._used = False
        #: What the relay said and was not read yet, and how long the socket waits at present.
        self._heard = b""
        self._patience = 0.0

    def open(self) -> None:
        """Connect, encrypt and log in, unless that is done. Raises Outage."""
        if self._smtp is not None:
            return
        try:
            self._smtp = self._connect()
        except smtplib.SMTPAuthenticationError as error:
            raise Outage(
                f"The relay refuses our login: {_words(error.smtp_code, error.smtp_error)}", ours=True
            ) from error
        except smtplib.SMTPResponseException as error:
            raise Outage(
                f"The relay does not want to talk: {_words(error.smtp_code, error.smtp_error)}",
                ours=error.smtp_code >= 500,
            ) from error
        except (smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
            raise Outage(f"No secure connection to the relay: {error}", ours=True) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Outage(f"No connection to the relay: {error}", ours=False) from error
        self._used, self._heard, self._patience = False, b"", 0.0

    def send(self, item: Item, message: bytes, mould: port.Mould, *, deadline: float) -> Answer:
        """Hand one message over; ``mould`` is ``compiler.mould``'s. Raises Outage."""
        sender = self._returning(item.id) if self._returning else cast(Mould, mould).sender
        return self.hand_over(sender, item.address, message, deadline=deadline)

    def hand_over(self, sender: str, address: str, message: bytes, *, deadline: float) -> Answer:
        """One transaction. ``deadline`` is by ``time.monotonic``; no wait goes beyond it (F12).

        Raises Outage when the connection is gone and no new one is to be had; then nothing left.
        """
        try:
            envelope = _envelope(address)
        except UnicodeError:
            return Answer(Verdict.NEVER, "The address cannot be written in an envelope.")
        self.open()
        reused = self._used
        try:
            return self._transact(sender, envelope, message, deadline)
        except _Lost as lost:
            self.drop()
            if lost.after_dot:
                return Answer(Verdict.DOUBT, lost.reason)
            if not reused:
                return Answer(Verdict.LATER, lost.reason)
        # Relays close connections that idled or carried enough; that is not this message's failure.
        self.open()
        try:
            return self._transact(sender, envelope, message, deadline)
        except _Lost as lost:
            self.drop()
            return Answer(Verdict.DOUBT if lost.after_dot else Verdict.LATER, lost.reason)

    def close(self) -> None:
        """Say goodbye without waiting for the answer: it changes nothing any more."""
        if self._smtp is not None and self._smtp.sock is not None:
            with contextlib.suppress(OSError):
                self._smtp.sock.sendall(b"QUIT\r\n")
        self.drop()

    def drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(OSError):
                smtp.close()

    def _connect(self) -> smtplib.SMTP:
        relay = self._relay
        where = (relay["host"], relay["port"])
        options = {"local_hostname": str(DNS_NAME), "timeout": relay["connect_timeout"]}
        smtp: smtplib.SMTP
        if relay["tls"]:
            smtp = smtplib.SMTP_SSL(*where, context=ssl.create_default_context(), **options)
        else:
            smtp = smtplib.SMTP(*where, **options)
        try:
            if smtp.sock is not None:
                smtp.sock.settimeout(relay["command_timeout"])
                smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            smtp.ehlo_or_helo_if_needed()
            if relay["starttls"]:
                smtp.starttls(context=ssl.create_default_context())
                smtp.ehlo_or_helo_if_needed()
            if relay["user"]:
                smtp.login(relay["user"], relay["password"])
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _transact(self, sender: str, envelope: str, message: bytes, deadline: float) -> Answer:
        smtp = self._smtp
        if smtp is None:
            raise _Lost("The connection was closed.")
        options = ""
        if not envelope.isascii():
            if not smtp.has_extn("smtputf8"):
                return Answer(Verdict.NEVER, "The relay cannot carry addresses beyond ASCII.")
            options = " SMTPUTF8"
        talk = [f"MAIL FROM:<{sender}>{options}\r\n", f"RCPT TO:<{envelope}>\r\n", "DATA\r\n"]
        refused = self._pipelined(talk, deadline) if smtp.has_extn("pipelining") else self._in_turn(talk, deadline)
        self._used = True
        if refused is not None:
            return refused
        self._write(_stuffed(message), deadline)
        code, words = self._read(deadline, after_dot=True)
        return Answer(_sorted_body(code, words), _words(code, words))

    def _in_turn(self, talk: list[str], deadline: float) -> Answer | None:
        for stage, line in zip(("MAIL", "RCPT", "DATA"), talk, strict=True):
            self._write(line.encode(), deadline)
            code, words = self._read(deadline)
            if not _goes_on(stage, code):
                return self._refused(stage, code, words, deadline)
        return None

    def _pipelined(self, talk: list[str], deadline: float) -> Answer | None:
        self._write("".join(talk).encode(), deadline)
        replies = [(stage, *self._read(deadline)) for stage in ("MAIL", "RCPT", "DATA")]
        for stage, code, words in replies:
            if not _goes_on(stage, code):
                if replies[-1][1] == 354:
                    # It waits for a message although nobody is to get it: hang up rather than send one.
                    self.drop()
                    return Answer(sort(code, words, stage), _words(code, words))
                return self._refused(stage, code, words, deadline)
        return None

    def _refused(self, stage: str, code: int, words: str, deadline: float) -> Answer:
        if code == 421 and stage == "MAIL":
            raise _Lost(_words(code, words))
        answer = Answer(sort(code, words, stage), _words(code, words))
        try:
            self._write(b"RSET\r\n", deadline)
            clean = self._read(deadline)[0] == 250
        except _Lost:
            clean = False
        if not clean:
            self.drop()
        return answer

    def _write(self, data: bytes, deadline: float) -> None:
        sock = self._socket(deadline)
        try:
            sock.sendall(data)
        except OSError as error:
            # What could not be written whole cannot have been accepted: the dot comes last.
            raise _Lost(f"The connection broke while writing: {error}") from error

    def _read(self, deadline: float, *, after_dot: bool = False) -> tuple[int, str]:
        """One reply, all its lines. Raises _Lost for silence, an early end, or anything that is no reply."""
        text: list[bytes] = []
        while True:
            line = self._line(deadline, after_dot)
            if not line[:3].isdigit() or len(text) == _MAX_LINES:
                raise _Lost(f"No answer: not a reply: {line[:60]!r}", after_dot=after_dot)
            text.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b" ".join(text).decode("utf-8", "replace")

    def _line(self, deadline: float, after_dot: bool) -> bytes:
        while (end := self._heard.find(b"\n")) < 0:
            if len(self._heard) > _MAX_LINE:
                raise _Lost("No answer: an endless line", after_dot=after_dot)
            try:
                heard = self._socket(deadline, after_dot=after_dot).recv(_MAX_LINE)
            except OSError as error:
                raise _Lost(f"No answer: {error}", after_dot=after_dot) from error
            if not heard:
                raise _Lost("No answer: the relay hung up", after_dot=after_dot)
            self._heard += heard
        line, self._heard = self._heard[:end], self._heard[end + 1 :]
        return line

    def _socket(self, deadline: float, *, after_dot: bool = False) -> socket.socket:
        """The socket, willing to wait as long as a command may take but not beyond the deadline."""
        left = deadline - time.monotonic()
        if self._smtp is None or self._smtp.sock is None:
            raise _Lost("The connection was closed.", after_dot=after_dot)
        if left <= 0:
            raise _Lost("Out of time.", after_dot=after_dot)
        sock: socket.socket = self._smtp.sock
        patience = min(self._relay["command_timeout"], left)
        if abs(patience - self._patience) > 0.5 or left < 1.0:
            # A call to the kernel each; half a second more or less does not matter here.
            sock.settimeout(patience)
            self._patience = patience
        return sock


def sort(code: int, words: str, stage: str) -> Verdict:
    """Whose fault a refusal is, by its enhanced code where it has one (RFC 3463), else by its plain one.

    ``stage`` is the command it answers: MAIL, RCPT or DATA (also for the message itself).
    """
    if not 500 <= code <= 599:
        return Verdict.LATER
    if match := _ENHANCED.search(words[:40]):
        return _sort_enhanced(int(match[1]), int(match[2]), stage)
    if stage == "RCPT" and code in (550, 551, 553, 501) and not _ABOUT_US.search(words):
        return Verdict.BOUNCED
    return Verdict.LATER if code == 552 else Verdict.OURS


def refused_for_good(words: str) -> bool | None:
    """Whether an answer that somebody quotes to us is a refusal of the address itself. None: it has no code."""
    if match := _ANY_ENHANCED.search(words):
        return match[1] == "5" and sort(550, match.group(), "RCPT") is Verdict.BOUNCED
    if match := _PLAIN.search(words):
        return sort(int(match.group()), words, "RCPT") is Verdict.BOUNCED
    return None


def _sort_enhanced(subject: int, detail: int, stage: str) -> Verdict:
    if stage == "MAIL":
        return Verdict.OURS
    if subject == 1:
        # 5.1.7 and 5.1.8 are about the sender's address.
        return Verdict.OURS if detail in (7, 8) else Verdict.BOUNCED
    if subject == 2 and detail in (0, 1):
        return Verdict.BOUNCED
    # A full mailbox may be emptied, a route may come back.
    return Verdict.LATER if (subject == 2 and detail == 2) or subject == 4 else Verdict.OURS


def _sorted_body(code: int, words: str) -> Verdict:
    if 200 <= code <= 299:
        return Verdict.ACCEPTED
    return sort(code, words, "DATA") if 400 <= code <= 599 else Verdict.DOUBT


def _goes_on(stage: str, code: int) -> bool:
    return code == 354 if stage == "DATA" else code in (250, 251, 252)


def _stuffed(message: bytes) -> bytes:
    """The message with its dots doubled and the final one added (RFC 5321 4.5.2)."""
    if b"\n." in message or message.startswith(b"."):
        message = re.sub(rb"(?m)^\.", b"..", message)
    return message + _DOT if message.endswith(b"\r\n") else message + b"\r\n" + _DOT


def _envelope(address: str) -> str:
    """The address as the envelope says it: the domain in ASCII. Raises UnicodeError when that cannot be."""
    if address.isascii():
        if not address or any(character <= " " or character in "<>\x7f" for character in address):
            raise UnicodeError("not an address")
        return address
    local, _, domain = address.rpartition("@")
    if any(character in "\r\n\0<> " for character in local):
        raise UnicodeError("not an address")
    return f"{local}@{domain.encode('idna').decode('ascii')}"


def _words(code: int, words: bytes | str) -> str:
    """The relay's answer for people: one line, nothing invisible in it."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {''.join(c if c.isprintable() else ' ' for c in text)}"[:300]


def backoff(attempts: int) -> float:
    """Seconds until the next try: full jitter over 30 s · 2ⁿ, at most 15 minutes (F04); time ends it, not a count."""
    return _random.uniform(1.0, min(BACKOFF_CAP, BACKOFF * 2 ** min(attempts, 10)))


def wire() -> port.Wire:
    """To the provider where one is named, else to the relay."""
    return provider.Wire() if settings.MAIL_PROVIDER else Wire()


def off() -> str:
    """A relay is tried; a provider has to be set up."""
    return provider.off() if settings.MAIL_PROVIDER else ""


PORT = Port(Channel.EMAIL, wire=wire, mould=mould, off=off, backoff=backoff)
