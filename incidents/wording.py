"""Earlier wording: what was said in public before, where it stood like this (R-206).

Never from restricted incidents, false alarms or duplicates; of corrected words only the newest. Where a fact of that
incident stands in its words, its placeholder comes back, so that the words tell the facts of this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from incidents import words
from incidents.enums import UNCOUNTED
from incidents.models import Incident
from notifications.compiler import LANGUAGES
from status.enums import Level, Phase
from status.models import Component, Notice, NoticeUpdate

#: How many are offered, and among how many of the newest notices they are looked for.
MOST, AMONG = 5, 200
#: Shorter titles may stand in words by chance.
_SHORTEST = 5


@dataclass(frozen=True)
class Earlier:
    """Words that were said before. ``body`` is Markdown with placeholders; ``translations`` the same by language."""

    incident: int
    reference: str
    title: str
    said_at: datetime
    body: str
    sms: str
    chat: str
    translations: Mapping[str, str]

    @property
    def languages(self) -> list[str]:
        """Codes of the languages besides the first."""
        return sorted(self.translations)

    @property
    def as_json(self) -> str:
        """What choosing them writes, by the name of the field. Other languages are emptied where there are none."""
        fields = {"body": self.body, "sms": self.sms, "chat": self.chat}
        for language in LANGUAGES[1:]:
            fields |= {f"body_{language}": self.translations.get(language, "")}
            fields |= {f"sms_{language}": "", f"chat_{language}": ""}
        return json.dumps(fields, ensure_ascii=False)


def earlier(
    user: AbstractBaseUser | AnonymousUser,
    *,
    phase: Phase,
    components: Collection[int] = (),
    policy: int | None = None,
    brand: int | None = None,
    apart_from: int | None = None,
) -> list[Earlier]:
    """The newest distinct words of past incidents that ``user`` may see, at most ``MOST``; those of ``policy`` first.

    ``components``, ``policy`` and ``brand`` are ids; no components: whatever was affected. ``apart_from`` is the
    incident that they are looked for. Three queries at most, by key, however many incidents there are.
    """
    known = Incident.objects.visible_to(user).filter(is_restricted=False).exclude(state__in=UNCOUNTED)
    known = known.filter(notice__in=_newest(components))
    if apart_from is not None:
        known = known.exclude(pk=apart_from)
    if brand is not None:
        known = known.filter(brand=brand)
    incidents = {one.notice_id: one for one in known.select_related("severity__version")}
    said = NoticeUpdate.objects.filter(notice__in=incidents, phase=phase, corrected_by=None).order_by("-posted_at")
    found = [(incidents[update.notice_id], update) for update in said.defer("html", "text")]
    # Sorting keeps the newest first within each half.
    found.sort(key=lambda pair: policy is not None and pair[0].severity.version.policy_id != policy)
    return _distinct(_told(incident, update) for incident, update in found)


def _newest(components: Collection[int]) -> list[int]:
    """Ids of the newest notices about any of ``components``. One query."""
    if not components:
        return list(Notice.objects.order_by("-pk").values_list("pk", flat=True)[:AMONG])
    links = Notice.components.through.objects.filter(component__in=components).order_by("-notice_id")
    return list(dict.fromkeys(links.values_list("notice_id", flat=True)[: AMONG * len(components)]))[:AMONG]


def _distinct(told: Iterable[Earlier]) -> list[Earlier]:
    kept: dict[str, Earlier] = {}
    for one in told:
        if len(kept) == MOST:
            break
        kept.setdefault(" ".join(one.body.split()).casefold(), one)
    return list(kept.values())


def _told(incident: Incident, update: NoticeUpdate) -> Earlier:
    return Earlier(
        incident.pk,
        incident.reference,
        incident.told_title,
        update.posted_at,
        unfilled(update.body, incident, update),
        unfilled(update.sms, incident, update),
        unfilled(update.chat, incident, update),
        {
            language: unfilled(said["body"], incident, update, language)
            for language, said in update.translations.items()
        },
    )


def unfilled(text: str, incident: Incident, update: NoticeUpdate, language: str = LANGUAGES[0]) -> str:
    """The words with placeholders again where the facts of their own incident stand, letter by letter."""
    ended_at = incident.ended_at if update.phase == Phase.RESOLVED else None
    facts = words.Facts(
        title=incident.told_title if len(incident.told_title) >= _SHORTEST else "",
        levels=_levels(update),
        started_at=incident.started_at,
        # How long it had lasted is certain only once it was over.
        at=ended_at,
        next_update_by=update.next_update_by,
        resolved_at=ended_at,
        reference=incident.reference,
    )
    values = {value: name for name, value in reversed(facts.as_values(language).items())}
    if not values:
        return text
    # The longest first: one may be part of another.
    known = sorted(values, key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in known)
    return re.sub(pattern, lambda found: "{{" + values[found[0]] + "}}", text)


def _levels(update: NoticeUpdate) -> list[tuple[str, str]]:
    """What was affected when it was said; of a resolution, what had been."""
    which = "old_status" if update.phase == Phase.RESOLVED else "new_status"
    levels = [(row["name"], Level(row[which])) for row in update.affected]
    return [(name, level.label) for name, level in levels if level != Level.OPERATIONAL]


def marked(values: Iterable[str]) -> list[int]:
    """Ids of components out of what was sent; what is none is left out. One query, none for nothing."""
    numbers = {int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 19}
    return list(Component.objects.filter(pk__in=numbers).values_list("pk", flat=True)) if numbers else []
