"""The channels screen: every way a message can leave, whether it is on, how it goes, and a test of it (R-1204, F28).

A fixed number of queries, however much was sent.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from notifications import outbox, phones, progress, states, targets
from notifications.admin.endpoint_acts import SENT
from notifications.channels import registry
from notifications.channels.services import SERVICES
from notifications.enums import ENDPOINTS, Channel
from notifications.fates import Group
from notifications.models import Brand, ChannelState, Endpoint
from notifications.stories import Letter

LINES = {
    Channel.EMAIL: "News and letters to subscribers and customers.",
    Channel.SMS: "Only the worst by default, and codes that prove a phone.",
    Channel.WHATSAPP: "News to phones, in a template that WhatsApp has approved.",
    Channel.WEBHOOK: "Signed events for customers' own software.",
    Channel.CHAT: "Rooms, and services that page somebody.",
    Channel.SOCIAL: "Posts that everybody can read.",
}
#: Channels that a test message can be sent by from here, with the act that does.
TESTS = {Channel.EMAIL: "test_mail", Channel.SMS: "test_text", Channel.CHAT: "test_room", Channel.SOCIAL: "test_post"}


@dataclass(frozen=True)
class Standing:
    """One channel as the screen shows it."""

    channel: Channel
    off: str
    provider: str
    state: ChannelState | None
    #: Far ends that are on, and those that fail or are stopped; None where it has no far ends of its own.
    ends: tuple[int, int] | None
    counts: Counter[Group] = field(default_factory=Counter)

    @property
    def line(self) -> str:
        return LINES[self.channel]

    @property
    def word(self) -> str:
        if self.off:
            return "Off"
        if self.is_idle:
            return "Ready"
        if self.state and self.state.resting_since:
            return "Resting"
        return "Failing" if self.ends and not self.ends[0] else "On"

    @property
    def colour(self) -> str:
        return {"On": "green", "Resting": "red", "Failing": "orange"}.get(self.word, "grey")

    @property
    def is_idle(self) -> bool:
        """Nothing is wrong with it, and there is nobody to tell by it."""
        return self.ends == (0, 0)

    @property
    def bar(self) -> progress.Line:
        """What became of its messages."""
        return progress.Line(self.channel.label, [progress.Share(group, self.counts[group]) for group in Group])

    @property
    def test(self) -> str:
        """Where its test is asked for; empty where it has none, or cannot be tested now."""
        name = TESTS.get(self.channel)
        if not name or self.off or self.is_idle:
            return ""
        return reverse(f"admin:notifications_channelstate_{name}")

    @property
    def log(self) -> str:
        return f"{reverse('admin:notifications_delivery_changelist')}?channel__exact={self.channel}"


def standings(at: datetime) -> list[Standing]:
    """Every channel, with what became of the messages of the last 24 hours. Three queries."""
    found = {row.channel: row for row in ChannelState.objects.all()}
    ends, counts = _ends(), _counts(at)
    return [
        Standing(
            channel=channel,
            off=registry.off(channel),
            provider=_provider(channel),
            state=found.get(channel),
            ends=ends.get(channel, (0, 0)) if channel in ENDPOINTS else None,
            counts=counts[channel],
        )
        for channel in Channel
    ]


def _counts(at: datetime) -> dict[str, Counter[Group]]:
    counts: dict[str, Counter[Group]] = defaultdict(Counter)
    for (channel, fate), count in progress.recent(at).items():
        counts[channel][Group.of(fate)] += count
    return counts


def _live() -> QuerySet[Endpoint]:
    """Of those whose owner, or one of us, wants it so."""
    return Endpoint.objects.filter(subscriber__confirmed_at__isnull=False, subscriber__unsubscribed_at__isnull=True)


def _ends() -> dict[str, tuple[int, int]]:
    troubled = Q(failing_since__isnull=False) | Q(quarantined_at__isnull=False)
    rows = _live().order_by().values("subscriber__channel")
    counted = rows.annotate(fine=Count("pk", filter=~troubled), bad=Count("pk", filter=troubled))
    return {row["subscriber__channel"]: (row["fine"], row["bad"]) for row in counted}


def _provider(channel: Channel) -> str:
    match channel:
        case Channel.EMAIL if settings.MAILBOX_IN_USE:
            return "The mailbox of this machine"
        case Channel.EMAIL:
            return settings.MAIL_PROVIDER.capitalize() or f"Relay {settings.SMTP['host']}:{settings.SMTP['port']}"
        case Channel.SMS:
            return {"twilio": "Twilio", "sns": "Amazon SNS"}.get(settings.SMS_PROVIDER, "")
        case Channel.WHATSAPP:
            return "Twilio" if settings.TWILIO["whatsapp_from"] else ""
        case Channel.WEBHOOK:
            return "Each receiver's own server"
    return ", ".join(service.name for service in SERVICES if service.channel == channel and service.is_allowed)


class PhoneForm(BaseDialogForm):
    number = forms.CharField(
        label="Your phone number",
        help_text="With the code of its country, like +1 or +49.",
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_number(self) -> str:
        return phones.normal(self.cleaned_data["number"])


class _PlaceForm(BaseDialogForm):
    channel: Channel
    place = forms.ModelChoiceField(
        label="Target",
        queryset=Endpoint.objects.none(),
        empty_label="Choose a target",
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": "Choose where the test is to appear."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        place = cast("forms.ModelChoiceField[Endpoint]", self.fields["place"])
        place.queryset = _live().filter(subscriber__channel=self.channel).select_related("subscriber").order_by("name")


class RoomForm(_PlaceForm):
    channel = Channel.CHAT


class AccountForm(_PlaceForm):
    channel = Channel.SOCIAL


@admin.register(ChannelState)
class ChannelAdmin(ModelAdmin):
    """One page in place of a list: what there is to see of a channel is more than its row."""

    actions_list = ["test_mail", "test_text", "test_room", "test_post"]
    actions_detail = ["seen"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ChannelState | None = None) -> bool:
        return False

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.change_channelstate"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        at = timezone.now()
        context = self.admin_site.each_context(request) | {
            "title": "Channels",
            "opts": self.model._meta,
            "standings": standings(at),
            "may_test": self.has_test_permission(request),
            "may_add": request.user.has_perm("notifications.add_endpoint"),
            "sees_targets": request.user.has_perm("notifications.view_endpoint"),
        }
        return TemplateResponse(request, "admin/notifications/channelstate/channels.html", context)

    @action(
        description="Test e-mail",
        permissions=["test"],
        url_path="test-mail",
        dialog={
            "title": "Send a test mail to yourself?",
            "description": "It goes the way of every letter: through the queue, a worker and the relay.",
            "form_submit_text": "Send it",
        },
    )
    def test_mail(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        by = cast(User, request.user)
        if not by.email:
            messages.error(request, "Your account has no e-mail address. Enter one under “People” first.")
            return self._back()
        return self._write(request, by.email, Channel.EMAIL)

    @action(
        description="Test SMS",
        permissions=["test"],
        url_path="test-text",
        dialog={
            "title": "Send a test text to yourself?",
            "description": "One text, through the queue, a worker and the provider. It costs what a text costs.",
            "form_submit_text": "Send it",
            "form_class": PhoneForm,
        },
    )
    def test_text(self, request: HttpRequest, form: PhoneForm) -> HttpResponse:
        return self._write(request, form.cleaned_data["number"], Channel.SMS)

    @action(
        description="Test a room",
        permissions=["test"],
        url_path="test-room",
        dialog={
            "title": "Post a test message?",
            "description": "It appears there at once. A paging service opens an alert, which somebody has to close.",
            "form_submit_text": "Post it",
            "form_class": RoomForm,
        },
    )
    def test_room(self, request: HttpRequest, form: RoomForm) -> HttpResponse:
        return self._post(request, form.cleaned_data["place"])

    @action(
        description="Test an account",
        permissions=["test"],
        url_path="test-post",
        dialog={
            "title": "Post a test message in public?",
            "description": "Everybody can read it on this account until somebody deletes it there.",
            "form_submit_text": "Post it",
            "form_class": AccountForm,
        },
    )
    def test_post(self, request: HttpRequest, form: AccountForm) -> HttpResponse:
        return self._post(request, form.cleaned_data["place"])

    @action(
        description="I have seen it",
        permissions=["test"],
        dialog={
            "title": "Bounces that were not believed",
            "description": "So many came at once that the fault was taken for ours, and nobody was punished for it. "
            "The note goes away; the next of its kind is told again.",
            "form_submit_text": "I have seen it",
        },
    )
    def seen(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        state = ChannelState.objects.filter(pk=object_id).first()
        if state is not None:
            states.seen(state.channel)
            self.log_change(request, state, "Has seen the doubt.")
        return self._back()

    def _write(self, request: HttpRequest, address: str, channel: Channel) -> HttpResponse:
        brand, by, at = Brand.objects.default(), cast(User, request.user), timezone.now()
        words = f"{by.get_full_name() or by.get_username()} wanted to know whether {channel.label} arrives. It does."
        letter = Letter(heading="This is a test", paragraphs=(words,), sms=f"{brand.name}: this is a test.")
        with transaction.atomic():
            lane = f"test:{uuid.uuid4()}"
            outbox.write_to([address], letter, subject="This is a test", brand=brand, lane=lane, at=at, channel=channel)
        messages.success(request, f"A test is on its way to {address}. What became of it stands in the delivery log.")
        return self._back()

    def _post(self, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
        try:
            answer = targets.try_out(endpoint.subscriber)
        except ValidationError as refused:
            messages.error(request, " ".join(refused.messages))
            return self._back()
        if answer.verdict in SENT:
            messages.success(request, f"{endpoint}: {answer.reason} Look whether it arrived.")
        else:
            messages.error(request, f"{endpoint}: it did not arrive. {answer.reason}")
        return self._back()

    def _back(self) -> HttpResponse:
        response = HttpResponse()
        response.headers["HX-Redirect"] = reverse("admin:notifications_channelstate_changelist")
        return response
