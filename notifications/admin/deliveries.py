"""The delivery log (R-804): every person × update × channel with its fate, and failures sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from notifications import delivery as post
from notifications.enums import FATE_COLOURS, Channel, Fate
from notifications.models import Announcement, Delivery

#: Further back than this one searches instead of paging.
_COUNTED = 10_000
_RECENT = 25
BY_CHANNEL = ("channel", ChoicesDropdownFilter)


class ShortPaginator(Paginator):  # type: ignore[type-arg]  # not subscriptable at run time
    """Counts to ten thousand and no further: the log may hold tens of millions of rows."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Delivery]", self.object_list)
        return rows[: _COUNTED + 1].count()


def _moment(at: datetime, now: datetime) -> SafeString:
    """``20 Nov, 14:05`` in one line, with the year when it is not this one; UTC to the second in the tooltip."""
    at = at.astimezone(UTC)
    words = f"{at.day} {at:%b, %H:%M}" if at.year == now.year else f"{at.day} {at:%b %Y, %H:%M}"
    return format_html('<time class="hg-when" title="{}">{}</time>', f"{at:%Y-%m-%d %H:%M:%S} UTC", words)


def _after(span: timedelta) -> str:
    """``after 4 s``, ``after 12 min``, ``after 3 h``, ``after 2 d``: rounded down."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"after {seconds // size} {unit}"
    return f"after {seconds} s"


class RecentNewsFilter(DropdownFilter):
    title = "update"
    parameter_name = "announcement"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = Announcement.objects.order_by("-pk").values_list("pk", "subject")[:_RECENT]
        return [(str(pk), subject) for pk, subject in recent]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        chosen = self.value() or ""
        return queryset.filter(announcement=int(chosen)) if chosen.isdecimal() else queryset


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):
    """To read and to search; the one act is to send a failure again."""

    list_display = ["person", "message", "fate_in_words", "reason", "channel", "queued", "settled"]
    list_filter = [("fate", ChoicesDropdownFilter), BY_CHANNEL, RecentNewsFilter]
    list_filter_submit = True
    list_select_related = ["announcement", "subscriber"]
    list_per_page = 50
    show_full_result_count = False
    paginator = ShortPaginator
    ordering = ["-id"]
    sortable_by: list[str] = []
    # What is searched is said in get_search_results; the box only shows when something stands here.
    search_fields = ["address"]
    search_help_text = "An e-mail address or its beginning, an incident's reference, or words of the subject"
    actions = ["send_chosen_again"]
    actions_detail = ["send_again"]
    fieldsets = [
        (None, {"fields": ["recipient", "subject", "channel", "fate_in_words", "reason"]}),
        ("Moments", {"fields": ["created_at", "next_at", "settled_at"]}),
        ("Handing over", {"fields": ["attempts", "copies", "message_reference"]}),
    ]
    readonly_fields = [
        "recipient", "subject", "channel", "fate_in_words", "reason", "created_at", "next_at", "settled_at",
        "attempts", "copies", "message_reference",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by announcing."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """The log is evidence."""
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        hidden = {"show_save": False, "show_save_and_continue": False, "show_save_and_add_another": False}
        page: HttpResponse = super().changeform_view(request, object_id, form_url, (extra_context or {}) | hidden)
        return page

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """People by the beginning of their address, news by reference or subject: never a walk through the log."""
        term = search_term.strip()
        if not term:
            return queryset, False
        people = Q(subscriber__address__istartswith=term) | Q(address__istartswith=term)
        if "@" in term:
            return queryset.filter(people), False
        told = Announcement.objects.filter(Q(content__reference__iexact=term) | Q(subject__icontains=term))
        news = list(told.order_by("-pk").values_list("pk", flat=True)[:500])
        return queryset.filter(people | Q(announcement__in=news)), False

    @display(description="Recipient")
    def person(self, row: Delivery) -> SafeString:
        mailbox, at, domain = self.recipient(row).partition("@")
        # A long address is broken where people would.
        return format_html('<span class="hg-address">{}<wbr>{}{}</span>', mailbox, at, domain)

    @display(description="Recipient")
    def recipient(self, row: Delivery) -> str:
        return row.address or (row.subscriber.address if row.subscriber else "erased")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Without the channel while there is only one."""
        return [name for name in self.list_display if name != "channel" or len(Channel) > 1]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [one for one in self.list_filter if one != BY_CHANNEL or len(Channel) > 1]

    @display(description="Message")
    def message(self, row: Delivery) -> SafeString:
        return format_html('<span class="hg-long">{}</span>', row.announcement.subject)

    @display(description="Message")
    def subject(self, row: Delivery) -> str:
        return row.announcement.subject

    @display(description="Fate")
    def fate_in_words(self, row: Delivery) -> SafeString:
        colour = FATE_COLOURS[Fate(row.fate)]
        return format_html('<span class="hg-dot" data-level="{}">{}</span>', colour, row.get_fate_display())

    @display(description="Queued")
    def queued(self, row: Delivery) -> SafeString:
        return _moment(row.created_at, timezone.now())

    @display(description="Settled")
    def settled(self, row: Delivery) -> SafeString:
        if row.settled_at is None:
            return SafeString("–")
        settled = f"{row.settled_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return format_html(
            '<time class="hg-when" title="{}">{}</time>', settled, _after(row.settled_at - row.created_at)
        )

    @display(description="Update")
    def message_reference(self, row: Delivery) -> str:
        reference = row.announcement.content.get("reference", "")
        return f"{reference or 'Letter'}, message {row.announcement.seq} of its thread"

    @action(
        description="Send again",
        icon="forward_to_inbox",
        permissions=["change"],
        dialog={
            "title": "Send this message again?",
            "description": "Only bounced, failed and unknown messages are sent again; the person may get a second "
            "copy. A newer update, or a person who left, is never overridden.",
            "form_submit_text": "Send again",
        },
    )
    def send_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        row = Delivery.objects.filter(pk=object_id).first()
        if row is not None:
            self._send(request, [row])
        response = HttpResponse()
        response.headers["HX-Redirect"] = reverse("admin:notifications_delivery_change", args=[object_id])
        return response

    @admin.action(description="Send the selected failures again", permissions=["change"])
    def send_chosen_again(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        failed = chosen.filter(fate__in=(Fate.BOUNCED, Fate.DEAD, Fate.UNCERTAIN))
        if request.POST.get("sure") == "yes":
            self._send(request, list(failed))
            return None
        examples = failed.select_related("subscriber").order_by("pk")[:20]
        context = self.admin_site.each_context(request) | {
            "title": "Send again?",
            "opts": self.model._meta,
            "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "across": request.POST.get("select_across", "0"),
            "checkbox": ACTION_CHECKBOX_NAME,
            "going": failed.count(),
            "examples": [f"{self.recipient(row)}: {row.get_fate_display().lower()}" for row in examples],
        }
        return TemplateResponse(request, "admin/notifications/delivery/send_again.html", context)

    def _send(self, request: HttpRequest, rows: list[Delivery]) -> None:
        # Only members of staff come here.
        by = cast(User, request.user)
        again = post.send_again(rows, by=by, at=timezone.now())
        LogEntry.objects.log_actions(by.pk, rows, CHANGE, "Asked to send again.")
        if again:
            messages.success(request, f"{again} queued again.")
        if len(rows) > again or not rows:
            messages.warning(
                request,
                f"{len(rows) - again or 'None'} not sent again: they did not fail, their news is over, a newer update "
                "was written, or the person left.",
            )
