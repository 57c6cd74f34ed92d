"""How words will read before they are said, and how many people each wire reaches (R-206). Writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from django.conf import settings

from incidents import letters
from incidents.enums import Publicity
from incidents.forms import TellingForm
from incidents.forms.telling import Line
from incidents.letters import Mailing
from incidents.words import PLACEHOLDERS
from notifications import compiler, texts
from notifications.lint import Unsendable
from notifications.outbox import Story
from notifications.segments import Sms
from status import publishing
from status.enums import Level, Phase
from status.publishing import Draft

_LEFT = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
#: What fills itself for each customer is no gap in a letter.
_LEFT_BUT_OWN = re.compile(rf"\{{\{{\s*(?!{letters.OWN}\s*\}}\}})(.*?)\s*\}}\}}", re.DOTALL)
#: Colours of a phase on the page.
PHASE_COLOURS = {
    Phase.INVESTIGATING: "red",
    Phase.IDENTIFIED: "orange",
    Phase.MONITORING: "blue",
    Phase.RESOLVED: "green",
}


@dataclass(frozen=True)
class Preview:
    """What the panel beside the form shows, and the ways to tell with how many each reaches now.

    ``count`` is everybody who would be told, ``in_short`` says it in words; ``counts_back``: so many
    that the number must be typed (F23).
    """

    told: bool
    draft: Draft | None = None
    title: str = ""
    colour: str = "grey"
    levels: list[tuple[str, Level]] = field(default_factory=list)
    mail: compiler.Preview | None = None
    sms: Sms | None = None
    #: The letter that the first group of customers would get, whose they are, and to whom all of them go.
    letter: compiler.Preview | None = None
    mailing: Mailing | None = None
    lines: list[Line] = field(default_factory=list)
    in_short: str = "tells nobody outside"
    count: int = 0
    counts_back: bool = False
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def preview(form: TellingForm) -> Preview:
    """Read a form, finished or not, as the public would read it. Call ``is_valid`` first."""
    if not form.speaks:
        return Preview(told=False)
    if form.brand is None:
        return Preview(told=True, problems=["No brand is set up yet: add one first."])
    draft = _shown(form.draft())
    story = form.story(draft)
    sms, problems, mail, letter = Sms(story.sms), [], None, None
    try:
        letter = _letter(form, story)
        mail = compiler.preview(story, form.brand, publishing.subject(form.brand, story, form.headline))
        sms = texts.preview(story, form.brand, first=form.incident is None or form.incident.notice is None)
    except Unsendable as refused:
        problems = refused.problems
    return Preview(
        told=True,
        draft=draft,
        title=story.title,
        colour=PHASE_COLOURS.get(draft.phase, "grey"),
        levels=[(component.name, level) for component, level in form.levels.items()],
        mail=mail,
        sms=sms,
        letter=letter,
        mailing=form.mailing if letter else None,
        lines=form.lines(segments=sms.segments),
        in_short=form.reach.in_short(form.channels, form.mailing.count if form.asks_to_write else 0),
        count=form.recipient_count,
        counts_back=form.counts_back,
        problems=problems,
        warnings=_warnings(form),
    )


def _letter(form: TellingForm, story: Story) -> compiler.Preview | None:
    """What the first of the customers would read; None: no letter is written."""
    if not form.letter or form.brand is None:
        return None
    hurt = form.hurt
    theirs = form.mailing.groups[0][0] if form.mailing.groups else tuple(hurt)
    words = letters.letter(
        _LEFT_BUT_OWN.sub(_gap, form.letter),
        {component: hurt[component] for component in theirs},
        title=story.title,
        url=story.url or settings.SITE_URL,
    )
    return compiler.preview_letter(words, form.brand, publishing.subject(form.brand, story, form.headline))


def _shown(draft: Draft) -> Draft:
    """What is still blank is shown as a gap in words: it must be seen, and it is no message yet."""
    return replace(draft, body=_LEFT.sub(_gap, draft.body) or "[… nothing said yet …]", sms=_LEFT.sub(_gap, draft.sms))


def _gap(match: re.Match[str]) -> str:
    return f"[… {PLACEHOLDERS.get(match[1], match[1]).split(',')[0].lower()} …]"


def _warnings(form: TellingForm) -> list[str]:
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
