"""The audience's screens: who is told, customers with their contacts, and what there is to choose (R-802, R-803)."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, Q, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from notifications import subscriptions
from notifications.admin.lists import ListsMixin
from notifications.admin.masked import MaskedMixin
from notifications.admin.pasts import PastsAdmin
from notifications.admin.told import ToldMixin
from notifications.forms import RANKS, moment_of
from notifications.masking import sees_addresses, shown_address
from notifications.models import Contact, Customer, Subscriber, Topic

#: Where somebody stands, derived from the facts; the first that fits holds.
STANDINGS = {
    "left": ("Left", Q(unsubscribed_at__isnull=False)),
    "bounced": ("Refused mail", Q(unsubscribed_at__isnull=True, bounced_at__isnull=False)),
    "unconfirmed": (
        "Not confirmed",
        Q(unsubscribed_at__isnull=True, bounced_at__isnull=True, confirmed_at__isnull=True),
    ),
    "active": ("Active", Q(unsubscribed_at__isnull=True, bounced_at__isnull=True, confirmed_at__isnull=False)),
}
ACTIVE_CHOOSERS = Q(
    subscribers__confirmed_at__isnull=False,
    subscribers__unsubscribed_at__isnull=True,
    subscribers__bounced_at__isnull=True,
)
RANK_NAMES = {int(rank): label for rank, label, _ in RANKS}


def standing(subscriber: Subscriber) -> str:
    """The key of STANDINGS that fits."""
    if subscriber.unsubscribed_at:
        return "left"
    if subscriber.bounced_at:
        return "bounced"
    return "active" if subscriber.confirmed_at else "unconfirmed"


class StandingFilter(DropdownFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in STANDINGS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> QuerySet[Subscriber]:
        chosen = STANDINGS.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class LeastRankFilter(DropdownFilter):
    title = "which incidents"
    parameter_name = "least_rank"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(rank, label) for rank, label, _ in RANKS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> QuerySet[Subscriber]:
        return queryset.filter(least_rank=self.value()) if self.value() in {rank for rank, *_ in RANKS} else queryset


@admin.register(Subscriber)
class SubscriberAdmin(MaskedMixin, ListsMixin, ModelAdmin):
    """Facts to read, one link to a customer to set, two acts: unsubscribe, erase. People subscribe by themselves."""

    masked_fields = ("address",)
    list_display = ["person", "channel", "state", "components", "incidents", "customer", "confirmed_at"]
    list_filter = [
        StandingFilter,
        ("channel", ChoicesDropdownFilter),
        LeastRankFilter,
        ("customer", AutocompleteSelectFilter),
    ]
    list_filter_submit = True
    list_select_related = ["customer"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["address"]
    search_help_text = "Part of an address or number"
    autocomplete_fields = ["customer"]
    actions = ["unsubscribe_chosen"]
    actions_detail = ["unsubscribe", "erase"]
    actions_list = ["import_people", "export_people"]
    change_form_after_template = "admin/notifications/subscriber/log.html"
    fieldsets = [
        (None, {"fields": ["address", "channel", "state", "customer", "language"]}),
        ("Hears about", {"fields": ["components", "incidents", "wants_maintenance", "follows", "moment"]}),
        ("Moments", {"fields": ["created_at", "confirm_sent_at", "confirmed_at", "unsubscribed_at", "bounced_at"]}),
        ("Consent", {"fields": ["consent_at", "consent_source", "signed_up_from"]}),
    ]
    readonly_fields = [
        "address", "channel", "state", "language", "components", "incidents", "wants_maintenance", "follows", "moment",
        "created_at", "confirm_sent_at", "confirmed_at", "unsubscribed_at", "bounced_at",
        "consent_at", "consent_source", "signed_up_from",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        everybody: QuerySet[Subscriber] = super().get_queryset(request)
        # Said on the row, because its columns do not know who reads them.
        everybody = everybody.annotate(whole=Value(sees_addresses(request.user)))
        return everybody.filter(erased_at__isnull=True).prefetch_related("topics")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Subscriber | None:
        """Masked for those who need not know it (reliability.md 4.1), wherever its page names it; never saved so."""
        found: Any = super().get_object(request, object_id, from_field)
        if found:
            found.address = shown_address(found, whole=found.whole)
        return cast("Subscriber | None", found)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Subscriber], search_term: str
    ) -> tuple[QuerySet[Subscriber], bool]:
        """Who sees addresses masked finds one that they know: letter by letter, parts would spell out all of them."""
        if sees_addresses(request.user):
            found: tuple[QuerySet[Subscriber], bool] = super().get_search_results(request, queryset, search_term)
            return found
        if typed := search_term.strip():
            return queryset.filter(address__iexact=typed), False
        # The list names nobody; what completes while one types would.
        return (queryset.none() if request.path == reverse("admin:autocomplete") else queryset), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        lines: Any = super().get_changelist_instance(request)
        if not sees_addresses(request.user):
            lines.search_help_text = "A whole address or number"
        return lines

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        log = ""
        if request.user.has_perm("notifications.view_delivery"):
            log = f"{reverse('admin:notifications_delivery_changelist')}?{urlencode({'subscriber': object_id})}"
        context = (extra_context or {}) | {"log_url": log}
        page: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return page

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody is subscribed without their own confirmation (R-802)."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Subscriber | None = None) -> bool:
        """A deleted address could be subscribed again as if it had never left."""
        return False

    def has_erase_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.erase_subscriber"))

    def save_model(self, request: HttpRequest, obj: Subscriber, form: Any, change: bool) -> None:
        # Only what the form offers: the person may confirm or leave while the operator looks.
        obj.changed_at = timezone.now()
        obj.save(update_fields=["customer", "changed_at"])

    @display(description="Address", ordering="address")
    def person(self, subscriber: Any) -> str:
        return shown_address(subscriber, whole=subscriber.whole)

    @display(
        description="State",
        label={"Active": "success", "Not confirmed": "info", "Left": "warning", "Refused mail": "danger"},
    )
    def state(self, subscriber: Subscriber) -> str:
        return STANDINGS[standing(subscriber)][0]

    @display(description="Components")
    def components(self, subscriber: Subscriber) -> str:
        if subscriber.follows_only:
            return "Only incidents they follow"
        return "All" if subscriber.all_topics else ", ".join(topic.name for topic in subscriber.topics.all()) or "None"

    @display(description="Follows")
    def follows(self, subscriber: Subscriber) -> str:
        followed = subscriber.follows.filter(since__isnull=False).order_by("pk")
        return ", ".join(follow.name or follow.lane for follow in followed) or "No incident"

    @display(description="Told")
    def moment(self, subscriber: Subscriber) -> str:
        return moment_of(subscriber) or "At once"

    @display(description="Incidents", ordering="least_rank")
    def incidents(self, subscriber: Subscriber) -> str:
        return RANK_NAMES[subscriber.least_rank] if subscriber.wants_incidents else "None"

    @action(
        description="Unsubscribe",
        icon="unsubscribe",
        permissions=["change"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Unsubscribe this address?",
            "description": "Nothing more is sent to it, not even what is queued now. "
            "Only the owner of the mailbox can subscribe it again.",
            "form_submit_text": "Unsubscribe",
        },
    )
    def unsubscribe(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        subscriber = Subscriber.objects.filter(pk=object_id).first()
        if subscriber is not None:
            subscriptions.unsubscribe(subscriber, at=timezone.now())
            self.log_change(request, subscriber, "Unsubscribed.")
            address = shown_address(subscriber, whole=sees_addresses(request.user))
            messages.success(request, f"{address} is unsubscribed.")
        response = HttpResponse()
        response.headers["HX-Redirect"] = reverse("admin:notifications_subscriber_change", args=[object_id])
        return response

    @action(
        description="Erase",
        icon="person_off",
        permissions=["erase"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Erase this person for good?",
            "description": "Address, choice and consent are forgotten; what was sent keeps its fate, without a name. "
            "A hash stays, so that no import brings the address back. A customer's contact with the same address "
            "is not touched.",
            "form_submit_text": "Erase for good",
        },
    )
    def erase(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        subscriber = Subscriber.objects.filter(pk=object_id).first()
        if subscriber is not None:
            assert isinstance(request.user, AbstractBaseUser)
            erased = subscriptions.erase(subscriber, by=request.user, at=timezone.now())
            self.log_change(request, erased, "Erased.")
            messages.success(request, "Erased. Only a hash remains, which keeps imports from bringing them back.")
        response = HttpResponse()
        response.headers["HX-Redirect"] = reverse("admin:notifications_subscriber_changelist")
        return response

    @admin.action(description="Unsubscribe the selected addresses", permissions=["change"])
    def unsubscribe_chosen(self, request: HttpRequest, chosen: QuerySet[Subscriber]) -> HttpResponse | None:
        staying = chosen.filter(unsubscribed_at__isnull=True)
        if request.POST.get("sure") == "yes":
            going = list(staying)
            left = subscriptions.unsubscribe_all([subscriber.pk for subscriber in going], at=timezone.now())
            LogEntry.objects.log_actions(request.user.pk or 0, going, CHANGE, "Unsubscribed.")
            messages.success(request, f"{left} unsubscribed." if left else "All of these had left already.")
            return None
        context = self.admin_site.each_context(request) | {
            "title": "Unsubscribe?",
            "opts": self.model._meta,
            "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "across": request.POST.get("select_across", "0"),
            "checkbox": ACTION_CHECKBOX_NAME,
            "going": staying.count(),
            "examples": [self.person(one) for one in staying.order_by("pk")[:20]],
        }
        return TemplateResponse(request, "admin/notifications/subscriber/unsubscribe.html", context)


class ContactInline(TabularInline):
    model = Contact
    extra = 0
    show_change_link = True


@admin.register(Customer)
class CustomerAdmin(ToldMixin, PastsAdmin, ModelAdmin):
    list_display = ["name", "reference", "rank", "contact_count", "topic_count"]
    list_filter = [("tier", ChoicesDropdownFilter), ("topics", AutocompleteSelectFilter)]
    list_filter_submit = True
    list_per_page = 50
    search_fields = ["name", "reference"]
    autocomplete_fields = ["topics"]
    inlines = [ContactInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        customers: QuerySet[Customer] = super().get_queryset(request)
        return customers.annotate(
            contact_count=Count("contacts", distinct=True), topic_count=Count("topics", distinct=True)
        )

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "tier" in form.changed_data:
            # What Enterprise customers are told, their people may not have been told before.
            obj.subscribers.update(changed_at=timezone.now())

    @display(description="Tier", ordering="tier", label={"Enterprise": "primary", "Business": "info"})
    def rank(self, customer: Customer) -> str:
        return customer.get_tier_display()

    @display(description="Contacts", ordering="contact_count")
    def contact_count(self, customer: Any) -> int:
        return int(customer.contact_count)

    @display(description="Components used", ordering="topic_count")
    def topic_count(self, customer: Any) -> int:
        return int(customer.topic_count)


@admin.register(Contact)
class ContactAdmin(ModelAdmin):
    list_display = ["name", "email", "role", "customer"]
    list_filter = [("customer", AutocompleteSelectFilter)]
    list_filter_submit = True
    list_select_related = ["customer"]
    list_per_page = 50
    search_fields = ["name", "email", "customer__name"]
    autocomplete_fields = ["customer"]


@admin.register(Topic)
class TopicAdmin(ModelAdmin):
    """What people can choose. The components themselves keep these rows; here one only looks."""

    list_display = ["name", "section", "offered", "chosen_by"]
    list_per_page = 50
    search_fields = ["name", "section"]
    fields = ["name", "section", "offered", "chosen_by"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Topic]:
        topics: QuerySet[Topic] = super().get_queryset(request)
        return topics.annotate(chosen_count=Count("subscribers", filter=ACTIVE_CHOOSERS))

    @display(description="Chosen by", ordering="chosen_count")
    def chosen_by(self, topic: Any) -> int:
        return int(topic.chosen_count)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Topic | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Topic | None = None) -> bool:
        return False
