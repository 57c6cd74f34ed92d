"""HTTP as chat plugins speak it, guarded and listened to (R-804, S20).

A plugin says True or False and nothing else. What it asked and what it was answered is heard here:
where it looks for ``requests`` it finds something that only speaks within a ``Talk``, to checked
addresses (``egress``), to an end, and that keeps the answers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import requests

from notifications.egress import Client, Unreachable

#: Requests that one message may need: to log in, to find the room, to post.
MOST = 6
_SEND_ID = re.compile(r"(/send/m\.room\.message/)[^/?]+$")


@dataclass(frozen=True)
class Exchange:
    """One request and what came back; ``answer`` None: ``failure`` says why there was none."""

    quiet: bool
    answer: requests.Response | None
    failure: Unreachable | None = None


@dataclass
class Talk:
    """All that is said for one message, on one thread.

    ``deadline`` as ``time.monotonic`` tells it; ``quiet`` matches requests that post nothing yet;
    ``key`` names the message where a service can tell a second copy by it.
    """

    client: Client
    deadline: float
    key: str
    quiet: re.Pattern[str] | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def last(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Plugins that run on this thread meanwhile speak within this talk."""
        before, _here.talk = _here.talk, self
        try:
            yield
        finally:
            _here.talk = before

    def request(self, method: str, url: str, options: dict[str, Any]) -> requests.Response:
        """One request of a plugin. Raises ``requests.RequestException``, which plugins expect."""
        if self._is_over():
            raise requests.RequestException("Enough was said for this message.")
        headers = {**(options.get("headers") or {}), "Idempotency-Key": self.key}
        # Ours is said by the client; theirs is the sender's name, which no header need be able to hold.
        headers.pop("User-Agent", None)
        quiet = method == "GET" or bool(self.quiet and self.quiet.search(url))
        try:
            answer = self.client.fetch(
                method,
                _SEND_ID.sub(rf"\g<1>{self.key}", url),
                headers=headers,
                deadline=self.deadline,
                data=options.get("data"),
                params=options.get("params"),
                auth=options.get("auth"),
            )
        except Unreachable as failure:
            self.exchanges.append(Exchange(quiet, None, failure))
            raise requests.ConnectionError(str(failure)) from failure
        self.exchanges.append(Exchange(quiet, answer))
        return answer

    def _is_over(self) -> bool:
        """After a word that the message was, or was not, taken: plugins that try again by themselves ask us first."""
        if len(self.exchanges) >= MOST:
            return True
        last = self.last
        return last is not None and (last.answer is None or not last.quiet or not last.answer.ok)


class _Here(threading.local):
    talk: Talk | None = None


_here = _Here()


class _Requests:
    """What a plugin finds in place of ``requests``; anything it has no need of is not there."""

    codes = requests.codes
    exceptions = requests.exceptions
    RequestException = requests.RequestException
    ConnectionError = requests.ConnectionError
    Timeout = requests.Timeout
    TooManyRedirects = requests.TooManyRedirects

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        if _here.talk is None:
            raise requests.RequestException("Nothing may be sent outside of a talk.")
        return _here.talk.request(method.upper(), url, options)

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> requests.Response:
        return self.request("PUT", url, **options)


def take_over(module: ModuleType) -> None:
    """From now on the plugins of a module speak through us. Raises AttributeError where they have no ``requests``."""
    if not isinstance(module.requests, _Requests):
        module.requests = _Requests()  # type: ignore[attr-defined]
