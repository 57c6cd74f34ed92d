"""What services answer to a post, sorted by whether it was taken and by whose fault it was when not (R-804)."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from requests import Response

from notifications.channels.chat_urls import Target
from notifications.channels.port import Answer, Verdict
from notifications.channels.talk import Exchange, Talk

#: A service may ask us to wait, but not for longer: by then it is no news any more.
LONGEST_WAIT = 3_600.0
#: Until the one copy that may follow a doubt.
DOUBT_WAIT = 30.0
#: Where services put their words and their waits.
_WORDS = ("description", "error", "detail", "message", "errors", "title")
_WAITS = (("retry_after", 1.0), ("retry_after_ms", 0.001))
_RESETS = ("x-rate-limit-reset", "ratelimit-reset")
#: Slack says "200 OK" whatever happened, and the truth in a word.
_BUSY = re.compile(r"rate_?limited|timeout|unavailable|internal_error|fatal_error", re.I)
_TWICE = re.compile(r"duplicate", re.I)
_SENTENCE = re.compile(r"[\w .,:;'!?-]{1,80}")
_PIECES = re.compile(r"[/:@?&=#+\s]+")


def sort(target: Target, talk: Talk, *, told: bool) -> Answer:
    """The answer for delivery; ``told`` is what the plugin says. Nothing secret stands in its reason (S30)."""
    name, last = target.service.name, talk.last
    if last is None:
        return Answer(Verdict.NEVER, f"{name} was not asked: the message or the address is not fit for it.")
    if last.answer is None:
        return _unanswered(name, last)
    if told:
        # Only taken to be worked on; otherwise it stands in the room.
        verdict = Verdict.ACCEPTED if last.answer.status_code == HTTPStatus.ACCEPTED else Verdict.DELIVERED
        return Answer(verdict, f"{name} answered {last.answer.status_code}{_phrase(last.answer.status_code)}.")
    words = _discreet(_words(last.answer), target.url)
    status = last.answer.status_code
    said = f"{name} answered {status}{_phrase(status)}{f': {words}' if words else ''}."
    verdict = _verdict(target, last, words)
    if verdict is Verdict.DELIVERED:
        said = f"{name} has it already."
    return Answer(verdict, said, wait=_wait(last.answer) if verdict is Verdict.LATER else None)


def _unanswered(name: str, last: Exchange) -> Answer:
    """Lost before anything was posted: later. Lost after: nobody can know."""
    failure = last.failure
    if failure is not None and failure.arrived and not last.quiet:
        return Answer(Verdict.DOUBT, f"{name}: {failure}", wait=DOUBT_WAIT)
    return Answer(Verdict.LATER, f"{name}: {failure}")


def _verdict(target: Target, last: Exchange, words: str) -> Verdict:
    assert last.answer is not None
    status = last.answer.status_code
    if status < 300:
        return _denied(last, words)
    if status >= 500 or status in (408, 425, 429):
        return Verdict.LATER
    if status == HTTPStatus.FORBIDDEN and _TWICE.search(words):
        return Verdict.DELIVERED
    if status in (404, 410):
        # A server of one's own may be half set up; a service that says so means it.
        ours = last.quiet or (status == HTTPStatus.NOT_FOUND and bool(target.service.server(target.plugin)))
        return Verdict.OURS if ours else Verdict.BOUNCED
    return Verdict.NEVER if status in (400, 413, 422) and not last.quiet else Verdict.OURS


def _denied(last: Exchange, words: str) -> Verdict:
    """ "200 OK", but the plugin does not believe it."""
    assert last.answer is not None
    told = _read(last.answer)
    if last.quiet:
        return Verdict.OURS
    if isinstance(told, dict) and (told.get("ok") is False or told.get("error")):
        return Verdict.LATER if _BUSY.search(words) else Verdict.OURS
    return Verdict.DOUBT


def _words(answer: Response) -> str:
    """The first sentence of an answer, where one knows to find it."""
    told = _read(answer)
    if isinstance(told, list):
        told = told[0] if told else None
    if not isinstance(told, dict):
        text = answer.content[:120].decode("utf-8", "replace").strip()
        return _plain(text) if _SENTENCE.fullmatch(text) else ""
    for name in _WORDS:
        said = told.get(name)
        said = said[0] if isinstance(said, list) and said else said
        said = next((said[inner] for inner in _WORDS if inner in said), "") if isinstance(said, dict) else said
        if isinstance(said, str) and said:
            return _plain(said)
    return ""


def _read(answer: Response) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(answer.content)
    return None


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:120].rstrip(" .")


def _discreet(words: str, url: str) -> str:
    """Without what could be a part of the secret address."""
    for piece in sorted(map(unquote, _PIECES.split(url)), key=len, reverse=True):
        if len(piece) >= 6 and piece in words:
            words = words.replace(piece, "…")
    return words


def _wait(answer: Response) -> float | None:
    """Seconds that a service asks for, by whichever of its ways."""
    told = _read(answer)
    found: list[float] = []
    for source in (told, told.get("parameters") if isinstance(told, dict) else None):
        if isinstance(source, dict):
            found += [float(source[key]) * unit for key, unit in _WAITS if isinstance(source.get(key), (int, float))]
    headers = answer.headers
    with suppress(ValueError):
        found.append(float(headers.get("retry-after", "")))
    for name in _RESETS:
        with suppress(ValueError):
            found.append(float(headers.get(name, "")) - datetime.now(UTC).timestamp())
    waits = [seconds for seconds in found if seconds > 0]
    return min(max(waits), LONGEST_WAIT) if waits else None


def _phrase(status: int) -> str:
    return f" {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else ""
