"""How words will read before they are said, and how many people each wire reaches (R-206). Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from django.conf import settings

from incidents import letters
from incidents.enums import Publicity
from incidents.forms import TellingForm
from incidents.forms.retranslating import Retranslating
from incidents.forms.telling import Line
from incidents.forms.translating import OTHERS, Translating, name_of
from incidents.letters import Mailing
from incidents.words import LETTER_PLACEHOLDERS, WORK_PLACEHOLDERS
from notifications import compiler, texts
from notifications.enums import Kind
from notifications.lint import Unsendable
from notifications.models import Brand
from notifications.outbox import Story
from notifications.segments import Sms
from status import publishing
from status.enums import Level, Phase
from status.markup import Words
from status.publishing import Draft

_LEFT = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
#: What fills itself for each customer is no gap in a letter.
_LEFT_BUT_OWN = re.compile(rf"\{{\{{\s*(?!{letters.OWN}\s*\}}\}})(.*?)\s*\}}\}}", re.DOTALL)
#: Codes of mistakes that no more writing puts right.
_LINT = {"apology", "cause", "unsendable", "control_character", "relative_link", "too_long", "max_length"}
#: Colours of a phase on the page.
PHASE_COLOURS = {
    Phase.INVESTIGATING: "red",
    Phase.IDENTIFIED: "orange",
    Phase.MONITORING: "blue",
    Phase.RESOLVED: "green",
    Phase.SCHEDULED: "blue",
    Phase.IN_PROGRESS: "blue",
    Phase.VERIFYING: "blue",
    Phase.COMPLETED: "green",
}


@dataclass(frozen=True)
class Spoken:
    """How it reads in one more language; ``why_not``: why its readers get the original instead."""

    language: str
    name: str
    why_not: str
    words: Words | None = None
    subject: str = ""
    mail: str = ""
    sms: Sms | None = None
    chat: str = ""


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
    #: What chat rooms read above the link.
    chat: str = ""
    languages: list[Spoken] = field(default_factory=list)
    #: The letter that the first group of customers would get, whose they are, and to whom all of them go.
    letter: compiler.Preview | None = None
    mailing: Mailing | None = None
    lines: list[Line] = field(default_factory=list)
    in_short: str = "tells nobody outside"
    count: int = 0
    counts_back: bool = False
    problems: list[str] = field(default_factory=list)
    #: What must not go out as it is typed now: (id of the field, message). Not what is only not written yet.
    lint: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def preview(form: TellingForm) -> Preview:
    """Read a form, finished or not, as the public would read it. Call ``is_valid`` first."""
    if not form.speaks:
        return Preview(told=False)
    if form.brand is None:
        return Preview(told=True, problems=["No brand is set up yet: add one first."])
    draft = _shown(form.draft(), _gaps(form.kind))
    story = form.story(draft)
    sms, problems, mail, letter = Sms(story.sms), [], None, None
    try:
        letter = _letter(form, story)
        mail = compiler.preview(story, form.brand, publishing.subject(form.brand, story, form.headline))
        sms = texts.preview(story, form.brand, first=form.notice is None)
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
        chat=draft.chat or draft.words.text,
        languages=_languages(form, story),
        letter=letter,
        mailing=form.mailing if letter else None,
        lines=form.lines(segments=sms.segments),
        in_short=form.reach.in_short(form.channels, form.mailing.count if form.asks_to_write else 0),
        count=form.recipient_count,
        counts_back=form.counts_back,
        problems=problems,
        lint=_lint(form),
        warnings=_warnings(form),
    )


def _lint(form: TellingForm) -> list[tuple[str, str]]:
    found = []
    for name, mistakes in form.errors.as_data().items():
        said = [text for one in mistakes if one.code in _LINT for text in one.messages]
        found += [(form[name].auto_id, text) for text in said if name in form.fields]
    return found


def _languages(form: TellingForm, story: Story) -> list[Spoken]:
    """Every other language."""
    if not isinstance(form, (Translating, Retranslating)) or form.brand is None:
        return []
    return [_spoken(form, form.brand, story, language) for language in OTHERS]


def _spoken(form: Translating | Retranslating, brand: Brand, story: Story, language: str) -> Spoken:
    rendition, name = form.rendition(language), name_of(language)
    if rendition.words is None:
        return Spoken(language, name, rendition.why_not)
    if not rendition.goes:
        shown = replace(rendition.words, body=_LEFT.sub(_gaps(form.kind), rendition.words.body))
        return Spoken(language, name, rendition.why_not, shown.words)
    said = rendition.words
    try:
        mail = compiler.preview(story, brand, publishing.subject(brand, story, form.headline), language)
        first = form.notice is None
        sms = texts.preview(story, brand, first=first, language=language)
    except Unsendable as refused:
        return Spoken(language, name, " ".join(refused.problems), said.words)
    return Spoken(language, name, "", said.words, mail.subject, mail.html, sms, said.chat or said.words.text)


def _letter(form: TellingForm, story: Story) -> compiler.Preview | None:
    """What the first of the customers would read; None: no letter is written."""
    if not form.letter or form.brand is None:
        return None
    hurt = form.hurt
    theirs = form.mailing.groups[0][0] if form.mailing.groups else tuple(hurt)
    words = letters.letter(
        _LEFT_BUT_OWN.sub(_gaps(form.kind), form.letter),
        {component: hurt[component] for component in theirs},
        title=story.title,
        url=story.url or settings.SITE_URL,
    )
    return compiler.preview_letter(words, form.brand, publishing.subject(form.brand, story, form.headline))


def _shown(draft: Draft, gap: Callable[[re.Match[str]], str]) -> Draft:
    """What is still blank is shown as a gap in words: it must be seen, and it is no message yet."""
    return replace(
        draft,
        body=_LEFT.sub(gap, draft.body) or "[… nothing said yet …]",
        sms=_LEFT.sub(gap, draft.sms),
        chat=_LEFT.sub(gap, draft.chat),
        translations={
            language: replace(
                said, body=_LEFT.sub(gap, said.body), sms=_LEFT.sub(gap, said.sms), chat=_LEFT.sub(gap, said.chat)
            )
            for language, said in draft.translations.items()
        },
    )


def _gaps(kind: Kind) -> Callable[[re.Match[str]], str]:
    """What stands in place of a placeholder that is not filled in yet: what it is for, in a few words."""
    known = WORK_PLACEHOLDERS if kind == Kind.MAINTENANCE else LETTER_PLACEHOLDERS

    def gap(match: re.Match[str]) -> str:
        name = match[1]
        meaning = known[name].meaning.split(";")[0] if name in known else name
        return f"[… {meaning[:1].lower()}{meaning[1:]} …]"

    return gap


def _warnings(form: TellingForm) -> list[str]:
    """What is allowed, and perhaps not meant."""
    found = []
    if not form.concerned and form.kind == Kind.INCIDENT:
        found.append("No component is marked: the page stays green, and every subscriber is told.")
    if form.ranked and form.ranked.publicity in (Publicity.INTERNAL, Publicity.NEVER):
        kept = form.ranked.get_publicity_display().lower()
        found.append(f"The policy says for {form.ranked}: {kept}. You are about to publish.")
    if form.promises and form.promised is None:
        found.append("You promise no fixed time for the next update.")
    return found
