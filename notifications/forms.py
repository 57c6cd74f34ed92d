"""What people tell the subscription pages, checked at the door (F17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Q

from notifications import addresses
from notifications.models import Topic
from notifications.subscriptions import Choice

ALL, SOME = "all", "some"
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
)


@dataclass(frozen=True)
class Option:
    """One radio button or checkbox as the page shows it."""

    value: str
    label: str
    hint: str
    checked: bool


class ChoiceForm(forms.Form):
    """What to hear about: components, kinds and the least severity (R-802)."""

    wants_incidents = forms.BooleanField(label="Incidents", required=False, initial=True)
    wants_maintenance = forms.BooleanField(label="Planned maintenance", required=False, initial=True)
    scope = forms.ChoiceField(
        label="Components",
        choices=[(value, label) for value, label, _ in SCOPES],
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What somebody has chosen stays theirs to see and to drop when it is no longer offered.
        kept = self.initial.get("topics", ())
        self._topics = list(Topic.objects.filter(Q(offered=True) | Q(pk__in=kept)))
        topics = self.fields["topics"]
        assert isinstance(topics, forms.TypedMultipleChoiceField)
        topics.choices = [(topic.pk, topic.name) for topic in self._topics]

    def clean(self) -> dict[str, Any]:
        facts = self.cleaned_data
        if facts.get("scope") == SOME and "topics" in facts and not facts["topics"]:
            self.add_error("topics", "Choose at least one component, or “All components”.")
        if not facts.get("wants_incidents") and not facts.get("wants_maintenance"):
            self.add_error("wants_incidents", "Choose incidents, planned maintenance, or both.")
        return facts

    @property
    def choice(self) -> Choice:
        """What a valid form says."""
        facts = self.cleaned_data
        everything = facts["scope"] == ALL
        return Choice(
            all_topics=everything,
            topics=() if everything else tuple(facts["topics"]),
            wants_incidents=facts["wants_incidents"],
            wants_maintenance=facts["wants_maintenance"],
            least_rank=facts["least_rank"],
        )

    @staticmethod
    def saying(choice: Choice) -> dict[str, Any]:
        """The initial values of a form that shows ``choice``."""
        return {
            "scope": ALL if choice.all_topics else SOME,
            "topics": list(choice.topics),
            "wants_incidents": choice.wants_incidents,
            "wants_maintenance": choice.wants_maintenance,
            "least_rank": str(choice.least_rank),
        }

    # What the template shows.

    @property
    def scopes(self) -> list[Option]:
        return _options(SCOPES, {str(self["scope"].value())})

    @property
    def ranks(self) -> list[Option]:
        return _options(RANKS, {str(self["least_rank"].value())})

    @property
    def sections(self) -> list[tuple[str, list[Option]]]:
        """Headings with the components offered under each, in the order of the page."""
        chosen = {str(value) for value in self["topics"].value() or ()}
        found: dict[str, list[Option]] = {}
        for topic in self._topics:
            found.setdefault(topic.section, []).append(Option(str(topic.pk), topic.name, "", str(topic.pk) in chosen))
        return list(found.items())

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """What is wrong, in the order of the page, each with the field it is about."""
        return [(name, str(text)) for name in self.fields for text in self.errors.get(name, ())]


class SubscribeForm(ChoiceForm):
    """The public form: an address and a choice."""

    address = forms.CharField(
        label="E-mail address", error_messages={"required": "Enter your e-mail address, like name@example.com."}
    )
    #: Nobody sees this field; programs that fill in every field give themselves away (S16).
    website = forms.CharField(required=False)

    field_order = ["address"]

    def clean_address(self) -> str:
        return addresses.normal(self.cleaned_data["address"])

    @property
    def is_trapped(self) -> bool:
        return bool(self.data.get("website"))


def _options(table: tuple[tuple[str, str, str], ...], chosen: set[str]) -> list[Option]:
    return [Option(value, label, hint, value in chosen) for value, label, hint in table]
