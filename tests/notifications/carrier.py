"""A text message carrier that does what it is told: Twilio's HTTP interface, with a memory.

It keeps every text **before** it answers, so that whatever a sender believes, ``kept`` is the truth.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

ACCOUNT, TOKEN = "AC" + "5" * 32, "not-a-real-token"


@dataclass
class Text:
    """One text the carrier has taken; ``status`` as it would report it."""

    sid: str
    to: str
    body: str
    sender: str
    callback: str
    form: dict[str, str]
    at: float = field(default_factory=time.time)
    status: str = "sent"
    error_code: int | None = None

    def as_json(self) -> dict[str, Any]:
        when = formatdate(self.at, usegmt=True).replace("GMT", "+0000")
        return {
            "sid": self.sid,
            "to": self.to,
            "from": self.sender,
            "body": self.body,
            "status": self.status,
            "error_code": self.error_code,
            "date_created": when,
            "date_sent": when,
        }


@dataclass(frozen=True)
class Act:
    """What it does with a text: whether it takes it, and what it answers. ``status`` 0: it hangs up instead."""

    keep: bool = True
    status: int = 201
    code: int = 0
    words: str = "Something"
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    body: bytes | None = None


TAKE = Act()


def refuse(status: int, code: int = 0, **more: Any) -> Act:
    return Act(keep=False, status=status, code=code, **more)


class Carrier:
    """``say`` decides over each text, by its form."""

    def __init__(self, say: Callable[[dict[str, str]], Act] = lambda _: TAKE) -> None:
        self.say = say
        self.kept: list[Text] = []
        self.asked: list[dict[str, str]] = []
        self.looked: list[dict[str, str]] = []
        #: What a look answers instead of the list.
        self.list_status = 200
        self._lock = threading.Lock()
        carrier = self

        class Handler(_Handler):
            far = carrier

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Carrier:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def texts(self) -> Counter[str]:
        """How many texts each number got."""
        return Counter(text.to for text in self.kept)

    def hears(self, form: dict[str, str]) -> tuple[Act, Text | None]:
        with self._lock:
            self.asked.append(form)
            act = self.say(form)
            if not act.keep:
                return act, None
            text = Text(
                sid=f"SM{len(self.kept):032x}",
                to=form["To"],
                body=form.get("Body", form.get("ContentVariables", "")),
                sender=form.get("From", form.get("MessagingServiceSid", "")),
                callback=form.get("StatusCallback", ""),
                form=form,
            )
            self.kept.append(text)
            return act, text

    def list(self, query: dict[str, str]) -> list[Text]:
        with self._lock:
            self.looked.append(query)
            return [text for text in reversed(self.kept) if text.to == query.get("To", text.to)]


class _Handler(BaseHTTPRequestHandler):
    far: Carrier
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), keep_blank_values=True))
        if not self._known():
            return
        act, text = self.far.hears(form)
        time.sleep(act.seconds)
        if not act.status:
            self._hang_up()
        elif act.body is not None:
            self._answer(act.status, act.body, act.headers)
        elif text is not None and act.status < 300:
            self._answer(act.status, text.as_json(), act.headers)
        else:
            problem = {"code": act.code or act.status, "message": act.words, "more_info": "", "status": act.status}
            self._answer(act.status, problem, act.headers)

    def do_GET(self) -> None:
        if not self._known():
            return
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        found, size = self.far.list(query), int(query.get("PageSize", 50))
        page = int(query.get("Page", 0))
        after = f"{urlsplit(self.path).path}?To={query.get('To', '')}&PageSize={size}&Page={page + 1}".replace(
            "+", "%2B"
        )
        body = {
            "messages": [text.as_json() for text in found[page * size : (page + 1) * size]],
            "next_page_uri": after if len(found) > (page + 1) * size else None,
        }
        self._answer(self.far.list_status, body)

    def _known(self) -> bool:
        login = b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if self.headers["Authorization"] == f"Basic {login}" and f"/Accounts/{ACCOUNT}/Messages.json" in self.path:
            return True
        self._answer(401, {"code": 20003, "message": "Authenticate", "status": 401})
        return False

    def _answer(self, status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
