"""What a mail provider's API answered, sorted by whose fault it is, in one line of words for people (F04).

Providers agree on nothing but HTTP: the status says most, their words tell a bad recipient from a bad
sender, and the kind of an exception tells whether anything had left at all.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import requests
from anymail.exceptions import (
    AnymailConfigurationError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from django.conf import settings
from django.utils import timezone

from notifications.channels.port import Answer, Outage, Verdict

#: Nobody is waited for longer than this.
_LONGEST_WAIT = 3600.0
#: Names of exceptions, in requests, urllib3 and botocore, that say that nothing had left yet …
_NOTHING_LEFT = {
    "ConnectTimeout",
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "NameResolutionError",
    "NewConnectionError",
    "ProxyConnectionError",
    "ProxyError",
}
#: … or that it was us who could not or would not speak to what answered there …
_OUR_FAULT = {
    "CredentialRetrievalError",
    "InvalidHeader",
    "InvalidSchema",
    "InvalidURL",
    "MissingSchema",
    "NoCredentialsError",
    "NoRegionError",
    "ParamValidationError",
    "PartialCredentialsError",
    "SSLError",
}
#: … unless the encryption ended after it had begun.
_BROKE_OFF = {"SSLEOFError", "SSLSyscallError", "SSLZeroReturnError"}
#: Raised before anything is sent.
_UNSPEAKABLE = (AnymailConfigurationError, AnymailSerializationError, AnymailUnsupportedFeature)

#: Where providers put their words, and what those are about.
_SENTENCES = ("message", "Message", "ErrorMessage", "reject_reason", "error")
_ABOUT = ("name", "code", "ErrorCode", "field", "description")
_BUSY = re.compile(r"throttl|TooManyRequests|LimitExceeded|rate (?:limit|exceeded)|concurrent_idempotent", re.I)
_HAS_IT = re.compile(r"idempoten(?:t|cy).{0,80}(?:already|earlier|duplicate)|duplicate.{0,40}idempoten", re.I)
_ABOUT_RECIPIENT = re.compile(
    r"recipient|personalizations\.\d+\.to\b|\bto\.\d+\.email|[`'\"]to[`'\"]|\bto (?:parameter|field|address)|\bin to\b",
    re.I,
)
_INVALID = re.compile(r"invalid|not (?:a )?valid|does not contain a valid|malformed|illegal|inactive|suppress", re.I)
_ABOUT_US = re.compile(r"\b(?:from|sender|reply.?to|domain|verif\w+|testing emails|unsigned|test-mode)\b", re.I)


class Reply(NamedTuple):
    """An HTTP answer: ``words`` are one line without any key of ours."""

    status: int
    words: str
    headers: Mapping[str, str]


def sort_error(error: Exception, *, drops_copies: bool) -> Answer:
    """What an exception of django-anymail means for one message. Raises Outage: nothing left.

    ``drops_copies``: the provider knows a key for each message and drops a second copy itself.
    """
    if isinstance(error, AnymailInvalidAddress):
        return Answer(Verdict.NEVER, f"The address cannot be written for the mail provider: {short(error)}")
    if isinstance(error, _UNSPEAKABLE):
        return Answer(Verdict.OURS, short(error))
    reply = _reply(error)
    if isinstance(error, AnymailRecipientsRefused):
        return _refused(reply or Reply(550, short(error), {}))
    if reply is not None:
        return sort(reply, drops_copies=drops_copies)
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    if names & _OUR_FAULT and not names & _BROKE_OFF:
        raise Outage(f"No connection to the mail provider: {_root(error)}", ours=True) from error
    if names & _NOTHING_LEFT:
        raise Outage(f"No connection to the mail provider: {_root(error)}", ours=False) from error
    return Answer(Verdict.DOUBT, f"No answer from the mail provider: {_root(error)}")


def sort(reply: Reply, *, drops_copies: bool) -> Answer:
    """Whose fault an HTTP answer is."""
    status, words, headers = reply
    reason = f"{status} {words}"[:300]
    if status in (429, 503) or _BUSY.search(words):
        # 503 says that it has not been taken (RFC 9110 15.6.4); any other 5xx says nothing.
        return Answer(Verdict.LATER, reason, wait=_wait(headers))
    if drops_copies and _HAS_IT.search(words):
        return Answer(Verdict.ACCEPTED, f"An earlier copy had arrived: {reason}"[:300])
    if status in (400, 422) and _ABOUT_RECIPIENT.search(words) and _INVALID.search(words):
        return _refused(reply)
    if 300 <= status <= 499 and status not in (408, 409):
        return Answer(Verdict.OURS, reason)
    return Answer(Verdict.DOUBT, reason)


def short(error: BaseException) -> str:
    """What an exception says, in one line."""
    words = str(error.args[0]) if error.args and not isinstance(error.args[0], BaseException) else ""
    return _line(words) or type(error).__name__


def _refused(reply: Reply) -> Answer:
    status = reply.status if reply.status >= 400 else 550
    verdict = Verdict.OURS if _ABOUT_US.search(reply.words) else Verdict.BOUNCED
    return Answer(verdict, f"{status} {reply.words}"[:300])


def _reply(error: Exception) -> Reply | None:
    response = getattr(error, "response", None)
    if isinstance(response, requests.Response):
        return Reply(response.status_code, _line(_told(response.text)), response.headers)
    if isinstance(response, dict):
        told, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
        words = _line(f"{told.get('Message', '')} ({told.get('Code', '')})")
        return Reply(meta.get("HTTPStatusCode", 500), words, meta.get("HTTPHeaders", {}))
    return None


def _told(body: str) -> str:
    """The sentence in a JSON answer, and what it is about; else the answer as it is."""
    with contextlib.suppress(ValueError):
        told = json.loads(body)
        if isinstance(told, dict) and isinstance(told.get("errors"), list):
            told = told["errors"]
        for one in told if isinstance(told, list) else [told]:
            if isinstance(one, dict) and (words := _first(one, _SENTENCES)):
                about = _first(one, _ABOUT)
                return f"{words} ({about})" if about else words
            if isinstance(one, str):
                return one
    return body


def _first(told: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(told[name]) for name in names if told.get(name)), "")


def _line(words: str) -> str:
    """One line with nothing invisible in it, and none of our keys (S30)."""
    words = words[:4000]
    for name, value in settings.ANYMAIL.items():
        if isinstance(value, str) and len(value) > 7 and not name.endswith(("_URL", "_DOMAIN")):
            words = words.replace(value, "[key]")
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:290]


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date. None: it does not."""
    asked = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", asked):
        return min(_LONGEST_WAIT, float(asked))
    with contextlib.suppress(TypeError, ValueError):
        moment = parsedate_to_datetime(asked)
        return min(_LONGEST_WAIT, max(0.0, (moment - timezone.now()).total_seconds()))
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that caused it, however each library hangs them together."""
    waiting, seen = [error], list[BaseException]()
    while waiting and len(seen) < 20:
        one = waiting.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        waiting.extend(found for found in inner if isinstance(found, BaseException))


def _root(error: BaseException) -> str:
    *_, innermost = _chain(error)
    return short(innermost)
