"""A reply to a customer who asks, ready to paste: plain text, from public words only (R-1305, R-111). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

from incidents import words
from incidents.affected import Affected, Trouble
from notifications.models import Brand
from status.enums import Level

#: Languages a reply can be had in, by their own name.
LANGUAGES = {"en": "English", "de": "Deutsch"}


@dataclass(frozen=True)
class _Phrases:
    hello: str
    hurt: str
    may_hurt: str
    serviced: str
    fine: str
    fine_assumed: str
    said: str
    promised: str
    late: str
    no_promise: str
    follow: str
    over: str
    ahead: str
    tell_us: str
    bye: str
    reach: str


_PHRASES = {
    "en": _Phrases(
        hello="Hello,",
        hurt="yes, there is a problem with something you use: {levels}.",
        may_hurt="we have an open incident that may concern you: {levels}.",
        serviced="something you use is being worked on, as planned: {levels}.",
        fine="as of {at}, everything you use works as usual. We know of no open incident that touches it.",
        fine_assumed="as of {at}, all our services work as usual. We know of no open incident.",
        said="What we last said about “{title}” ({phase}, {posted}):",
        promised="We will post the next update by {promise}.",
        late="Our next update was due by {promise} and has not been posted yet.",
        no_promise="There is no fixed time for the next update.",
        follow="You can follow it here: {url}",
        over="“{title}” was resolved at {ended}. What we last said about it:",
        ahead="Planned maintenance ahead: “{title}”, from {start} until {end}.",
        tell_us="If you see trouble all the same, please tell us what you see, and since when.",
        bye="Kind regards",
        reach="You can reach us at {support}.",
    ),
    "de": _Phrases(
        hello="Guten Tag,",
        hurt="ja, etwas, das Sie nutzen, ist gestört: {levels}.",
        may_hurt="bei uns gibt es gerade eine Störung, die Sie betreffen kann: {levels}.",
        serviced="an etwas, das Sie nutzen, wird gerade planmäßig gearbeitet: {levels}.",
        fine="Stand {at} läuft alles, was Sie nutzen, wie gewohnt. Eine Störung daran ist uns nicht bekannt.",
        fine_assumed="Stand {at} laufen alle unsere Dienste wie gewohnt. Eine Störung ist uns nicht bekannt.",
        said="Unsere letzte Nachricht zu „{title}“ ({phase}, {posted}):",
        promised="Die nächste Nachricht veröffentlichen wir bis {promise}.",
        late="Unsere nächste Nachricht war bis {promise} zugesagt und ist noch nicht veröffentlicht.",
        no_promise="Wann die nächste Nachricht kommt, steht noch nicht fest.",
        follow="Hier können Sie es verfolgen: {url}",
        over="„{title}“ ist seit {ended} behoben. Unsere letzte Nachricht dazu:",
        ahead="Geplante Wartung: „{title}“, von {start} bis {end}.",
        tell_us="Falls bei Ihnen trotzdem etwas nicht geht, schreiben Sie uns bitte, was Sie sehen und seit wann.",
        bye="Freundliche Grüße",
        reach="Sie erreichen uns unter {support}.",
    ),
}


def reply(found: Affected, language: str = "en") -> str:
    """What to answer, in the voice of the brand that spoke about the trouble."""
    say = _PHRASES[language]
    brand = found.open[0].notice.brand if found.open else found.brand
    parts = [say.hello, *_standing(found, say, language)]
    for trouble in found.open:
        parts += _about(trouble, found, say, language)
    if not found.open:
        for trouble in found.lately[:1]:
            ended = trouble.notice.ended_at or trouble.notice.resolved_at
            parts.append(say.over.format(title=trouble.notice.title, ended=words.moment(ended, language)))  # type: ignore[arg-type]  # it is over
            parts += _quoted(trouble, language)
    parts += _maintenance(found, say, language)
    if not found.is_affected:
        parts.append(say.tell_us)
    return "\n\n".join([*parts, _signature(brand, say)])


def replies(found: Affected) -> list[tuple[str, str, str]]:
    """(code, name of the language, reply)."""
    return [(code, name, reply(found, code)) for code, name in LANGUAGES.items()]


def _standing(found: Affected, say: _Phrases, language: str) -> list[str]:
    if not found.is_affected:
        fine = say.fine_assumed if found.assumed else say.fine
        return [fine.format(at=words.moment(found.at, language))]
    levels = found.hurt or [(one, level) for trouble in found.open for one, level in trouble.levels]
    told = words.sentence([(component.name, level.label) for component, level in levels], language)
    if not found.open and all(level == Level.MAINTENANCE for _, level in levels):
        return [say.serviced.format(levels=told)]
    return [(say.may_hurt if found.assumed else say.hurt).format(levels=told)]


def _about(trouble: Trouble, found: Affected, say: _Phrases, language: str) -> list[str]:
    notice, told = trouble.notice, trouble.words
    lines = []
    if told:
        with translation.override(language):
            phase = gettext(told.phase.label)
        posted = words.moment(told.posted_at, language)
        lines = [say.said.format(title=notice.title, phase=phase, posted=posted), *_quoted(trouble, language)]
    promise = notice.next_update_by
    if promise is None:
        lines.append(say.no_promise)
    else:
        kept = say.promised if promise > found.at else say.late
        lines.append(kept.format(promise=words.moment(promise, language)))
    return [*lines, say.follow.format(url=trouble.url)]


def _quoted(trouble: Trouble, language: str) -> list[str]:
    """The public words; in the reader's language where they were said in it."""
    if trouble.words is None:
        return []
    said = trouble.words.translations.get(language)
    text = said["text"] if said else trouble.words.text
    return ["\n".join(f"> {line}" if line else ">" for line in text.strip().splitlines())]


def _maintenance(found: Affected, say: _Phrases, language: str) -> list[str]:
    return [
        say.ahead.format(
            title=one.notice.title if one.notice else one.title,
            start=words.moment(one.planned_start_at, language),
            end=words.moment(one.planned_end_at, language),
        )
        for one in found.ahead
    ]


def _signature(brand: Brand | None, say: _Phrases) -> str:
    if brand is None:
        return say.bye
    support = f"{brand.support_email} / {brand.support_url}" if brand.support_url else brand.support_email
    lines = [say.bye, brand.signature.strip() or brand.name, "", say.reach.format(support=support)]
    return "\n".join([*lines, f"{settings.SITE_URL}/status"])
