"""Chat services next door: every host there is leads to one real server that keeps what it is asked."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from notifications.egress import Client
from tests.notifications.receiver import Heard, Manner, Receiver, say

SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
#: In pieces: whoever looks for keys in the tree shall find none.
SLACK_BOT = "slack://" + "-".join(("xoxb", "1234", "1234", "4ddbc191d40ee098cbaae6f3523ada2d"))
DISCORD = "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
TEAMS = (
    "https://prod-12.westus.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/"
    "invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=GODuqXbdVTNpk_b1CeJ"
)
MATTERMOST = "https://chat.example.org/hooks/abcdefghijklmnopqrstuvwxyz"
ROCKET = "https://rocket.example.org/hooks/5d6e7f/abcDEFghi"
GOOGLE = "https://chat.googleapis.com/v1/spaces/AAAAsp4ce/messages?key=AIzaKey-x&token=tok_en1"
TELEGRAM = "tgram://123456789:abcdefghijklmnopqrstuvwxyz_ABCDE-12/-100123"
WEBEX = f"https://webexapis.com/v1/webhooks/incoming/{'a1' * 40}"
MATRIX = "matrixs://syt_t0ken@matrix.example.org/!room:matrix.example.org"
PAGERDUTY = "pagerduty://integrati0nkey@apik3y/status/page"
OPSGENIE = "opsgenie://apik3y-0ps/#status"
PUSHOVER = f"pover://{'u' * 30}@{'t' * 30}"
NTFY = "ntfys://acme-status-topic"
X = "x://consumerk3y/consumers3cret/accesst0ken/accesss3cret"
MASTODON = "mastodons://t0ken-of-acme@mastodon.example.org"
BLUESKY = "bluesky://acme.bsky.social@app-pass-w0rd"


class Rooms(Receiver):
    """Answers ``otherwise`` wherever nothing else is to be said."""

    def __init__(self) -> None:
        super().__init__()
        self.otherwise: Manner = say(200, b"ok")
        self._said: dict[str, Manner] = {}
        self.manner = self._answer

    def says(self, where: str, status: int = 200, body: Any = b"", **headers: str) -> None:
        """The answer to requests of one host and path."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._said[where] = say(status, raw, **headers)

    def _answer(self, connection: socket.socket, heard: Heard) -> None:
        where = heard.path.partition("?")[0].removeprefix("/")
        self._said.get(where, self.otherwise)(connection, heard)

    @property
    def asked(self) -> list[tuple[str, dict[str, str], Any]]:
        """What was requested: host and path, query, body (as read, where it is JSON)."""
        return [_asked(heard) for heard in self.heard]

    def client(self) -> type[Client]:
        """Our own client, for which every host leads here; nothing else of it is changed."""
        rooms = self

        class Rerouted(Client):
            def fetch(self, method: str, url: str, **options: Any) -> requests.Response:
                split = urlsplit(url)
                here = f"http://127.0.0.1:{rooms.port}/{split.netloc}{split.path}"
                return super().fetch(method, f"{here}?{split.query}" if split.query else here, **options)

        return Rerouted


def _asked(heard: Heard) -> tuple[str, dict[str, str], Any]:
    path, _, query = heard.path.partition("?")
    body: Any = heard.body.decode()
    with contextlib.suppress(ValueError):
        body = json.loads(body)
    return path.removeprefix("/"), dict(parse_qsl(query)), body
