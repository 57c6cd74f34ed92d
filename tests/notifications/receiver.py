"""A scriptable receiver of webhooks: a real server that keeps every request before it answers as a test wants."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class Heard(NamedTuple):
    """One request; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


#: What is done with a connection whose request was read.
Manner = Callable[[socket.socket, Heard], None]


def say(status: int, body: bytes = b"", **headers: str) -> Manner:
    """An answer like any other; header names as keywords, with _ for -."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return lambda connection, _: connection.sendall(whole)


def drip(whole: bytes, *, seconds: float = 0.1) -> Manner:
    """A byte at a time."""

    def manner(connection: socket.socket, _: Heard) -> None:
        for byte in whole:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return manner


def endless(head: bytes = b"HTTP/1.1 200 OK\r\n\r\n", piece: bytes = b"x" * 65_536) -> Manner:
    def manner(connection: socket.socket, _: Heard) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return manner


def bomb(status: int = 200, **headers: str) -> Manner:
    """Sixteen megabytes of nothing, packed twice: some hundred bytes."""
    packed = gzip.compress(gzip.compress(bytes(16_000_000)))
    return say(status, packed, Content_Encoding="gzip, gzip", **headers)


def reset(connection: socket.socket, _: Heard) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket, _: Heard) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)


class Receiver:
    """``manner`` answers every path that ``at`` has no other manner for."""

    def __init__(self, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.heard: list[Heard] = []
        self.manner: Manner = say(200)
        self.at: dict[str, Manner] = {}
        #: Bytes that are read of a request before the reading slows down to one byte a second.
        self.eager = float("inf")
        self.connections = 0
        self._context = context
        self._server = _Server((host, 0), _Handler)
        self._server.receiver = self
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            connection.settimeout(20.0)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            if (heard := self._read(connection)) is not None:
                self.heard.append(heard)
                self.at.get(heard.path, self.manner)(connection, heard)
        connection.close()

    def _read(self, connection: socket.socket) -> Heard | None:
        data = bytearray()
        while b"\r\n\r\n" not in data:
            if not (piece := connection.recv(4_096)):
                return None
            data += piece
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            slow = len(body) >= self.eager
            if slow:
                time.sleep(1.0)
            if not (piece := connection.recv(1 if slow else 4_096)):
                return None
            body += piece
        return Heard(request.split(" ")[1], headers, body)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    receiver: Receiver


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.receiver.serve(self.request)
