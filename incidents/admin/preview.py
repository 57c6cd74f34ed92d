"""How words will read before they are said, and how many people each wire reaches (R-206). Writes nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Count

from incidents.enums import Publicity
from incidents.forms import ComposerForm
from incidents.words import PLACEHOLDERS
from notifications import compiler
from notifications.enums import Channel, Kind
from notifications.lint import Unsendable
from notifications.models import Subscriber
from status import publishing
from status.enums import Level, Phase
from status.publishing import Draft

#: Characters that travel as one, and as two, in a plain text message (GSM 03.38).
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€\f")
_LEFT = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
#: Colours of a phase on the page.
PHASE_COLOURS = {
    Phase.INVESTIGATING: "red",
    Phase.IDENTIFIED: "orange",
    Phase.MONITORING: "blue",
    Phase.RESOLVED: "green",
}


@dataclass(frozen=True)
class Sms:
    """A text message as carriers count it: one character outside the GSM alphabet halves the room."""

    text: str

    @property
    def plain(self) -> bool:
        return all(character in _GSM or character in _GSM_TWICE for character in self.text)

    @property
    def length(self) -> int:
        """Septets in the GSM alphabet, UTF-16 units otherwise."""
        if self.plain:
            return sum(2 if character in _GSM_TWICE else 1 for character in self.text)
        return len(self.text.encode("utf-16-le", "surrogatepass")) // 2

    @property
    def segments(self) -> int:
        """How many messages it is billed as."""
        single, each = (160, 153) if self.plain else (70, 67)
        return 1 if self.length <= single else math.ceil(self.length / each)


@dataclass(frozen=True)
class Preview:
    """What the panel beside the form shows. ``reach`` is people by channel."""

    told: bool
    draft: Draft | None = None
    title: str = ""
    colour: str = "grey"
    levels: list[tuple[str, Level]] = field(default_factory=list)
    mail: compiler.Preview | None = None
    sms: Sms | None = None
    reach: Mapping[str, int] = field(default_factory=dict)
    tell: bool = True
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def email_reach(self) -> int:
        return self.reach.get(Channel.EMAIL, 0) if self.tell else 0

    @property
    def sms_ready(self) -> bool:
        return "sms" in Channel.values


def preview(form: ComposerForm) -> Preview:
    """Read a form, finished or not, as the public would read it. Call ``is_valid`` first."""
    if not form.speaks:
        return Preview(told=False)
    if form.brand is None:
        return Preview(told=True, problems=["No brand is set up yet: add one first."])
    draft = _shown(form.draft())
    story = form.story(draft)
    problems, mail = [], None
    try:
        mail = compiler.preview(story, form.brand, publishing.subject(form.brand, story))
    except Unsendable as refused:
        problems = refused.problems
    return Preview(
        told=True,
        draft=draft,
        title=story.title,
        colour=PHASE_COLOURS.get(draft.phase, "grey"),
        levels=[(component.name, level) for component, level in form.levels.items()],
        mail=mail,
        sms=Sms(story.sms),
        reach=reach(form, at=form.at),
        tell=bool(form.known("tell")),
        problems=problems,
        warnings=_warnings(form),
    )


def reach(form: ComposerForm, *, at: datetime) -> dict[str, int]:
    """People by channel who would be told now, by the rule of publishing itself. One query."""
    notice = form.incident.notice if form.incident else None
    scope = publishing.scope(notice, form.ranked.rank if form.ranked else None, form.concerned)
    topics = [topic.pk for topic in scope.topics]
    people = Subscriber.objects.interested(kind=Kind.INCIDENT, rank=scope.rank, topics=topics, at=at)
    return dict(people.order_by().values_list("channel").annotate(people=Count("pk")))


def _shown(draft: Draft) -> Draft:
    """What is still blank is shown as a gap in words: it must be seen, and it is no message yet."""
    return replace(draft, body=_LEFT.sub(_gap, draft.body) or "[… nothing said yet …]", sms=_LEFT.sub(_gap, draft.sms))


def _gap(match: re.Match[str]) -> str:
    return f"[… {PLACEHOLDERS.get(match[1], match[1]).split(',')[0].lower()} …]"


def _warnings(form: ComposerForm) -> list[str]:
    """What is allowed, and perhaps not meant."""
    found = []
    if not form.concerned:
        found.append("No component is marked: the page stays green, and every subscriber is told.")
    if form.ranked and form.ranked.publicity in (Publicity.INTERNAL, Publicity.NEVER):
        kept = form.ranked.get_publicity_display().lower()
        found.append(f"The policy says for {form.ranked}: {kept}. You are about to publish.")
    if form.promises and form.promised is None:
        found.append("You promise no fixed time for the next update.")
    return found
