"""What people tell the subscription pages, checked at the door (F17)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import time
from functools import cache, lru_cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language_info

from notifications import addresses, codes, endpoints, phones, targets
from notifications.choices import Choice
from notifications.compiler import LANGUAGES
from notifications.enums import ENDPOINTS, PHONES, Channel
from notifications.models import Subscriber, Topic

ALL, SOME, FOLLOWED = "all", "some", "followed"
NOW, QUIET, DAILY = "now", "quiet", "daily"
#: Browsers want exactly this form.
_TIME = forms.TimeInput(format="%H:%M", attrs={"type": "time"})
#: A severity rank in plain words: the words of policies differ, these fit all of them (R-106, R-802).
RANKS = (
    ("4", "Every incident", "Small ones too, even if you may not notice them."),
    ("3", "Incidents you may notice", "Something is slower or does not work as it should."),
    ("2", "Serious incidents", "Something important does not work for many people."),
    ("1", "Only the worst", "The service is down, or data is at risk."),
)
SCOPES = (
    (ALL, "All components", "Also those that are added later."),
    (SOME, "Only the ones I choose", ""),
    (FOLLOWED, "Only the incidents I follow", "Nothing else."),
)
MOMENTS = (
    (NOW, "At once", ""),
    (QUIET, "At once, but not in my quiet hours", "What happens meanwhile comes when they end."),
    (DAILY, "Once a day", "One mail with everything since the last."),
)
_CALM: dict[Channel, dict[str, Any]] = {
    Channel.SMS: {"wants_maintenance": False, "least_rank": "1"},
    Channel.WHATSAPP: {"least_rank": "2"},
}
_REGIONS = (
    "Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One radio button or checkbox as the page shows it."""

    value: str
    label: str
    hint: str
    checked: bool


@dataclass
class Section:
    """A heading with what is offered under it; ``whole`` chooses all of it, also what is added later."""

    heading: str
    whole: Option | None = None
    options: list[Option] = field(default_factory=list)


class Told:
    """What is wrong with a form, for the summary on top of its page."""

    #: Fields that are a group of buttons; the page gives the group their name.
    _GROUPS = frozenset(("wants_incidents", "scope", "topics", "least_rank", "when"))
    fields: dict[str, forms.Field]
    errors: Any

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """In the order of the page, each with the field it is about."""
        return [(name, str(text)) for name in self.fields for text in self.errors.get(name, ())]

    @property
    def faults(self) -> list[tuple[str, str]]:
        """The same, each with the id of what a link leads to."""
        return [(name if name in self._GROUPS else f"id_{name}", text) for name, text in self.complaints]


@cache
def zones() -> tuple[tuple[str, Any], ...]:
    """Time zones as a select offers them: UTC, then by region each city with the name that is kept."""
    found: dict[str, list[tuple[str, str]]] = {region: [] for region in _REGIONS}
    for name in sorted(available_timezones()):
        region, _, city = name.partition("/")
        if city and region in found:
            found[region].append((name, city.replace("_", " ").replace("/", ", ")))
    return (("UTC", "UTC"), *((region, tuple(cities)) for region, cities in found.items()))


@lru_cache(maxsize=512)
def _zone_options(chosen: str) -> SafeString:
    """What stands in the select. Made here: by a template for each of 400 options the page would take 100 ms."""

    def option(name: str, city: str) -> SafeString:
        return format_html(
            '<option value="{}"{}>{}</option>', name, mark_safe(" selected") if name == chosen else "", city
        )

    rows = [option("UTC", "UTC")]
    if chosen not in _offered():
        rows.append(option(chosen, chosen))
    for region, cities in zones()[1:]:
        inside = format_html_join("\n", "{}", ((option(*each),) for each in cities))
        rows.append(format_html('<optgroup label="{}">\n{}\n</optgroup>', region, inside))
    return format_html_join("\n", "{}", ((row,) for row in rows))


@cache
def _offered() -> frozenset[str]:
    return frozenset(["UTC", *(name for _, cities in zones()[1:] for name, _ in cities)])


class ChoiceForm(Told, forms.Form):
    """What to hear about, when and in which language (R-802, R-1314), as far as ``channel`` can do it.

    ``follows``: there are incidents that could be all they want to hear of.
    """

    wants_incidents = forms.BooleanField(label="Incidents", required=False, initial=True)
    wants_maintenance = forms.BooleanField(label="Planned maintenance", required=False, initial=True)
    scope = forms.ChoiceField(
        label="Components",
        initial=ALL,
        error_messages={
            "required": "Choose all components, or only some.",
            "invalid_choice": "Choose all components, or only some.",
        },
    )
    topics = forms.TypedMultipleChoiceField(
        label="Chosen components",
        coerce=int,
        required=False,
        error_messages={
            "invalid_choice": "One of these components is no longer offered. Please look through your choice again."
        },
    )
    least_rank = forms.TypedChoiceField(
        label="Which incidents",
        coerce=int,
        choices=[(value, label) for value, label, _ in RANKS],
        initial="4",
        error_messages={
            "required": "Choose which incidents you want to hear about.",
            "invalid_choice": "Choose which incidents you want to hear about.",
        },
    )
    when = forms.ChoiceField(
        label="When", required=False, initial=NOW, error_messages={"invalid_choice": "Choose when to be told."}
    )
    quiet_from = forms.TimeField(
        label="From",
        required=False,
        widget=_TIME,
        error_messages={"invalid": "Write the beginning of quiet hours like 22:00."},
    )
    quiet_until = forms.TimeField(
        label="Until",
        required=False,
        widget=_TIME,
        error_messages={"invalid": "Write the end of quiet hours like 07:00."},
    )
    digest_at = forms.TimeField(
        label="At",
        required=False,
        widget=_TIME,
        error_messages={"invalid": "Write the time of the daily mail like 08:00."},
    )
    time_zone = forms.CharField(label="Time zone", required=False)
    language = forms.ChoiceField(
        label="Language", required=False, error_messages={"invalid_choice": "Choose a language from the list."}
    )

    #: Prefilled where nobody chose yet.
    _TIMES = {"quiet_from": time(22), "quiet_until": time(7), "digest_at": time(8)}

    def __init__(self, *args: Any, channel: Channel = Channel.EMAIL, follows: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channel = channel
        # What somebody has chosen stays theirs to see and to drop when it is no longer offered.
        kept = self.initial.get("topics", ())
        self._topics = list(Topic.objects.filter(Q(offered=True) | Q(pk__in=kept)))
        self._offer("topics", [(topic.pk, topic.name) for topic in self._topics])
        self._scopes = SCOPES if follows else SCOPES[:2]
        self._offer("scope", [(value, label) for value, label, _ in self._scopes])
        moments = 1 if channel in ENDPOINTS else 3 if channel == Channel.EMAIL else 2
        self._moments = MOMENTS[:moments]
        self._offer("when", [(value, label) for value, label, _ in self._moments])
        kept = self.initial.get("language", LANGUAGES[0])
        languages = [*LANGUAGES, *([] if kept in LANGUAGES else [kept])]
        self._offer("language", [(code, _own_name(code)) for code in languages])
        if moments == 1:
            for name in ("when", "time_zone", *self._TIMES):
                del self.fields[name]
        # Only mail says something of ours around an operator's words.
        if len(LANGUAGES) == 1 or channel != Channel.EMAIL:
            del self.fields["language"]
        for name, usual in self._TIMES.items():
            self.initial[name] = self.initial.get(name) or usual

    def clean_time_zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"]
        if zone and zone != self.initial.get("time_zone") and zone not in _offered():
            raise ValidationError("Choose a time zone from the list.", code="invalid_choice")
        return zone

    def clean(self) -> dict[str, Any]:
        facts = self.cleaned_data
        if facts.get("scope") == SOME and "topics" in facts and not facts["topics"]:
            self.add_error("topics", "Choose at least one component, or “All components”.")
        nothing = not facts.get("wants_incidents") and not facts.get("wants_maintenance")
        if nothing and facts.get("scope") != FOLLOWED:
            self.add_error("wants_incidents", "Choose incidents, planned maintenance, or both.")
        self._clean_times(facts.get("when") or NOW)
        return facts

    def _clean_times(self, when: str) -> None:
        needed = {QUIET: ("quiet_from", "quiet_until"), DAILY: ("digest_at",)}.get(when, ())
        for name in self._TIMES:
            if name not in needed:
                # Nobody sees the others.
                self.errors.pop(name, None)
            elif name not in self.errors and self.cleaned_data.get(name) is None:
                self.add_error(name, self.fields[name].error_messages["invalid"])
        begins, ends = (self.cleaned_data.get(name) for name in ("quiet_from", "quiet_until"))
        if when == QUIET and begins is not None and begins == ends:
            self.add_error("quiet_until", "Quiet hours must end at another time than they begin.")

    @property
    def choice(self) -> Choice:
        """What a valid form says."""
        facts = self.cleaned_data
        some, when = facts["scope"] == SOME, facts.get("when") or NOW
        return Choice(
            all_topics=not some,
            topics=tuple(facts["topics"]) if some else (),
            wants_incidents=facts["wants_incidents"],
            wants_maintenance=facts["wants_maintenance"],
            least_rank=facts["least_rank"],
            follows_only=facts["scope"] == FOLLOWED,
            language=facts.get("language") or self.initial.get("language", LANGUAGES[0]),
            time_zone=facts.get("time_zone") or self.initial.get("time_zone", "UTC"),
            quiet_from=facts["quiet_from"] if when == QUIET else None,
            quiet_until=facts["quiet_until"] if when == QUIET else None,
            digest_at=facts["digest_at"] if when == DAILY else None,
        )

    @staticmethod
    def saying(choice: Choice) -> dict[str, Any]:
        """The initial values of a form that shows ``choice``."""
        scope = FOLLOWED if choice.follows_only else ALL if choice.all_topics else SOME
        return {
            "scope": scope,
            "topics": list(choice.topics),
            "wants_incidents": choice.wants_incidents,
            "wants_maintenance": choice.wants_maintenance,
            "least_rank": str(choice.least_rank),
            "when": DAILY if choice.digest_at else QUIET if choice.quiet_from else NOW,
            "quiet_from": choice.quiet_from,
            "quiet_until": choice.quiet_until,
            "digest_at": choice.digest_at,
            "time_zone": choice.time_zone,
            "language": choice.language,
        }

    def _offer(self, name: str, choices: list[Any]) -> None:
        offering = self.fields[name]
        assert isinstance(offering, forms.ChoiceField)
        offering.choices = choices

    # What the template shows.

    @property
    def scopes(self) -> list[Option]:
        return _options(self._scopes, {str(self["scope"].value())})

    @property
    def ranks(self) -> list[Option]:
        return _options(RANKS, {str(self["least_rank"].value())})

    @property
    def moments(self) -> list[Option]:
        """Empty where there is nothing to choose."""
        return _options(self._moments, {str(self["when"].value() or NOW)}) if "when" in self.fields else []

    @property
    def zone_options(self) -> SafeString:
        chosen = str(self["time_zone"].value() or "UTC")
        return _zone_options(chosen if chosen in _offered() else str(self.initial.get("time_zone", "UTC")))

    @property
    def sections(self) -> list[Section]:
        """What is offered, in the order of the page; a group before its members."""
        chosen = {str(value) for value in self["topics"].value() or ()}
        found: dict[str, Section] = {}
        for topic in self._topics:
            section = found.setdefault(topic.section, Section(topic.section))
            option = Option(str(topic.pk), topic.name, "", str(topic.pk) in chosen)
            if topic.key.startswith("group:"):
                section.whole = option
            else:
                section.options.append(option)
        return list(found.values())


class AddressForm(Told, forms.Form):
    """Where to: a mailbox or a phone, by ``channel``. For all who may be a program (S16)."""

    address = forms.CharField()
    #: Nobody sees this field; programs that fill in every field give themselves away (S16).
    website = forms.CharField(required=False)

    def __init__(self, *args: Any, channel: Channel = Channel.EMAIL, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channel = channel
        self._name(self.fields["address"])

    def _name(self, offered: forms.Field) -> None:
        if self.channel in PHONES:
            offered.label = "Mobile number"
            offered.error_messages["required"] = "Enter your mobile number, with the country code."
        else:
            offered.label = "Your e-mail address" if self.channel in ENDPOINTS else "E-mail address"
            offered.error_messages["required"] = "Enter your e-mail address, like name@example.com."

    def clean_address(self) -> str:
        typed: str = self.cleaned_data["address"]
        return phones.normal(typed) if self.channel in PHONES else addresses.normal(typed)

    @property
    def is_trapped(self) -> bool:
        return bool(self.data.get("website"))

    @property
    def by_phone(self) -> bool:
        return self.channel in PHONES


class SubscribeForm(ChoiceForm, AddressForm):
    """The public form: an address and a choice; for webhooks and rooms also where to post."""

    url = forms.CharField(error_messages={"required": "Paste the address that we shall post to."})

    field_order = ["url", "address"]

    def __init__(self, *args: Any, channel: Channel = Channel.EMAIL, **kwargs: Any) -> None:
        super().__init__(*args, channel=channel, **kwargs)
        # What wakes people up begins with what is worth it.
        self.initial.update(_CALM.get(channel, {}))
        self._name(self.fields["address"])
        if channel in ENDPOINTS:
            self.fields["url"].label = "Address of the webhook" if channel == Channel.WEBHOOK else "Address of the room"
        else:
            del self.fields["url"]

    def clean_url(self) -> str:
        typed: str = self.cleaned_data["url"]
        return endpoints.checked(typed) if self.channel == Channel.WEBHOOK else targets.normal_chat_url(typed)


class AskForm(AddressForm):
    """Who wants to see their settings: the holder of a mailbox or, where ``phones_too``, of a phone."""

    def __init__(self, *args: Any, phones_too: bool = False, **kwargs: Any) -> None:
        self.phones_too = phones_too
        super().__init__(*args, **kwargs)

    def _name(self, offered: forms.Field) -> None:
        offered.label = "E-mail address or mobile number" if self.phones_too else "E-mail address"
        offered.error_messages["required"] = f"Enter your {offered.label.lower()}."

    def clean_address(self) -> str:
        if self.phones_too and "@" not in self.cleaned_data["address"]:
            self.channel = Channel.SMS
        return super().clean_address()


class CodeForm(Told, forms.Form):
    """A code, with the address that it was sent to."""

    channel = forms.ChoiceField(choices=[(channel.value, channel.label) for channel in (Channel.EMAIL, *PHONES)])
    purpose = forms.ChoiceField(choices=[(purpose, purpose) for purpose in codes.PURPOSES])
    address = forms.CharField(max_length=addresses.LONGEST)
    code = forms.CharField(max_length=40, error_messages={"required": "Enter the code."})

    def clean_code(self) -> str:
        typed = "".join(self.cleaned_data["code"].split()).replace("-", "")
        if len(typed) != codes.DIGITS or not (typed.isascii() and typed.isdigit()):
            raise ValidationError(f"A code has {codes.DIGITS} digits.", code="invalid")
        return typed


def _own_name(language: str) -> str:
    """What a language calls itself; its code where nobody knows."""
    with suppress(KeyError):
        return str(get_language_info(language)["name_local"])
    return language


def moment_of(subscriber: Subscriber) -> str:
    """When somebody is told, in words; empty where it is at once."""
    zone = subscriber.time_zone.replace("_", " ")
    if subscriber.digest_at:
        return f"{MOMENTS[2][1]}, at {subscriber.digest_at:%H:%M} ({zone})"
    if subscriber.quiet_from and subscriber.quiet_until:
        return f"At once, but not from {subscriber.quiet_from:%H:%M} until {subscriber.quiet_until:%H:%M} ({zone})"
    return ""


def _options(table: tuple[tuple[str, str, str], ...], chosen: set[str]) -> list[Option]:
    return [Option(value, label, hint, value in chosen) for value, label, hint in table]
