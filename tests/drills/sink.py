"""A relay that keeps a log, and fails on demand: ``python -m tests.drills.sink --log file``.

Each message is written to the log before its 250 leaves, so that whatever a sender believes, the
log is the truth. One line per message: time, recipient, last word of the subject, Message-ID,
SHA-256 of the bytes, words of the timeline. Beside it ``<log>.events`` has a line per connection, login and fault.

What it suffers from is told by a line on standard input, ``<fault> <amount>``, and answered with
``ok`` when it holds; see ``FAULTS``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

_ID = re.compile(rb"^message-id: *(\S+)", re.I | re.M)
_SUBJECT = re.compile(rb"^subject: .*?(\S+)\r$", re.I | re.M)
#: As the newsroom writes the lines of a timeline.
_TELLS = re.compile(rb"^(\w+) it\.\r$", re.M)
_DOT = b"\r\n.\r\n"

#: What a relay can suffer from, and what the amount means. Shares are of recipients, always the same ones.
FAULTS = {
    "none": "",
    "busy": "421 at connect",
    "away": "everybody hung up on, those at connect, too",
    "late": "seconds until the banner",
    "login": "535 for every login",
    "later": "share refused with 451, each at its first try",
    "nobody": "share refused with 550",
    "refuse": "the one recipient refused with 550",
    "hang": "share never answered after the final dot, not kept, each at its first try",
    "reset": "share reset in the middle of the message, each at its first try",
    "drop": "share kept and then hung up on instead of answered, at every try",
}


@dataclass
class Relay:
    """What all connections share."""

    log: int
    events: int
    latency: float
    light: bool
    pipelining: bool
    fault: str = "none"
    amount: str = ""
    #: How often each recipient was hit by the present fault.
    hits: Counter[bytes] = field(default_factory=Counter)
    sessions: set[Session] = field(default_factory=set)

    def suffer(self, fault: str, amount: str) -> None:
        assert fault in FAULTS, fault
        self.fault, self.amount = fault, amount
        self.hits.clear()
        if fault == "away":
            for session in self.sessions:
                session.transport.close()

    def hit(self, fault: str, to: bytes, *, once: bool = False) -> bool:
        """Whether the present fault is this one, and strikes this recipient now."""
        if self.fault != fault or (once and self.hits[to]) or not self._chosen(to):
            return False
        self.hits[to] += 1
        self.note(fault.encode(), to)
        return True

    def _chosen(self, to: bytes) -> bool:
        if self.fault == "refuse":
            return to == self.amount.encode()
        draw = int.from_bytes(hashlib.sha256(self.fault.encode() + to).digest()[:4], "big") / 2**32
        return draw < float(self.amount)

    def note(self, what: bytes, whom: bytes = b"-") -> None:
        os.write(self.events, b"%.6f %s %s\n" % (time.time(), what, whom))

    def keep(self, to: bytes, message: bytes) -> None:
        if self.light:
            os.write(self.log, b"%.6f\n" % time.time())
            return
        named, about = _ID.search(message), _SUBJECT.search(message)
        digest = hashlib.sha256(message).hexdigest().encode()
        tells = b",".join(_TELLS.findall(message)) or b"-"
        words = (to, about[1] if about else b"-", named[1] if named else b"-", digest, tells)
        os.write(self.log, b"%.6f %s %s %s %s %s\n" % (time.time(), *words))


class Session(asyncio.Protocol):
    """As much SMTP as a sender needs."""

    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.buffer = bytearray()
        self.data = self.deaf = False
        self.to = b""
        self.refused = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.relay.note(b"connect")
        self.relay.sessions.add(self)
        match self.relay.fault:
            case "busy":
                self.say(b"421 too busy\r\n")
                self.transport.close()
            case "away":
                self.relay.note(b"away")
                self.transport.close()
            case "late":
                asyncio.get_running_loop().call_later(float(self.relay.amount), self.transport.write, b"220 sink\r\n")
            case _:
                self.say(b"220 sink\r\n")

    def connection_lost(self, error: Exception | None) -> None:
        self.relay.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        self.buffer += data
        answers = b""
        while not self.deaf:
            if self.data:
                # Only the new part of the buffer and the seam can hold the dot.
                end = self.buffer.find(_DOT, max(0, len(self.buffer) - len(data) - len(_DOT)))
                if self.relay.fault == "reset" and self.relay.hit("reset", self.to, once=True):
                    self.reset()
                    return
                if end < 0:
                    break
                message = bytes(self.buffer[: end + 2])
                del self.buffer[: end + len(_DOT)]
                self.data = False
                answers += self.take(message)
            else:
                end = self.buffer.find(b"\r\n")
                if end < 0:
                    break
                line = bytes(self.buffer[:end])
                del self.buffer[: end + 2]
                answers += self.answer(line)
        if answers:
            self.say(answers)

    def say(self, words: bytes) -> None:
        if self.relay.latency:
            asyncio.get_running_loop().call_later(self.relay.latency, self.transport.write, words)
        else:
            self.transport.write(words)

    def answer(self, line: bytes) -> bytes:
        match line[:4].upper():
            case b"EHLO":
                pipelining = b"250-PIPELINING\r\n" if self.relay.pipelining else b""
                return b"250-sink\r\n" + pipelining + b"250-AUTH PLAIN\r\n250 8BITMIME\r\n"
            case b"AUTH":
                self.relay.note(b"login")
                return b"535 5.7.8 no\r\n" if self.relay.fault == "login" else b"235 welcome\r\n"
            case b"RCPT":
                return self.recipient(line[line.find(b"<") + 1 : line.find(b">")])
            case b"DATA":
                if self.refused:
                    return b"503 nobody to send it to\r\n"
                self.data = True
                return b"354 go on\r\n"
            case b"QUIT":
                self.transport.close()
                return b""
        return b"250 ok\r\n"

    def recipient(self, to: bytes) -> bytes:
        self.to, self.refused = to, b""
        if self.relay.hit("later", to, once=True):
            self.refused = b"451 4.3.0 later\r\n"
        elif self.relay.hit("nobody", to) or self.relay.hit("refuse", to):
            self.refused = b"550 5.1.1 nobody here\r\n"
        return self.refused or b"250 ok\r\n"

    def take(self, message: bytes) -> bytes:
        if self.relay.hit("hang", self.to, once=True):
            self.deaf = True
            return b""
        self.relay.keep(self.to, message)
        if self.relay.hit("drop", self.to):
            self.deaf = True
            self.transport.abort()
            return b""
        return b"250 kept\r\n"

    def reset(self) -> None:
        """Gone without goodbye: the other end's next read or write fails."""
        self.deaf = True
        wire = self.transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def serve(port: int, relay: Relay) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    server = await loop.create_server(lambda: Session(relay), "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)

    def told() -> None:
        line = sys.stdin.readline()
        if not line:
            loop.remove_reader(sys.stdin)
            return
        fault, _, amount = line.strip().partition(" ")
        relay.suffer(fault, amount)
        print("ok", flush=True)

    with contextlib.suppress(OSError, ValueError):  # started by hand without anybody to tell it anything
        loop.add_reader(sys.stdin, told)
    await over.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--light", action="store_true", help="log the time only")
    parser.add_argument("--plain", action="store_true", help="offer no PIPELINING")
    options = parser.parse_args()
    log, events = (
        os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for name in (options.log, f"{options.log}.events")
    )
    relay = Relay(log, events, latency=options.latency, light=options.light, pipelining=not options.plain)
    asyncio.run(serve(options.port, relay))


if __name__ == "__main__":
    main()
