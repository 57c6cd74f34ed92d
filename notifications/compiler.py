"""From words to mail: written once per announcement and language, filled in per person (performance.md B).

Building a message costs a thousand times what filling one in costs. So it is built once with
markers where people differ (address, ids, their links), cut at the markers, and kept on a
``Rendering`` row: every copy of a message, today or after a crash, is the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext, ngettext

from notifications import mime, tokens
from notifications.enums import LETTERS, Channel, Doubt, Kind
from notifications.lint import Unsendable, lint, lint_for
from notifications.models import Announcement, Brand, Rendering
from notifications.queue import Item
from notifications.stories import Letter, Story

__all__ = ["LANGUAGES", "Mould", "Preview", "Unsendable", "compile_mail", "lint", "mould", "preview", "preview_letter"]

#: Languages the templates are written in; everybody else reads the first.
LANGUAGES = ("en", "de")

_HUES = {
    "Investigating": "red",
    "Identified": "orange",
    "Monitoring": "blue",
    "Resolved": "green",
    "Scheduled": "blue",
    "In progress": "blue",
    "Verifying": "blue",
    "Completed": "green",
    "Cancelled": "grey",
    "Operational": "green",
    "Under maintenance": "blue",
    "Degraded performance": "yellow",
    "Partial outage": "orange",
    "Major outage": "red",
}
#: (strong, ink, tint) in light and in dark, the public page's own.
_COLOURS = {
    "green": ("#15803f", "#0f6331", "#e6f3ea", "#43b877", "#74d6a0", "#12261b"),
    "yellow": ("#b07d00", "#735000", "#fdf3d2", "#ecbc2e", "#f4cf62", "#2b2410"),
    "orange": ("#cf5206", "#993a00", "#fdeadb", "#ff8c42", "#ffab73", "#311d10"),
    "red": ("#c41e2a", "#a51420", "#fce6e5", "#ff6b68", "#ff9a96", "#341817"),
    "blue": ("#2563c4", "#1c4f9f", "#e6eefb", "#71a7ff", "#9bc1ff", "#152238"),
    "grey": ("#767e84", "#545c63", "#eceeea", "#8a9399", "#a4acb1", "#1e2326"),
}
_DARK = [(hue, *colours[3:]) for hue, colours in _COLOURS.items()]
#: Ids are names, not secrets, and must not change when keys are rotated.
_ID_KEY = b"heliograph.message-id"
_SLOTS = ("to", "message_id", "thread", "unsubscribe", "manage")


@dataclass(frozen=True)
class Preview:
    """A message as people will read it."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Mould:
    """A compiled message: literal bytes, the names of the gaps between them, and who sends it."""

    pieces: tuple[bytes, ...]
    slots: tuple[str, ...]
    sender: str
    #: The announcement's id and the lane's name, as ids of messages are made from.
    news: bytes
    lane: bytes
    first: bool
    #: Make the tokens of the links.
    leave: Callable[[bytes, int], bytes]
    manage: Callable[[bytes, int], bytes]
    #: Whether an identical copy may follow when nobody can know if the first left (reliability.md 3.3).
    repeats: bool

    def fill(self, item: Item) -> bytes:
        """The message for the person of a delivery."""
        return self.cast(item.address, item.person, item.generation)

    def cast(self, address: str, person: bytes, generation: int) -> bytes:
        """The message for one person. ``person`` is the subscriber's public id, or the address of a letter.

        Raises BadHeader for an address with control characters in it.
        """
        values = {"to": mime.clean("To", address).encode()}
        # The first of a lane is the root of its thread.
        values["message_id"] = _id(self.lane if self.first else self.news, person)
        if "unsubscribe" in self.slots:
            values["unsubscribe"] = self.leave(person, generation)
            values["manage"] = self.manage(person, generation)
        if "thread" in self.slots:
            values["thread"] = _id(self.lane, person)
        filled = [b""] * (2 * len(self.slots) + 1)
        filled[::2] = self.pieces
        filled[1::2] = [values[slot] for slot in self.slots]
        return b"".join(filled)


def preview(story: Story, brand: Brand, subject: str, language: str = "en") -> Preview:
    """The mail as it would go out; nothing is written. Raises Unsendable (R-111). One query."""
    links = {
        "unsubscribe_url": f"{settings.SITE_URL}/subscriptions",
        "manage_url": f"{settings.SITE_URL}/subscriptions",
    }
    return _words("story", story.as_json(), brand, _translated(subject, story.phase, language), language, links)


def preview_letter(letter: Letter, brand: Brand, subject: str, language: str = "en") -> Preview:
    """A letter as it would go out; nothing is written. Raises Unsendable (R-111). One query."""
    return _words("letter", letter.as_json(), brand, subject, language, {})


def mould(announcement_id: int, language: str) -> Mould:
    """The compiled mail of an announcement: the frozen one, or made and frozen now.

    Raises Unsendable or whatever a template raises: then nobody can be told until it is repaired.
    """
    announcement = Announcement.objects.select_related("brand").get(pk=announcement_id)
    language = language if language in LANGUAGES else LANGUAGES[0]
    wire = {"announcement": announcement, "channel": Channel.EMAIL, "language": language}
    rendering = Rendering.objects.filter(**wire).first()
    if rendering is None:
        pieces, slots = compile_mail(announcement, language)
        # Whoever freezes it first wins; the others send what was frozen.
        Rendering.objects.bulk_create(
            [Rendering(**wire, parts=pieces, slots=slots, sha256=_digest(pieces, slots))], ignore_conflicts=True
        )
        rendering = Rendering.objects.get(**wire)
    return Mould(
        pieces=tuple(piece.encode() for piece in rendering.parts),
        slots=tuple(rendering.slots),
        sender=announcement.brand.sender_email,
        news=announcement.public_id.bytes,
        lane=hashlib.sha256(announcement.lane.encode()).digest(),
        # Each letter of a lane is a thread of its own.
        first=announcement.seq == 1 and announcement.kind != Kind.LETTER,
        leave=tokens.sealer(tokens.UNSUBSCRIBE),
        manage=tokens.sealer(tokens.MANAGE),
        repeats=announcement.on_doubt == Doubt.RETRY,
    )


def compile_mail(announcement: Announcement, language: str) -> tuple[list[str], list[str]]:
    """Build the message with markers, check it, and cut it at them: (parts, slots) of a Rendering."""
    markers = _markers(announcement)
    links = {
        "unsubscribe_url": tokens.url(markers["unsubscribe"], tokens.UNSUBSCRIBE),
        "manage_url": tokens.url(markers["manage"], tokens.MANAGE),
    }
    name = _TEMPLATES.get(announcement.kind, "story")
    subject = subject_in(announcement, language)
    words = _words(name, announcement.content, announcement.brand, subject, language, links)
    try:
        headers = _headers(announcement, subject, markers, links["unsubscribe_url"])
    except mime.BadHeader as error:
        raise Unsendable([f"{error}."]) from error
    boundary = f"=_{announcement.public_id.hex}"
    message = mime.alternatives(headers, words.text, words.html, boundary=boundary, atoms=markers.values())
    pieces, slots = _cut(message, markers)
    _check(message, slots, _expected(announcement))
    return pieces, slots


def subject_in(announcement: Announcement, language: str) -> str:
    """The subject with our own words in it in the reader's language."""
    subject = announcement.subject
    with translation.override(language):
        if announcement.kind == Kind.DIGEST and (number := len(announcement.content["stories"])) > 1:
            news = ngettext(
                "%(number)s update since your last digest", "%(number)s updates since your last digest", number
            )
            return f"[{announcement.brand.name}] {news % {'number': number}}"
    return _translated(subject, announcement.content.get("phase", ""), language)


def _translated(subject: str, phase: str, language: str) -> str:
    ours = [f"{word}:" for word in ("Correction", phase) if word]
    # The first of them: a title may begin like a phase, and is the operator's.
    found = min((word for word in ours if word in subject), key=subject.index, default="")
    with translation.override(language):
        return subject.replace(found, f"{gettext(found[:-1])}:", 1) if found else subject


def _headers(announcement: Announcement, subject: str, markers: Mapping[str, str], unsubscribe_url: str) -> list[str]:
    brand, host = announcement.brand, message_host()
    headers = [
        mime.mailbox_header("From", brand.sender_name, brand.sender_email),
        mime.plain_header("To", markers["to"]),
        mime.mailbox_header("Reply-To", brand.name, brand.support_email),
        mime.header("Subject", subject),
        mime.plain_header("Date", mime.date(announcement.published_at)),
        mime.plain_header("Message-ID", f"<{markers['message_id']}@{host}>"),
        mime.plain_header("Auto-Submitted", "auto-generated"),
    ]
    if announcement.kind not in LETTERS:
        headers += [
            mime.plain_header("List-Unsubscribe", f"<{unsubscribe_url}>"),
            mime.plain_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    if announcement.kind != Kind.LETTER and announcement.seq > 1:
        headers += [mime.plain_header(name, f"<{markers['thread']}@{host}>") for name in ("In-Reply-To", "References")]
    return headers


def message_id(announcement: Announcement, person: bytes) -> str:
    """The Message-ID of an announcement's mail to one person, as its header says it."""
    first = announcement.seq == 1 and announcement.kind != Kind.LETTER
    subject = hashlib.sha256(announcement.lane.encode()).digest() if first else announcement.public_id.bytes
    return f"<{_id(subject, person).decode()}@{message_host()}>"


def _id(subject: bytes, person: bytes) -> bytes:
    return hmac.digest(_ID_KEY, subject + person, "sha256")[:16].hex().encode()


def message_host() -> str:
    """The right side of our Message-IDs: the site's host."""
    return urlsplit(settings.SITE_URL).hostname or "localhost"


def _expected(announcement: Announcement) -> dict[str, int]:
    """How often each gap occurs: once in a header, and a link in header, text and HTML."""
    expected = {"to": 1, "message_id": 1}
    if announcement.kind not in LETTERS:
        expected |= {"unsubscribe": 3, "manage": 2}
    if announcement.kind != Kind.LETTER and announcement.seq > 1:
        expected["thread"] = 2
    return expected


def _check(message: str, slots: list[str], expected: Mapping[str, int]) -> None:
    counted = {slot: slots.count(slot) for slot in dict.fromkeys(slots)}
    if counted != expected:
        raise Unsendable([f"The message has the gaps {counted} where {dict(expected)} belong."])
    lines = message.split("\r\n")
    if any("\n" in line or "\r" in line or line.startswith(".") or len(line) > 998 for line in lines):
        raise Unsendable(["The message has a line that mail cannot carry."])
    if not message.isascii():
        raise Unsendable(["The message is not plain 7-bit mail."])


def _markers(announcement: Announcement) -> dict[str, str]:
    """Words nobody can have written, each as long as what takes its place."""
    widths = {"to": 32, "message_id": 32, "thread": 32, "unsubscribe": tokens.LENGTH, "manage": tokens.LENGTH}
    seed = f"{announcement.public_id.hex}{announcement.lane}".encode()
    return {slot: hmac.digest(seed, slot.encode(), "sha256").hex()[: widths[slot]] for slot in _SLOTS}


def _cut(message: str, markers: Mapping[str, str]) -> tuple[list[str], list[str]]:
    names = {marker: slot for slot, marker in markers.items()}
    pieces = re.split("(" + "|".join(names) + ")", message)
    return pieces[::2], [names[marker] for marker in pieces[1::2]]


def _words(
    name: str, content: Mapping[str, Any], brand: Brand, subject: str, language: str, links: Mapping[str, str]
) -> Preview:
    context = {"brand": brand, "subject": subject, "language": language, **links, "site_url": settings.SITE_URL}
    context |= _CONTEXTS[name](content, language)
    with translation.override(language), timezone.override("UTC"):
        text = render_to_string(f"notifications/email/{name}.txt", context)
        html = render_to_string(f"notifications/email/{name}.html", context)
    lint([text, html])
    lint_for(brand, [subject, *_said(content)])
    return Preview(subject=subject, text=re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", html=_packed(html))


def _said(content: Mapping[str, Any]) -> list[str]:
    """What people wrote of it. The names of components, the brand's own lines and ours name nobody by mistake."""
    if "stories" in content:
        return [text for story in content["stories"] for text in _said(story)]
    if "lines" in content:
        short = [content, *content.get("translations", {}).values()]
        told = [words.get(key, "") for words in short for key in ("sms", "chat")]
        return [content["title"], *told, *(text for line in content["lines"] for text in _told(line))]
    return [content["heading"], *content["paragraphs"], content["button"]]


def _told(line: Mapping[str, Any]) -> list[str]:
    """The words of a line in every language. News from before there were any has none."""
    return [line["text"], *(words["text"] for words in line.get("translations", {}).values())]


def in_language(line: Mapping[str, Any], language: str) -> dict[str, str]:
    """``text`` and ``html`` of a line as a reader of ``language`` gets them, and ``language``, which they are in."""
    words = line.get("translations", {}).get(language)
    if words is None:
        return {"text": line["text"], "html": line["html"], "language": LANGUAGES[0]}
    return {"text": words["text"], "html": words["html"], "language": language}


def _story(content: Mapping[str, Any], language: str) -> dict[str, Any]:
    lines = [
        {
            **line,
            **in_language(line, language),
            "at": _moment(line["posted_at"]),
            "corrected": _moment(line["corrected_at"]) if line.get("corrected_at") else None,
            **_colour(line["phase"]),
        }
        for line in content["lines"]
    ]
    return {
        "story": content,
        "newest": lines[0] if lines else None,
        "earlier": lines[1:],
        "badge": _colour(content["phase"]),
        "components": [{"name": name, "level": level, **_colour(level)} for name, level in content["components"]],
        "started": _moment(content["started_at"]),
        "planned": [_moment(at) for at in content.get("planned") or ()],
        "promise": _moment(content["next_update_by"]) if content["next_update_by"] else None,
        "dark": _DARK,
    }


def _letter(content: Mapping[str, Any], language: str) -> dict[str, Any]:
    return {"letter": content, "dark": _DARK}


def _digest_of(content: Mapping[str, Any], language: str) -> dict[str, Any]:
    return {"stories": [_story(story, language) for story in content["stories"]], "dark": _DARK}


_CONTEXTS = {"story": _story, "letter": _letter, "digest": _digest_of}
_TEMPLATES: dict[str, str] = {Kind.LETTER: "letter", Kind.DIRECT: "letter", Kind.DIGEST: "digest"}


def _colour(word: str) -> dict[str, str]:
    hue = _HUES.get(word, "grey")
    strong, ink, tint = _COLOURS[hue][:3]
    return {"hue": hue, "strong": strong, "ink": ink, "tint": tint}


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


def _packed(html: str) -> str:
    """The HTML without the template's indentation and blank lines."""
    return "\n".join(line.strip() for line in html.splitlines() if line.strip()) + "\n"


def _digest(pieces: list[str], slots: list[str]) -> str:
    return hashlib.sha256("\0".join([*pieces, *slots]).encode()).hexdigest()
