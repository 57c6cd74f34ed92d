"""Sending failures again, after a look at how many and who is kept back (R-804, F23). Every act is logged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from notifications import delivery as post
from notifications import fates
from notifications.enums import FAILURES, Fate
from notifications.models import Announcement, Delivery

TEMPLATE = "admin/notifications/delivery/send_again.html"
#: More than so many are named by their update, not one by one.
NAMED = 1_000
#: More than so many are sent by whoever types the number (F23).
TYPED_BACK = 1_000
#: Why somebody is kept back, as people read it.
KEPT_BACK = {
    post.LEFT: "left, or never confirmed",
    post.PAUSED: "paused, or in quarantine after failing for a day",
    post.EXPIRED: "expired: nobody wants to hear it any more",
    post.OVERTAKEN: "told a newer update since",
}
ASKED = "Asked to send again."
#: A bounced address was refused for good: nobody tries it again without meaning to.
_OFFERED_AT_FIRST = (Fate.DEAD, Fate.UNCERTAIN)


@dataclass(frozen=True)
class Offer:
    """Failures of one fate: how many would go."""

    fate: Fate
    going: int
    ticked: bool

    @property
    def words(self) -> str:
        return fates.words(self.fate)

    @property
    def shown(self) -> str:
        return f"{self.going:,}"


@dataclass(frozen=True)
class Look:
    """What can be sent again, by fate, and who is kept back: (why, how many)."""

    offers: list[Offer]
    kept: list[tuple[str, str]]

    @property
    def many(self) -> bool:
        return sum(offer.going for offer in self.offers) > TYPED_BACK

    def mistake(self, ticked: list[str], typed: str) -> str:
        """What is wrong with an answer; "" when nothing is."""
        going = sum(offer.going for offer in self.offers if offer.fate in ticked)
        if not going:
            return "Tick at least one." if self.offers else ""
        if going > TYPED_BACK and typed.strip().replace(",", "") != str(going):
            return f"These are {going:,} messages: type that number to go on."
        return ""


def chosen(console: Any, request: HttpRequest, rows: QuerySet[Delivery]) -> HttpResponse | None:
    """The action of the list: a page to confirm, then back to the list."""
    failed = Delivery.objects.filter(pk__in=rows.order_by().values("pk"), fate__in=FAILURES)
    context = {
        "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "checkbox": ACTION_CHECKBOX_NAME,
        "action": "send_chosen_again",
    }
    return _page(console, request, failed, context)


def update(console: Any, request: HttpRequest, news: int) -> HttpResponse:
    """All failures of one update: a page to confirm, then the log of that update."""
    if not console.has_change_permission(request):
        raise PermissionDenied
    told = get_object_or_404(Announcement.objects.only("pk", "subject"), pk=news)
    failed = Delivery.objects.filter(announcement=told, fate__in=FAILURES)
    back = f"{reverse('admin:notifications_delivery_changelist')}?announcement={told.pk}"
    return _page(console, request, failed, {"subject": told.subject, "back": back}) or HttpResponseRedirect(back)


def _page(
    console: Any, request: HttpRequest, failed: QuerySet[Delivery], context: dict[str, Any]
) -> HttpResponse | None:
    """Ask, or do what was answered and return None."""
    look, status = _look(failed), 200
    if request.POST.get("sure") == "yes":
        ticked = request.POST.getlist("fate")
        mistake = look.mistake(ticked, request.POST.get("typed", ""))
        if not mistake:
            send(request, failed.filter(fate__in=[offer.fate for offer in look.offers if offer.fate in ticked]))
            return None
        look, status = replace(look, offers=[replace(o, ticked=o.fate in ticked) for o in look.offers]), 422
        context = context | {"mistake": mistake}
    context = console.admin_site.each_context(request) | context
    context |= {
        "title": "Send again?",
        "opts": Delivery._meta,
        "offers": look.offers,
        "kept": look.kept,
        "typed_back": look.many,
        "limit": f"{TYPED_BACK:,}",
        "list_url": reverse("admin:notifications_delivery_changelist"),
    }
    return TemplateResponse(request, TEMPLATE, context, status=status)


def send(request: HttpRequest, rows: QuerySet[Delivery]) -> None:
    """Queue them, say how many, and write down who did it."""
    # Only members of staff come here.
    by, at = cast(User, request.user), timezone.now()
    asked = rows.count()
    _log(by, rows, asked)
    again = post.send_again(rows, by=by, at=at)
    if again:
        messages.success(request, f"{again:,} queued again.")
    if asked > again or not asked:
        messages.warning(
            request,
            f"{asked - again or 'None'} not sent again: they did not fail, their news is over, a newer update "
            "was written, or the person left.",
        )


def _look(failed: QuerySet[Delivery]) -> Look:
    counted = post.kept_back(failed, at=timezone.now())
    going = {fate: counted.get((fate, post.GOING), 0) for fate in (Fate.DEAD, Fate.UNCERTAIN, Fate.BOUNCED)}
    nothing_else = not any(going[fate] for fate in _OFFERED_AT_FIRST)
    offers = [
        Offer(fate, count, ticked=nothing_else or fate in _OFFERED_AT_FIRST) for fate, count in going.items() if count
    ]
    kept = {
        words: sum(count for (_, why), count in counted.items() if why == reason) for reason, words in KEPT_BACK.items()
    }
    return Look(offers, [(words, f"{count:,}") for words, count in kept.items() if count])


def _log(by: User, rows: QuerySet[Delivery], asked: int) -> None:
    """Few are named one by one, many by their updates, with how many of each; never by whose they are (S29)."""
    if asked <= NAMED:
        named: list[tuple[type[Model], int, str, str]] = [
            (Delivery, pk, f"Delivery {pk}", ASKED) for pk in rows.values_list("pk", flat=True)
        ]
    else:
        counts = rows.order_by().values_list("announcement", "announcement__subject").annotate(count=Count("pk"))
        named = [
            (Announcement, pk, subject, f"{ASKED} {count:,} failures of this update.") for pk, subject, count in counts
        ]
    kinds = ContentType.objects.get_for_models(Delivery, Announcement)
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=by.pk,
            content_type=kinds[model],
            object_id=str(pk),
            object_repr=words[:200],
            action_flag=CHANGE,
            change_message=message,
        )
        for model, pk, words, message in named
    )
