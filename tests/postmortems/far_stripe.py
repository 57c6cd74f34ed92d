"""Stripe's far end of the wire: a server that keeps customers' balances as Stripe does, and breaks on request.

Kept as documented: idempotency keys answer the same request with the first answer, even a 500, and refuse another
one; what is refused before it is begun keeps no key; lists are newest first and paginated; errors have Stripe's
shape; every answer has a request id.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "sk_test_farEnd"
_PATH = re.compile(r"/v1/customers/([^/]+)/balance_transactions")
_KEPT = "Keys for idempotent requests can only be used with the same parameters they were first used with."


class Cut(Exception):
    """The connection ends without an answer."""


@dataclass
class FarStripe:
    """``customers``: their currency, or "" while they have none. ``faults``: what the next calls come to, in order."""

    customers: dict[str, str] = field(default_factory=dict)
    transactions: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    faults: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, tuple[Any, int, dict[str, Any]]] = field(default_factory=dict)
    page: int = 100
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = 0

    def forget_keys(self) -> None:
        """A day later."""
        self.keys.clear()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [one for theirs in self.transactions.values() for one in theirs]

    def amounts(self, customer: str) -> list[int]:
        """In the order in which they were booked."""
        return [one["amount"] for one in self.transactions[customer]]

    def answer(self, method: str, target: str, headers: Any, body: str) -> tuple[int, dict[str, Any]]:
        url = urlsplit(target)
        with self.lock:
            self.calls.append((method, url.path))
            fault = self.faults.pop(0) if self.faults else ""
            if headers.get("Authorization") != f"Bearer {KEY}":
                return 401, _error("invalid_request_error", "Invalid API Key provided: sk_test_****nope")
            before = _before(fault)
            if before:
                return before
            if method == "GET":
                status, answer = self._list(url)
            else:
                status, answer = self._create(url.path, dict(parse_qsl(body)), headers.get("Idempotency-Key"), fault)
        if fault == "cut":
            raise Cut
        if fault == "late":
            # Longer than anybody in the tests waits.
            time.sleep(0.4)
        return status, answer

    def _create(self, path: str, params: dict[str, str], key: str | None, fault: str) -> tuple[int, dict[str, Any]]:
        asked = (path, params)
        if key in self.keys:
            first, status, answer = self.keys[key]
            return (status, answer) if first == asked else (400, _error("idempotency_error", _KEPT))
        status, answer = self._book(path, params)
        if fault == "500 after":  # Booked, and yet.
            status, answer = 500, _error("api_error", "Something went wrong on our end.")
        if key:
            self.keys[key] = (asked, status, answer)
        return status, answer

    def _book(self, path: str, params: dict[str, str]) -> tuple[int, dict[str, Any]]:
        customer = _customer(path)
        if customer not in self.customers:
            return 404, _missing(customer)
        held, currency = self.customers[customer], params["currency"]
        if held and held != currency:
            words = f"You cannot combine currencies on a single customer. This customer has {held}."
            return 400, _error("invalid_request_error", words, param="currency")
        self.customers[customer] = currency
        self.number += 1
        made = {
            "id": f"cbtxn_{self.number:04d}",
            "object": "customer_balance_transaction",
            "amount": int(params["amount"]),
            "currency": currency,
            "customer": customer,
            "description": params.get("description"),
            "created": int(time.time()),
            "livemode": False,
            "type": "adjustment",
            "metadata": {name[9:-1]: value for name, value in params.items() if name.startswith("metadata[")},
        }
        self.transactions[customer].append(made)
        return 200, made

    def _list(self, url: Any) -> tuple[int, dict[str, Any]]:
        customer = _customer(url.path)
        if customer not in self.customers:
            return 404, _missing(customer)
        asked = dict(parse_qsl(url.query))
        newest = list(reversed(self.transactions[customer]))
        if after := asked.get("starting_after"):
            newest = newest[[one["id"] for one in newest].index(after) + 1 :]
        limit = min(int(asked.get("limit", 10)), self.page)
        page = {"object": "list", "url": url.path, "data": newest[:limit], "has_more": len(newest) > limit}
        return 200, page


def _customer(path: str) -> str:
    found = _PATH.fullmatch(path)
    assert found, path
    return found[1]


def _before(fault: str) -> tuple[int, dict[str, Any]] | None:
    """What goes wrong before anything is begun."""
    if fault == "500 before":
        return 500, _error("api_error", "Something went wrong on our end.")
    if fault == "429":
        return 429, _error("invalid_request_error", "Too many requests hit the API too quickly.", code="rate_limit")
    if fault == "409":
        return 409, _error("idempotency_error", "There is currently another in-progress request using this key.")
    if fault == "403":
        return 403, _error("invalid_request_error", "The provided key does not have the required permissions.")
    return None


def _error(kind: str, words: str, **more: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": words} | more}


def _missing(customer: str) -> dict[str, Any]:
    words = f"No such customer: '{customer}'"
    return _error("invalid_request_error", words, code="resource_missing", param="customer")


class _Wire(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Answers are small: waiting to fill a packet would cost 40 ms each.
    disable_nagle_algorithm = True
    far: FarStripe

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            status, answer = self.far.answer(method, self.path, self.headers, body)
        except Cut:
            self.close_connection = True
            return
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Request-Id", f"req_{len(self.far.calls)}")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: Two workers call with eight hands each; five, as usual, would leave the others at the door for a second.
    request_queue_size = 64


@contextmanager
def serve() -> Iterator[FarStripe]:
    far = FarStripe()
    wire = type("Wire", (_Wire,), {"far": far})
    server = _Server(("127.0.0.1", 0), wire)
    far.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield far
    finally:
        server.shutdown()
        server.server_close()
