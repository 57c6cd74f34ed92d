"""What people texted back, for a person to read: some leave in words of their own (S19)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from notifications.keywords import Word
from notifications.masking import address_of, sees_addresses, shown_address
from notifications.models import Reply, Subscriber
from notifications.receipts_twilio import TEXTS

LABELS = {
    Word.LEAVING.value: "Sounds like leaving",
    Word.OTHER.value: "Other words",
    Word.STOP.value: "STOP",
    Word.START.value: "START",
    Word.HELP.value: "HELP",
}
#: What nobody but a person can act on.
IN_WORDS = (Word.LEAVING.value, Word.OTHER.value)
_TOLD = Q(
    delivery__subscriber__confirmed_at__isnull=False,
    delivery__subscriber__unsubscribed_at__isnull=True,
    delivery__subscriber__bounced_at__isnull=True,
)


class ReadsAsFilter(DropdownFilter):
    title = "what it reads as"
    parameter_name = "reads"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Sounds like leaving, still told"), *LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Reply]) -> QuerySet[Reply]:
        chosen = self.value()
        if chosen == "open":
            return queryset.filter(_TOLD, word=Word.LEAVING.value)
        return queryset.filter(word=chosen) if chosen in LABELS else queryset


@admin.register(Reply)
class ReplyAdmin(ModelAdmin):
    """A list to read. Who wants to leave is unsubscribed on their own page."""

    list_display = ["heard", "reads", "words", "person", "told"]
    list_filter = [ReadsAsFilter]
    list_filter_submit = True
    list_per_page = 50
    ordering = ["-pk"]
    show_full_result_count = False
    search_fields = ["detail"]
    search_help_text = "Part of what was said"
    fields = readonly_fields = ["heard", "reads", "words", "person", "told"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reply]:
        everything: QuerySet[Reply] = super().get_queryset(request)
        # Said on the row, because its columns do not know who reads them.
        everything = everything.annotate(whole=Value(sees_addresses(request.user)))
        return everything.filter(source=TEXTS).select_related("delivery__subscriber")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Reply | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Reply | None = None) -> bool:
        return False

    @display(description="When", ordering="at")
    def heard(self, reply: Reply) -> Any:
        return reply.at

    @display(description="Reads as", label={LABELS["leaving?"]: "warning", "STOP": "info", "START": "success"})
    def reads(self, reply: Reply) -> str:
        return LABELS.get(reply.word, reply.word)

    @display(description="Words")
    def words(self, reply: Reply) -> str:
        return format_html('<span class="hg-long">{}</span>', _said(reply))

    @display(description="From")
    def person(self, reply: Any) -> str:
        subscriber = _subscriber(reply)
        if subscriber is None:
            # Somebody who was sent a code, or whom we never wrote to.
            known = reply.delivery is not None and reply.delivery.address
            return address_of(reply.delivery, whole=reply.whole) if known else "A number we do not text"
        url = reverse("admin:notifications_subscriber_change", args=[subscriber.pk])
        return format_html('<a href="{}">{}</a>', url, shown_address(subscriber, whole=reply.whole))

    @display(description="Still told", boolean=True)
    def told(self, reply: Reply) -> bool:
        subscriber = _subscriber(reply)
        return subscriber is not None and subscriber.is_active


def _said(reply: Reply) -> str:
    if reply.word in IN_WORDS:
        return reply.detail or "Nothing, or it is forgotten by now"
    return f"We answered: {reply.detail}" if reply.detail else "We did not answer"


def _subscriber(reply: Reply) -> Subscriber | None:
    subscriber = reply.delivery.subscriber if reply.delivery else None
    return subscriber if subscriber and subscriber.erased_at is None else None
