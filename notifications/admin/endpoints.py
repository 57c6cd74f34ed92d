"""Targets and webhooks: every far end with what it hears, how it goes, and what can be done about it (R-801, R-1204).

The address of one is never shown: its label names it. Staff's own targets are theirs to change;
what belongs to a customer can be tried out, paused and ended, and is theirs otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import JSONObject
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display

from notifications import fates, targets
from notifications.admin.audience import RANK_NAMES
from notifications.admin.endpoint_acts import ACTS, ActsMixin
from notifications.admin.endpoint_states import STATES, KindFilter, StateFilter, is_ours, state
from notifications.admin.masked import MaskedMixin
from notifications.admin.target_forms import TargetForm, shapes
from notifications.enums import UNSENT
from notifications.masking import masked, sees_addresses
from notifications.models import Delivery, Endpoint


def _since(at: datetime | None, now: datetime) -> SafeString:
    if at is None:
        return SafeString("")
    at = at.astimezone(UTC)
    words = f"{at.day} {at:%b, %H:%M}" if at.year == now.year else f"{at.day} {at:%b %Y}"
    return format_html('<span class="hg-when" title="{}">since {}</span>', f"{at:%Y-%m-%d %H:%M:%S} UTC", words)


@admin.register(Endpoint)
class EndpointAdmin(MaskedMixin, ActsMixin, ModelAdmin):
    form = TargetForm
    add_form_template = "admin/notifications/endpoint/add.html"
    masked_fields = ("owner_email",)
    list_display = ["target", "brand_name", "hears", "last_outcome", "how_it_is"]
    list_filter = [KindFilter, StateFilter, ("brand", RelatedDropdownFilter)]
    list_filter_submit = True
    list_select_related = ["subscriber", "brand"]
    list_per_page = 50
    show_full_result_count = False
    sortable_by: list[str] = []
    ordering = ["-id"]
    search_fields = ["name", "team", "subscriber__address", "owner_email"]
    search_help_text = "Name, team, service, host or owner"
    actions_detail = ACTS
    asked = (
        (None, {"fields": ["address", "name", "brand", "team"]}),
        ("What it hears", {"fields": ["wants_incidents", "wants_maintenance", "least_rank", "topics"]}),
    )
    facts = ((None, {"fields": ["label", "name", "brand_name", "team", "hears", "owner"]}),)
    course = (
        "How it goes",
        {"fields": ["how_it_is", "last_outcome", "failing", "paused_since", "added", "log"]},
    )

    # --- what is shown -----------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        """With the last outcome of each, and what it chose: three queries, however many there are."""
        tried = Delivery.objects.filter(subscriber=OuterRef("subscriber")).exclude(fate__in=UNSENT, attempts=0)
        rows = tried.order_by("-pk")
        last = rows.values_list(JSONObject(fate=F("fate"), reason=F("reason"), channel=F("channel")))
        everything: QuerySet[Endpoint] = super().get_queryset(request)
        everything = everything.filter(subscriber__erased_at__isnull=True)
        told = everything.annotate(last=Subquery(last[:1]), whole=Value(sees_addresses(request.user)))
        return told.prefetch_related("subscriber__topics")

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        whole = sees_addresses(request.user)
        return [name for name in self.search_fields if whole or name not in self.masked_fields]

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        if obj is None:
            return self.asked
        return (*(self.asked if self.has_change_permission(request, obj) else self.facts), self.course)

    def get_readonly_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> list[str]:
        if obj is None:
            return []
        shown = [*self.course[1]["fields"]]
        return shown if self.has_change_permission(request, obj) else [*self.facts[0][1]["fields"], *shown]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            # Brands have a screen of their own.
            field.widget = field.widget.widget
        return field

    def get_form(self, request: HttpRequest, obj: Endpoint | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            # Facts to read; there is nothing to fill in.
            kwargs |= {"form": forms.ModelForm, "fields": ()}
        return super().get_form(request, obj, change, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        """A customer's is theirs to change; what our people can do about it are the acts."""
        return bool(super().has_change_permission(request, obj)) and (obj is None or is_ours(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        """Ending one is an act of its own, which keeps the log readable."""
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = (extra_context or {}) | {"show_save_and_continue": False, "show_save_and_add_another": False}
        if object_id is None:
            context |= {"title": "Add a chat or social target", "shapes": shapes()}
        try:
            page: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        except ValidationError as refused:
            # Somebody else was faster: what the form had checked is no longer so.
            messages.error(request, " ".join(refused.messages))
            return HttpResponseRedirect(reverse("admin:notifications_endpoint_changelist"))
        return page

    @display(description="Target")
    def target(self, row: Endpoint) -> SafeString:
        label = str(row.subscriber) if row.name else ""
        under = " · ".join(filter(None, (label, row.team and f"team {row.team}", self.owner(row))))
        return format_html('<span class="hg-named"><b>{}</b><span>{}</span></span>', row.name or row.subscriber, under)

    @display(description="Where")
    def label(self, row: Endpoint) -> str:
        return f"{row.subscriber.get_channel_display()}: {row.subscriber}"

    @display(description="Owner")
    def owner(self, row: Any) -> str:
        """Masked for those who need not know it (reliability.md 4.1)."""
        email: str = row.owner_email
        return email if row.whole else masked(email)

    @display(description="Brand", ordering="brand")
    def brand_name(self, row: Endpoint) -> str:
        return str(row.brand or "Every brand")

    @display(description="Hears")
    def hears(self, row: Endpoint) -> str:
        subscriber = row.subscriber
        kinds = [RANK_NAMES[subscriber.least_rank]] if subscriber.wants_incidents else []
        kinds += ["planned maintenance"] if subscriber.wants_maintenance else []
        topics = "" if subscriber.all_topics else ", ".join(topic.name for topic in subscriber.topics.all())
        return ", ".join(kinds) + (f"; of {topics}" if topics else "")

    @display(description="Last outcome")
    def last_outcome(self, row: Any) -> SafeString:
        if not row.last:
            return SafeString("Nothing was sent yet")
        fate, reason = row.last["fate"], row.last["reason"]
        words, colour = fates.words(fate, row.last["channel"], reason), fates.colour(fate)
        if fate in UNSENT:
            words, colour = "Will be tried again", "orange"
        return format_html(
            '<span class="hg-named"><span class="hg-dot" data-level="{}">{}</span><span>{}</span></span>',
            colour,
            words,
            reason,
        )

    @display(description="State")
    def how_it_is(self, row: Endpoint) -> SafeString:
        words, colour, _ = STATES[state(row)]
        under = _since(row.failing_since if state(row) in ("failing", "stopped") else None, timezone.now())
        return format_html(
            '<span class="hg-named"><span class="hg-dot" data-level="{}">{}</span>{}</span>', colour, words, under
        )

    @display(description="Failing since")
    def failing(self, row: Endpoint) -> str:
        return localize(row.failing_since) if row.failing_since else "–"

    @display(description="Paused since")
    def paused_since(self, row: Endpoint) -> str:
        return localize(row.quarantined_at) if row.quarantined_at else "–"

    @display(description="Added")
    def added(self, row: Endpoint) -> str:
        return str(localize(row.created_at))

    @display(description="Delivery log")
    def log(self, row: Endpoint) -> SafeString:
        query = urlencode({"q": row.subscriber.address})
        link = f"{reverse('admin:notifications_delivery_changelist')}?{query}"
        return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">What was sent there</a>', link)

    # --- adding and changing -------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Endpoint, form: TargetForm, change: bool) -> None:
        facts, at = form.cleaned_data, timezone.now()
        what: dict[str, Any] = {name: facts[name] for name in ("name", "brand", "team")}
        what |= {"choice": form.choice, "url": facts["address"], "at": at}
        if change:
            targets.change(obj.subscriber, **what)
            return
        by = cast(AbstractBaseUser, request.user)
        subscriber = targets.add(by=by, **what)
        obj.pk, obj.subscriber, obj.created_at = subscriber.endpoint.pk, subscriber, at

    def response_add(self, request: HttpRequest, obj: Endpoint, post_url_continue: Any = None) -> HttpResponse:
        messages.success(request, f"{obj.name} hears what is published from now on. Try it out: press “Test it”.")
        return HttpResponseRedirect(reverse("admin:notifications_endpoint_change", args=[obj.pk]))
