"""What the console asks about a chat or social target: one form, plain fields, errors where they belong (R-1204)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.exceptions import ValidationError
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from notifications.channels import chat_urls
from notifications.channels.chat_urls import Target
from notifications.channels.services import SERVICES
from notifications.choices import Choice
from notifications.forms import RANKS
from notifications.models import Endpoint, Subscriber, Topic
from notifications.validators import one_line

if TYPE_CHECKING:
    EndpointModelForm = forms.ModelForm[Endpoint]
else:
    EndpointModelForm = forms.ModelForm

#: How far back the messages of a webhook can be sent again.
SPANS = {"1": "The last hour", "6": "The last 6 hours", "24": "The last 24 hours", "168": "The last 7 days"}


class TargetForm(EndpointModelForm):
    """``choice`` and ``cleaned_data["address"]`` are what ``targets.add`` and ``targets.change`` want."""

    address = forms.CharField(
        label="Address",
        max_length=chat_urls.LONGEST,
        error_messages={"required": "Paste the address of a room or an account."},
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    wants_incidents = forms.BooleanField(
        label="Incidents", required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )
    wants_maintenance = forms.BooleanField(
        label="Planned maintenance", required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )
    least_rank = forms.TypedChoiceField(
        label="Which incidents",
        coerce=int,
        choices=[(rank, f"{label}: {hint}") for rank, label, hint in RANKS],
        initial="4",
        widget=UnfoldAdminSelectWidget,
    )
    topics = forms.ModelMultipleChoiceField(
        label="Components",
        queryset=Topic.objects.none(),
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text="None chosen: all of them, also those that are added later.",
    )

    class Meta:
        # Model and fields are the screen's to say; named here, they would be built once more at import.
        labels = {"name": "Name", "team": "Team"}
        help_texts = {
            "team": "Whose room it is. A room with a team is one of our own: “Staff” of the channel grid reaches it."
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.target: Target | None = None
        for name in ("name", "team"):
            if name in self.fields:
                self.fields[name].validators.append(one_line)
        if "address" not in self.fields:
            return
        self.fields["name"].required = True
        self.fields["name"].error_messages["required"] = "Give it a name by which others know it."
        brand = cast("forms.ModelChoiceField[Any]", self.fields["brand"])
        brand.empty_label = "Every brand"
        subscriber = self._subscriber()
        address, topics = self.fields["address"], cast("forms.ModelMultipleChoiceField[Topic]", self.fields["topics"])
        topics.queryset = Topic.objects.all()
        if subscriber is None:
            address.help_text = "Paste what the service shows you, or write it as below. It is never shown again."
            return
        address.required = False
        address.help_text = f"Now: {subscriber.address}. Leave it empty to keep it; it is never shown again."
        for name in ("wants_incidents", "wants_maintenance", "least_rank"):
            self.fields[name].initial = getattr(subscriber, name)
        topics.initial = [] if subscriber.all_topics else list(subscriber.topics.all())

    def _subscriber(self) -> Subscriber | None:
        return self.instance.subscriber if self.instance.pk else None

    def clean_address(self) -> str:
        typed: str = self.cleaned_data["address"].strip()
        if typed:
            self.target = chat_urls.parse(typed)
            self._check_free(self.target)
        return typed

    def _check_free(self, target: Target) -> None:
        """The same place once: a room that hears everything twice stops listening."""
        known = Subscriber.objects.filter(channel=target.service.channel, address=target.label).first()
        mine = self._subscriber()
        if known is not None and known.is_active and (mine is None or known.pk != mine.pk):
            raise ValidationError("This place hears our news already.", code="known")

    def clean(self) -> dict[str, Any]:
        facts = super().clean() or self.cleaned_data
        if "wants_incidents" in self.fields and not facts.get("wants_incidents") and not facts.get("wants_maintenance"):
            self.add_error("wants_incidents", "Choose incidents, planned maintenance, or both.")
        return facts

    @property
    def choice(self) -> Choice:
        """What a valid form says."""
        facts = self.cleaned_data
        topics = tuple(topic.pk for topic in facts["topics"])
        return Choice(
            all_topics=not topics,
            topics=topics,
            wants_incidents=facts["wants_incidents"],
            wants_maintenance=facts["wants_maintenance"],
            least_rank=facts["least_rank"],
        )


def shapes() -> list[tuple[str, str]]:
    """Names of the allowed services and how their addresses are written, for people."""
    return [(service.name, service.shape) for service in SERVICES if service.is_allowed]


class SpanForm(BaseDialogForm):
    """How far back."""

    hours = forms.TypedChoiceField(
        label="Published in",
        coerce=int,
        choices=list(SPANS.items()),
        initial="24",
        widget=UnfoldAdminSelectWidget,
    )

    @property
    def span(self) -> timedelta:
        return timedelta(hours=self.cleaned_data["hours"])
