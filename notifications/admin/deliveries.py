"""The delivery log (R-804): every person × update × channel with its fate, and failures sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Prefetch, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from notifications import fates, lookup, progress
from notifications.admin import again, copies, log
from notifications.admin.masked import MaskedMixin
from notifications.enums import FAILURES, Kind
from notifications.fates import Group
from notifications.masking import address_of, sees_addresses, shown_address
from notifications.measures import number
from notifications.models import Announcement, Delivery, Subscriber


def moment(at: datetime, now: datetime) -> SafeString:
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


def fate_shown(row: Delivery) -> SafeString:
    """Its fate in words, with a dot in the colour of its group."""
    words = fates.words(row.fate, row.channel, row.reason)
    return format_html('<span class="hg-dot" data-level="{}">{}</span>', fates.colour(row.fate), words)


@admin.register(Delivery)
class DeliveryAdmin(MaskedMixin, ModelAdmin):
    """To read and to search; the one act is to send a failure again."""

    masked_fields = ("address",)
    list_display = ["person", "message", "fate_and_reason", "channel", "when"]
    list_filter = [
        log.FateFilter,
        ("channel", ChoicesDropdownFilter),
        log.IncidentFilter,
        log.UpdateFilter,
        log.CustomerFilter,
        ("created_at", log.TimeFilter),
    ]
    list_filter_submit = True
    list_filter_sheet = True
    list_per_page = 50
    list_before_template = "admin/notifications/delivery/before.html"
    show_full_result_count = False
    # Each count would be another walk through the log.
    show_facets = admin.ShowFacets.NEVER
    paginator = log.ShortPaginator
    sortable_by: list[str] = []
    # What is searched is said in get_search_results; the box only shows when something stands here.
    search_fields = ["address"]
    search_help_text = "Customer, address, phone, INC-… or subject"
    actions = ["send_chosen_again"]
    actions_detail = ["send_again"]
    fieldsets = [(None, {"fields": ["recipient", "subject", "channel", "fate_in_words", "reason"]})]
    readonly_fields = ["recipient", "subject", "channel", "fate_in_words", "reason"]
    change_form_after_template = "admin/notifications/delivery/story.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        inherited: list[URLPattern] = super().get_urls()
        mine = path("again/<int:news>/", view(self.send_update_again), name="notifications_delivery_update_again")
        return [mine, *inherited]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by announcing."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """The log is evidence."""
        return False

    # --- the list ---

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[log.Lines]:
        return log.Lines

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Looked up beside the rows, not joined: a join would be made before the newest fifty are picked."""
        rows: QuerySet[Delivery] = super().get_queryset(request)
        news = Announcement.objects.only("pk", "seq", "subject", "kind", "lane")
        people = Subscriber.objects.only("pk", "address", "channel", "erased_at")
        # Said on the row, because its columns do not know who reads them.
        rows = rows.annotate(whole=Value(sees_addresses(request.user)))
        return rows.prefetch_related(Prefetch("announcement", news), Prefetch("subscriber", people))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Within one update anybody may come first: those who have it stand at its beginning, the others at its end."""
        if request.GET.get(log.FateFilter.parameter_name) == Group.GONE and log.asked_for(request):
            return "announcement_id", "subscriber_id", "pk"
        return log.ORDER

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """What was meant is kept with the request, for the screen to say."""
        if not search_term.strip():
            return queryset, False
        found = lookup.search(search_term, parts=sees_addresses(request.user))
        request.meaning = found  # type: ignore[attr-defined]  # read by changelist_view
        return queryset.filter(found.rows), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page: HttpResponse = super().changelist_view(request, extra_context)
        if isinstance(page, TemplateResponse) and page.context_data is not None:
            page.context_data |= self._above(request)
        return page

    def _above(self, request: HttpRequest) -> dict[str, Any]:
        """What stands above the list: how the search was understood, and how far a chosen update is."""
        found = getattr(request, "meaning", None)
        update = None
        if chosen := log.asked_for(request):
            row = Announcement.objects.filter(pk=chosen).first()
            update = progress.of_update(row, most=progress.ENOUGH) if row else None
        here = reverse("admin:notifications_delivery_changelist")
        return {
            "found": found,
            "person": self._person(request),
            "found_others": [(name, f"{here}?{urlencode({'q': term})}") for name, term in found.others]
            if found
            else [],
            "update": update,
            "may_send_again": self.has_change_permission(request),
            "groups": list(Group),
        }

    def _person(self, request: HttpRequest) -> str:
        """Whose messages are shown alone; the page of a subscriber asks for them."""
        pk = number(request.GET.get("subscriber", ""))
        person = Subscriber.objects.filter(pk=pk).first() if pk else None
        return shown_address(person, whole=sees_addresses(request.user)) if person else ""

    # --- one message ---

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        hidden = {"show_save": False, "show_save_and_continue": False, "show_save_and_add_another": False}
        row = self.get_object(request, object_id or "")
        told = copies.story(row) if row and self.has_view_permission(request, row) else {}
        page: HttpResponse = super().changeform_view(
            request, object_id, form_url, (extra_context or {}) | hidden | told
        )
        return page

    @display(description="Recipient")
    def person(self, row: Delivery) -> SafeString:
        mailbox, at, domain = self.recipient(row).partition("@")
        # A long address is broken where people would.
        return format_html('<span class="hg-address">{}<wbr>{}{}</span>', mailbox, at, domain)

    @display(description="Recipient")
    def recipient(self, row: Any) -> str:
        return address_of(row, whole=row.whole)

    @display(description="Message")
    def message(self, row: Delivery) -> SafeString:
        # A letter goes to contacts beside the news, under the same subject.
        is_letter = row.announcement.kind == Kind.DIRECT
        beside = format_html('<small class="hg-why">{}</small>', "Letter to a customer") if is_letter else ""
        return format_html('<span class="hg-long">{}{}</span>', row.announcement.subject, beside)

    @display(description="Message")
    def subject(self, row: Delivery) -> str:
        return row.announcement.subject

    @display(description="Fate")
    def fate_in_words(self, row: Delivery) -> SafeString:
        return fate_shown(row)

    @display(description="Fate")
    def fate_and_reason(self, row: Delivery) -> SafeString:
        why = fates.remark(row.fate, row.reason)
        return format_html('{}<small class="hg-why">{}</small>', fate_shown(row), why) if why else fate_shown(row)

    @display(description="When (UTC)")
    def when(self, row: Delivery) -> SafeString:
        """When it was written down, and how long after that it came to its end."""
        written = moment(row.created_at, timezone.now())
        if row.settled_at is None:
            return written
        settled = f"{row.settled_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        after = _after(row.settled_at - row.created_at)
        return format_html('{}<small class="hg-why"><time title="{}">{}</time></small>', written, settled, after)

    # --- sending again ---

    def has_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offered for a failure alone; whoever asks for another is answered in words."""
        if not self.has_change_permission(request):
            return False
        if request.method == "POST":
            return True
        pk = number(str(object_id))
        return pk is not None and Delivery.objects.filter(pk=pk, fate__in=FAILURES).exists()

    @action(
        description="Send again",
        icon="forward_to_inbox",
        permissions=["again"],
        dialog={
            "title": "Send this message again?",
            "description": "Only bounced, failed and unknown messages are sent again; the person may get a second "
            "copy. A newer update, or a person who left, is never overridden.",
            "form_submit_text": "Send again",
        },
    )
    def send_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        again.send(request, Delivery.objects.filter(pk=object_id))
        response = HttpResponse()
        response.headers["HX-Redirect"] = reverse("admin:notifications_delivery_change", args=[object_id])
        return response

    @admin.action(description="Send the selected failures again", permissions=["change"])
    def send_chosen_again(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        return again.chosen(self, request, chosen)

    def send_update_again(self, request: HttpRequest, news: int) -> HttpResponse:
        return again.update(self, request, news)
