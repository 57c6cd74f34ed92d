"""News in few words: what a room or an account reads of a story (R-801).

Not the whole timeline: phase and title, the newest words, when to expect more, and the link where
the rest stands. What does not fit is cut from the words, never from the rest.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext

from notifications.channels.services import Service
from notifications.compiler import LANGUAGES, in_language, subject_in
from notifications.enums import Channel
from notifications.models import Announcement

_URL = re.compile(r"https?://\S+")
#: X counts every link as so many characters, and most of the world's letters as two.
_X_LINK = 23
_X_SINGLE = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
#: Words that make a room's software call people, whoever wrote them.
_CALL = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)|<(?=[!@#/A-Za-z])", re.I)
_NOTHING = "\u200b"
#: A day within a sentence, as Django's ``date`` writes it.
_DAYS = {"en": r"\o\n j F", "de": r"\a\m j. F"}


@dataclass(frozen=True)
class Note:
    """What is told, before it is cut to a service. ``severity`` as Apprise says: info, warning, failure, success."""

    brand: str
    subject: str
    title: str
    text: str
    promise: str
    link: str
    severity: str
    #: Names the incident where alerts are opened and closed by name.
    lane: str
    #: Names this message where a second copy is told by it.
    news: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Words:
    """A note as one service gets it."""

    title: str
    body: str


def note(announcement: Announcement, channel: Channel = Channel.CHAT, language: str = LANGUAGES[0]) -> Note:
    """The newest of a story: the words for rooms where there are any, otherwise what everybody reads.

    All of it is in ``language`` where the newest words are. A letter has nothing to tell a room and raises
    ``KeyError``.
    """
    told = announcement.content
    newest = in_language(told["lines"][0], language) if told["lines"] else {"text": "", "language": LANGUAGES[0]}
    spoken = newest["language"]
    short = told if spoken == LANGUAGES[0] else told.get("translations", {}).get(spoken, {})
    with translation.override(spoken):
        phase = gettext(told["phase"])
    return Note(
        brand=announcement.brand.name,
        subject=subject_in(announcement, spoken),
        title=f"{phase}: {told['title']}",
        text=(channel == Channel.CHAT and short.get("chat", "").strip()) or newest["text"].strip(),
        promise=_promise(told["next_update_by"], announcement.published_at, spoken),
        link=told["url"],
        severity=_severity(announcement, over=told["over"]),
        lane=announcement.lane,
        news=announcement.public_id.hex,
    )


def written(note: Note, service: Service, *, public: bool) -> Words:
    """The note within the room that the service gives. ``public``: the account is the brand, it need not be named."""
    measure: Callable[[str], int] = _x_length if service.key == "x" else len

    def size(text: str) -> int:
        return measure(_dressed(text, service))

    bare = measure(service.bold.format(""))
    title = cut(note.title if public else note.subject, service.room // 2 - bare, size)
    after = "\n".join(filter(None, (note.promise, note.link)))
    room = service.room - bare - size(title) - size(after) - 2 * size("\n\n")
    body = "\n\n".join(filter(None, (cut(note.text, room, size), after)))
    return _joined(_dressed(title, service), _dressed(body, service), service)


def cut(text: str, room: int, measure: Callable[[str], int] = len) -> str:
    """As much of a text as fits into ``room``, whole words where there are any, and "…" where it was cut."""
    if measure(text) <= room:
        return text
    if room <= 0:
        return ""
    low, high, dots = 0, len(text), measure("…")
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) + dots <= room else (low, middle - 1)
    kept = text[:low]
    # No accent and no joined emoji without its letter.
    while kept and (unicodedata.combining(text[len(kept)]) or text[len(kept)] in "\u200d\ufe0f"):
        kept = kept[:-1]
    at_word = kept.rstrip() if text[len(kept)].isspace() else kept.rpartition(" ")[0]
    kept = at_word if len(at_word) > len(kept) // 2 else kept
    return f"{kept.rstrip()}…" if kept.strip() else ""


def _dressed(text: str, service: Service) -> str:
    """So that the room's software reads words and no commands."""
    if service.markup == "html":
        # The plugin drops empty lines.
        return html.escape(text, quote=False).replace("\n\n", f"\n{_NOTHING}\n")
    if service.channel == Channel.CHAT:
        text = _CALL.sub(rf"\g<0>{_NOTHING}", text)
    return re.sub(r"\n+", "\n\n", text) if service.markup == "cards" else text


def _joined(title: str, body: str, service: Service) -> Words:
    """As the plugin wants the two."""
    match service.markup:
        case "alert":
            return Words("", title)
        case "plain":
            return Words("", f"{title}\n\n{body}")
        case _:
            return Words(service.bold.format(title), body)


def _x_length(text: str) -> int:
    links = _URL.findall(text)
    rest = unicodedata.normalize("NFC", _URL.sub("", text))
    return _X_LINK * len(links) + sum(1 if _is_single(ord(character)) else 2 for character in rest)


def _is_single(point: int) -> bool:
    return any(first <= point <= last for first, last in _X_SINGLE)


def _promise(next_update_by: str | None, published_at: datetime, language: str = LANGUAGES[0]) -> str:
    if next_update_by is None:
        return ""
    at = datetime.fromisoformat(next_update_by)
    is_today = at.date() == published_at.astimezone(at.tzinfo).date()
    with translation.override(language):
        said = f"{gettext('Next update by')} {at:%H:%M} UTC"
        if is_today:
            return f"{said}."
        return f"{said} {date_format(at, _DAYS.get(language, _DAYS[LANGUAGES[0]]))}."


def _severity(announcement: Announcement, *, over: bool) -> str:
    if over:
        return "success"
    if announcement.rank is None:
        return "info"
    return "failure" if announcement.rank <= 2 else "warning"


def trial(brand: str, link: str, news: str) -> Note:
    """What a room reads when somebody tries it out."""
    words = "This is a test. Updates about incidents and maintenance will appear here."
    return Note(brand, f"[{brand}] Test message", f"{brand}: test message", words, "", link, "info", "", news)


def from_json(written: dict[str, Any]) -> Note:
    return Note(**written)
