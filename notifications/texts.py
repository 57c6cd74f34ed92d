"""From words to text messages: written once per announcement and channel, the same for everybody (R-801).

A text begins with the brand's name, so that people know whose number this is. The first one of an
incident ends with how to leave ("Reply STOP to end") where that costs no further segment; the others
do not repeat it. In doubt no text is ever sent again (reliability.md 3.3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from notifications.enums import Channel, Kind
from notifications.lint import Unsendable, lint, lint_for
from notifications.models import Announcement, Brand, Rendering
from notifications.queue import Item
from notifications.segments import Sms, plainly
from notifications.stories import Story

#: What Twilio takes in one message.
LONGEST = 1600
LEAVE = "Reply STOP to end"
LEAVES = {"de": "Abmelden: STOP antworten"}


@dataclass(frozen=True)
class TextMould:
    """A compiled text: ``text`` for everybody; ``lane`` and ``is_code`` say whose budget it is on."""

    text: str
    channel: Channel
    lane: str
    is_code: bool
    expires_at: datetime
    #: A second text costs money and trust: nobody gets one on a guess (F05).
    repeats: bool = False

    def fill(self, item: Item) -> bytes:
        return self.text.encode()

    @property
    def segments(self) -> int:
        """What it is billed as: WhatsApp by the message, SMS by the part."""
        return Sms(self.text).segments if self.channel == Channel.SMS else 1


def mould(channel: Channel, announcement_id: int, language: str) -> TextMould:
    """The compiled text of an announcement: the frozen one, or made and frozen now. Raises Unsendable (R-111)."""
    announcement = Announcement.objects.select_related("brand").get(pk=announcement_id)
    wire = {"announcement": announcement, "channel": channel, "language": language}
    rendering = Rendering.objects.filter(**wire).first()
    if rendering is None:
        text = compile_text(announcement, channel, language)
        digest = hashlib.sha256(text.encode()).hexdigest()
        # Whoever freezes it first wins; the others send what was frozen.
        Rendering.objects.bulk_create([Rendering(**wire, parts=[text], slots=[], sha256=digest)], ignore_conflicts=True)
        rendering = Rendering.objects.get(**wire)
    return TextMould(
        text=rendering.parts[0],
        channel=channel,
        lane=announcement.lane,
        is_code=announcement.kind == Kind.LETTER,
        expires_at=announcement.expires_at,
    )


sms = partial(mould, Channel.SMS)
whatsapp = partial(mould, Channel.WHATSAPP)


def compile_text(announcement: Announcement, channel: Channel, language: str = "en") -> str:
    """The words of a text, as they are where nobody put them into ``language``. Raises Unsendable (R-111)."""
    content, is_news = announcement.content, announcement.kind != Kind.LETTER
    translated = content.get("translations", {}).get(language, {}).get("sms", "")
    return _words(
        translated or content.get("sms", ""),
        announcement.brand,
        channel,
        leave=_leave(language, translated) if is_news and announcement.seq == 1 else "",
    )


def preview(story: Story, brand: Brand, *, first: bool, language: str = "en") -> Sms:
    """A story as an SMS, as it would go out; ``first``: nothing was told of its incident yet.

    Writes nothing. Raises Unsendable (R-111).
    """
    translated = story.translations.get(language, {}).get("sms", "")
    leave = _leave(language, translated) if first else ""
    return Sms(_words(translated or story.sms, brand, Channel.SMS, leave=leave))


def _leave(language: str, translated: str) -> str:
    """How to leave, in the language of the words it stands under."""
    return LEAVES.get(language, LEAVE) if translated else LEAVE


def _words(said: str, brand: Brand, channel: Channel, *, leave: str) -> str:
    said = said.strip()
    if not said:
        raise Unsendable(["There are no words for a phone."])
    lint([said])
    lint_for(brand, [said])
    text = said if brand.name.casefold() in said.casefold() else f"{brand.name}: {said}"
    if channel == Channel.SMS:
        text = plainly(text)
    if leave:
        text = _with_leave(text, leave, channel)
    if len(text) > LONGEST:
        raise Unsendable([f"A text has at most {LONGEST} characters; this has {len(text)}."])
    return text


def _with_leave(text: str, leave: str, channel: Channel) -> str:
    longer = f"{text}\n{leave}"
    fits = channel != Channel.SMS or Sms(longer).segments == Sms(text).segments
    return longer if fits and len(longer) <= LONGEST else text
