"""A relay that keeps a log and nothing else: ``python -m tests.drills.sink --port 0 --log file``.

Each message is written to the log before its 250 leaves, so that whatever a sender believes, the
log is the truth. One line per message: time, recipient, last word of the subject, Message-ID,
SHA-256 of the bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import signal
import time

_ID = re.compile(rb"^message-id: *(\S+)", re.I | re.M)
_SUBJECT = re.compile(rb"^subject: .*?(\S+)\r$", re.I | re.M)
_DOT = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """As much SMTP as a sender needs."""

    def __init__(self, log: int, *, latency: float, light: bool, pipelining: bool) -> None:
        self.log = log
        self.latency = latency
        self.light = light
        self.hello = (
            b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n" if pipelining else b"250-sink\r\n250 8BITMIME\r\n"
        )
        self.buffer = bytearray()
        self.data = False
        self.to = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = b""
        while True:
            if self.data:
                # Only the news part of the buffer and the seam can hold the dot.
                end = self.buffer.find(_DOT, max(0, len(self.buffer) - len(data) - len(_DOT)))
                if end < 0:
                    break
                self.keep(bytes(self.buffer[: end + 2]))
                del self.buffer[: end + len(_DOT)]
                self.data = False
                answers += b"250 kept\r\n"
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
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, words)
        else:
            self.transport.write(words)

    def answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return self.hello
        if verb == b"RCPT":
            self.to = line[line.find(b"<") + 1 : line.find(b">")]
            return b"250 ok\r\n"
        if verb == b"DATA":
            self.data = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            self.transport.close()
            return b""
        return b"250 ok\r\n"

    def keep(self, message: bytes) -> None:
        if self.light:
            os.write(self.log, b"%.6f\n" % time.time())
            return
        named, about = _ID.search(message), _SUBJECT.search(message)
        digest = hashlib.sha256(message).hexdigest().encode()
        words = (self.to, about[1] if about else b"-", named[1] if named else b"-", digest)
        os.write(self.log, b"%.6f %s %s %s %s\n" % (time.time(), *words))


async def serve(port: int, log: int, **how: bool | float) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    server = await loop.create_server(lambda: Sink(log, **how), "127.0.0.1", port)  # type: ignore[arg-type]
    print(server.sockets[0].getsockname()[1], flush=True)
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
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(serve(options.port, log, latency=options.latency, light=options.light, pipelining=not options.plain))


if __name__ == "__main__":
    main()
