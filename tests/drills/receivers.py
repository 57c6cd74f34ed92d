"""Hundreds of receivers of webhooks in one program, good and bad: ``python -m tests.drills.receivers``.

What a receiver is stands in its path, ``/<manner>/<number>``. Each request is written to the log
before it is answered: time, path, webhook-id, webhook-sequence, lane. A second port, ``--inner``,
is where nobody may ever connect to: it writes ``inner`` for every connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import socket
import struct
import time

#: Sixteen megabytes of nothing, packed twice.
_BOMB = gzip.compress(gzip.compress(bytes(16_000_000)))
_PIECE = b"x" * 65_536
METADATA = "http://169.254.169.254/latest/meta-data/"


class Receivers:
    def __init__(self, log: int, inner: int) -> None:
        self.log = log
        self.inner = inner

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = request.split(" ")[1]
            self._keep(path, headers, body)
            await getattr(self, path.split("/")[1])(writer, path)
        with contextlib.suppress(OSError):
            writer.close()

    def _keep(self, path: str, headers: dict[str, str], body: bytes) -> None:
        lane = json.loads(body)["incident"]["id"]
        told = (path, headers["webhook-id"], headers["webhook-sequence"], lane)
        os.write(self.log, f"{time.time():.6f} {' '.join(told)}\n".encode())

    async def good(self, writer: asyncio.StreamWriter, _: str) -> None:
        await _say(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def tarpit(self, writer: asyncio.StreamWriter, _: str) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
            await _say(writer, bytes([byte]))
            await asyncio.sleep(1.0)

    async def redirect(self, writer: asyncio.StreamWriter, path: str) -> None:
        """Half of them to the metadata service, half to a port next door that listens."""
        where = METADATA if int(path.rpartition("/")[2]) % 2 else f"http://127.0.0.1:{self.inner}/"
        await _say(writer, f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

    async def endless(self, writer: asyncio.StreamWriter, _: str) -> None:
        """Ten gigabytes, for whoever wants them."""
        await _say(writer, b"HTTP/1.1 500 Oops\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            await _say(writer, _PIECE)

    async def bomb(self, writer: asyncio.StreamWriter, _: str) -> None:
        length = f"Content-Length: {len(_BOMB)}\r\n\r\n".encode()
        await _say(writer, b"HTTP/1.1 500 Oops\r\nContent-Encoding: gzip, gzip\r\n" + length + _BOMB)

    async def reset(self, writer: asyncio.StreamWriter, _: str) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def trespass(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        os.write(self.log, f"{time.time():.6f} inner - 0 -\n".encode())
        writer.close()


async def _say(writer: asyncio.StreamWriter, words: bytes) -> None:
    writer.write(words)
    await writer.drain()


async def main(port: int, inner: int, log: int) -> None:
    receivers = Receivers(log, inner)
    outer = await asyncio.start_server(receivers.serve, "127.0.0.1", port, backlog=512)
    hidden = await asyncio.start_server(receivers.trespass, "127.0.0.1", inner)
    async with outer, hidden:
        await asyncio.gather(outer.serve_forever(), hidden.serve_forever())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--inner", type=int, required=True)
    parser.add_argument("--log", required=True)
    options = parser.parse_args()
    opened = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(main(options.port, options.inner, opened))
