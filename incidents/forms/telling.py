"""Who is told, and by what: what the policy says, how many it reaches now, what a person decides (R-112, F23)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, Case, Count, Value, When
from django.utils.functional import cached_property

from incidents import grid, letters
from incidents.enums import Setting, Wire
from incidents.grid import Way
from incidents.letters import Mailing, support
from incidents.models import Incident, Severity
from incidents.words import fill
from notifications.channels import registry
from notifications.enums import Channel, Kind, Tier
from notifications.models import Brand, Subscriber
from notifications.outbox import Story
from status import reach
from status.enums import Level
from status.models import Component, Notice
from status.publishing import Draft

from .base import ActForm

#: More than this many at once are told only after somebody typed how many (F23).
MANY = 1_000
#: By how much the number may have moved since it was read.
SLACK = 0.05
UNITS = {
    Channel.EMAIL: ("person", "people"),
    Channel.SMS: ("person", "people"),
    Channel.WHATSAPP: ("person", "people"),
    Channel.WEBHOOK: ("endpoint", "endpoints"),
    Channel.CHAT: ("room", "rooms"),
    Channel.SOCIAL: ("account", "accounts"),
}
_IN_SHORT = {
    Channel.EMAIL: ("mails {} person", "mails {} people"),
    Channel.SMS: ("texts {} person", "texts {} people"),
    Channel.WHATSAPP: ("{} by WhatsApp", "{} by WhatsApp"),
    Channel.WEBHOOK: ("{} webhook", "{} webhooks"),
    Channel.CHAT: ("{} chat room", "{} chat rooms"),
    Channel.SOCIAL: ("{} social post", "{} social posts"),
}


@dataclass(frozen=True)
class Crowd:
    """Subscribers of one channel who would be told, and which narrower ways they belong to as well."""

    channel: str
    enterprise: bool
    staff: bool
    people: int

    def goes_by(self, keys: Collection[str]) -> bool:
        narrower = (("enterprise", self.enterprise), ("staff", self.staff))
        return self.channel in keys or any(belongs and f"{self.channel}:{name}" in keys for name, belongs in narrower)


@dataclass(frozen=True)
class Reach:
    """How many are told now, by the rule of publishing itself."""

    crowds: tuple[Crowd, ...]

    def by(self, keys: Collection[str], channel: str = "") -> int:
        """How many are reached by these ways (of one channel), each once."""
        return sum(crowd.people for crowd in self.crowds if crowd.goes_by(keys) and channel in ("", crowd.channel))

    def in_short(self, keys: Collection[str], letters: int = 0) -> str:
        """``mails 1,204 people, 3 webhooks, writes 2 letters``."""
        counts = {channel: self.by(keys, channel) for channel in _IN_SHORT}
        parts = [_IN_SHORT[channel][count != 1].format(f"{count:,}") for channel, count in counts.items() if count]
        if letters:
            parts.append(f"writes {letters:,} letter{'s' if letters != 1 else ''}")
        return ", ".join(parts) or "tells nobody"


@dataclass(frozen=True)
class Line:
    """One way to tell, as the form shows it. ``people`` None: not counted yet; ``segments``: texts per person."""

    way: Way
    setting: Setting
    off: str
    told: bool
    ticked: bool
    people: int | None = None
    segments: int = 1
    #: Customers whose contacts get a letter.
    customers: tuple[str, ...] = ()

    @property
    def reaches(self) -> str:
        """``1,204 people``, ``40 people × 2 = 80 texts``, ``3 people at 2 customers``."""
        if self.people is None:
            return ""
        told = f"{self.people:,} {UNITS[self.way.channel][self.people != 1]}"
        if self.customers:
            told += f" at {len(self.customers):,} customer{'s' if len(self.customers) != 1 else ''}"
        if self.way.channel != Channel.SMS or self.segments == 1 or not self.people:
            return told
        return f"{told} × {self.segments} = {self.people * self.segments:,} texts"


class TellingForm(ActForm):
    """Words for the public, and who is told of them. ``level`` is the severity whose policy proposes the ways.

    ``ends`` where the last words are said: then nobody who was told before can be left out (R-804).
    ``quietly`` where telling nobody is what is usually meant.
    """

    kind = Kind.INCIDENT
    ends = False
    quietly = False
    #: Whether Enterprise customers may be written to about it, and where the words start (R-803).
    writes = True
    letter_start = letters.DEFAULT
    #: Whether it says when the next update comes, and when.
    promises = False
    promised: datetime | None = None
    #: Stands in the subject in place of the phase.
    headline = ""

    wires = forms.MultipleChoiceField(
        choices=[(way.key, way.label) for way in (*grid.WAYS, grid.LETTER_WAY)],
        required=False,
        label="Who is told",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "There is no way to tell that is called %(value)s."},
    )
    quiet = forms.BooleanField(required=False, label="Only the page")
    recipients = forms.CharField(required=False, max_length=20, label="How many are told")

    def __init__(
        self,
        data: Any = None,
        *,
        at: datetime,
        level: Severity | None,
        incident: Incident | None = None,
        notice: Notice | None = None,
        **options: Any,
    ) -> None:
        self.level = level
        #: What could be read so far; errors that ``clean`` finds do not take it away from the preview.
        self.read: dict[str, Any] = {}
        self.notice = incident.notice if incident else notice
        said = grid.cells(level)
        first = reach.ways(self.notice, grid.chosen(said), over=True) or []
        if self.writes and said.get(grid.LETTERS) == Setting.ON:
            first.append(grid.LETTERS)
        start = {"wires": first, "quiet": self.quietly}
        options["initial"] = start | (options.get("initial") or {})
        super().__init__(data, at=at, incident=incident, **options)
        if not self.quietly and (self.ends or not self.told):
            del self.fields["quiet"]
        self.fields["recipients"].widget.attrs |= {"inputmode": "numeric", "autocomplete": "off", "class": "time"}

    # --- what is said, and about what ---

    @property
    def speaks(self) -> bool:
        """Whether what is being asked says something in public."""
        return True

    @property
    def brand(self) -> Brand | None:
        """Who speaks; None before a brand is set up."""
        return self.incident.brand if self.incident else None

    @property
    def ranked(self) -> Severity | None:
        """The severity that decides who is told."""
        return self.incident.severity if self.incident else self.level

    @property
    def rank(self) -> int | None:
        """Who hears of nothing this harmless is left out; None: everybody hears."""
        return self.ranked.rank if self.ranked else None

    @property
    def levels(self) -> Mapping[Component, Level]:
        """Components with the level they will have; operational ones may be left out."""
        return {}

    @cached_property
    def attached(self) -> list[Component]:
        """Components that its notice concerns so far."""
        return list(self.notice.components.select_related("topic", "group__topic")) if self.notice else []

    @property
    def concerned(self) -> list[Component]:
        """Components whose subscribers are told; none: everybody."""
        return list(dict.fromkeys([*self.attached, *self.levels]))

    def draft(self) -> Draft:
        """The words as they would be published now, as far as they are filled. Each act words it its own way."""
        # Raised, not abstract: Django's forms have a metaclass of their own, which asks for nothing.
        raise NotImplementedError(f"{type(self).__name__} does not say what it publishes.")

    def story(self, draft: Draft) -> Story:
        """What subscribers would read. Each act words it its own way."""
        raise NotImplementedError(f"{type(self).__name__} does not say what subscribers would read.")

    def known(self, name: str, default: Any = None) -> Any:
        """A cleaned value, even of words that may not be published yet; before the form is sent, its first value.

        An incident that is there has the title that outsiders read (R-213).
        """
        if name == "title" and self.incident:
            return self.incident.told_title
        if self.is_bound:
            return self.read.get(name, default)
        return self.get_initial_for_field(self.fields[name], name) if name in self.fields else default

    # --- who is told ---

    @property
    def told(self) -> list[str]:
        """The ways it was told by before: they are told to the end."""
        return list(self.notice.told_channels) if self.notice else []

    @property
    def channels(self) -> list[str]:
        """The ways to tell it by, to pass to the act. Empty: nobody is told."""
        if not self.speaks or self.known("quiet"):
            return []
        chosen = [key for key in self.known("wires") or () if key != grid.LETTERS]
        return reach.ways(self.notice, chosen, over=True) or []

    @cached_property
    def said(self) -> dict[str, Setting]:
        """What the policy says of each cell, by the level that is chosen now."""
        return grid.cells(self.ranked)

    @cached_property
    def reach(self) -> Reach:
        """How many would be told now, by every way. One query, one more for what was told before."""
        scope = reach.scope(self.notice, self.rank, self.concerned)
        people = Subscriber.objects.interested(
            kind=self.kind,
            rank=scope.rank,
            topics=[topic.pk for topic in scope.topics],
            at=self.at,
            lane=self.notice.lane if self.notice else "",
            brand=self.brand.pk if self.brand else None,
        )
        counted = people.order_by().values_list(
            "channel", _whether(customer__tier=Tier.ENTERPRISE), _whether(endpoint__team__gt="")
        )
        return Reach(tuple(Crowd(*row) for row in counted.annotate(people=Count("pk"))))

    def lines(self, *, segments: int = 0) -> list[Line]:
        """The ways to tell, counted when ``segments`` (texts per person) is given."""
        settings, ticked = grid.settings(self.said), {*(self.known("wires") or ()), *self.told}
        found = [
            Line(
                way=way,
                setting=settings[way.key],
                off=registry.off(way.channel),
                told=way.key in self.told,
                ticked=way.key in ticked,
                people=self.reach.by([way.key]) if segments else None,
                segments=segments,
            )
            for way in grid.WAYS
        ]
        if self.writes:
            letters_line = Line(
                way=grid.LETTER_WAY,
                setting=settings[grid.LETTERS],
                off=registry.off(Channel.EMAIL),
                told=self.wrote,
                ticked=self.wrote or grid.LETTERS in ticked,
                people=self.mailing.count if segments else None,
                customers=self.mailing.customers if segments else (),
            )
            found.insert(1, letters_line)
        return found

    # --- letters to customers ---

    @cached_property
    def wrote(self) -> bool:
        """Whether customers were written to before: then they are to the end. One query, none for what is new."""
        return self.writes and letters.were_written(self.notice)

    @property
    def asks_to_write(self) -> bool:
        """Whether letters go out when the form is sent now."""
        if not self.writes or not self.speaks or self.known("quiet"):
            return False
        return self.wrote or grid.LETTERS in (self.known("wires") or ())

    @property
    def letter(self) -> str:
        """The words of the letters, to pass to the act; empty: none is written. ``{{impact}}`` stays in them."""
        return self.letter_words() if self.asks_to_write else ""

    def letter_words(self) -> str:
        """What a letter says, filled as far as it is known and the same for everybody."""
        draft, brand = self.draft(), self.brand
        known = {"update": draft.body, "issue": str(self.known("title") or ""), "support": brand and support(brand)}
        return fill(self.letter_start, {name: value for name, value in known.items() if value})

    @cached_property
    def mailing(self) -> Mailing:
        """Whom letters go to. At most three queries."""
        return letters.mailing(self.concerned) if self.writes else Mailing()

    @property
    def hurt(self) -> Mapping[Component, Level]:
        """What letters say of each component that is concerned."""
        levels = self.levels
        return {component: levels.get(component, Level.OPERATIONAL) for component in self.concerned}

    @property
    def recipient_count(self) -> int:
        """Everybody who is told when the form is sent now, each once per channel."""
        told = self.reach.by(self.channels) if self.channels else 0
        return told + (self.mailing.count if self.asks_to_write else 0)

    @property
    def counts_back(self) -> bool:
        """Whether the number must be typed before so many are told (F23)."""
        return self.recipient_count > MANY

    @property
    def shows_banner(self) -> Setting:
        return self.said.get(Wire.BANNER, Setting.OFF)

    # --- what is refused ---

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self.read = dict(cleaned)
        return cleaned

    def full_clean(self) -> None:
        super().full_clean()
        # Counting is dear: only once everything else is right.
        if self.is_bound and not self.errors and (self.channels or self.asks_to_write):
            self._check_ways(self.cleaned_data["wires"])
            self._check_count(self.cleaned_data["recipients"])

    def _check_ways(self, wires: Iterable[str]) -> None:
        for channel in dict.fromkeys(key.partition(":")[0] for key in wires):
            if reason := registry.off(channel):
                label = Channel(channel).label
                self.add_error("wires", ValidationError(f"{label} cannot be used now: {reason}", code="off"))

    def _check_count(self, typed: str) -> None:
        if not self.counts_back:
            return
        count = self.recipient_count
        digits = "".join(character for character in typed if character not in ",.' \u00a0\u202f")
        if not digits:
            words = f"Type {count:,} here first."
        elif not (digits.isascii() and digits.isdigit()):
            words = f"Type a number: it tells {count:,}."
        elif abs(int(digits) - count) > count * SLACK:
            words = f"It tells {count:,}, not {int(digits):,}. Check who is told, then type that number."
        else:
            return
        self.add_error("recipients", ValidationError(words, code="count"))


def _whether(**facts: Any) -> Case:
    return Case(When(**facts, then=Value(True)), default=Value(False), output_field=BooleanField())
