"""The subscription pages: public, without cookies, useful without JavaScript (R-802).

A GET never changes anything, because mail scanners open every link (S17). Who holds a link from a
mail is the owner of the mailbox; nothing else identifies anybody here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications import limits, subscriptions, tokens
from notifications.forms import RANKS, ChoiceForm, SubscribeForm
from notifications.models import Brand, Subscriber
from notifications.subscriptions import Choice

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

#: The empty form is the same for everybody; a proxy may keep it for a moment.
CACHE_FORM = "public, max-age=60"
REFUSED = 422
GONE = 404


def public_page(view: View[P]) -> View[P]:
    """Marks a page that anybody may open and post to.

    No CSRF token: it would need a cookie, and there is no login whose power a foreign site could
    borrow. A link from a mail is the only key, and RFC 8058 wants a POST without cookies (S17).
    """

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        response = view(request, *args, **kwargs)
        # The address of a page may be a key to somebody's settings (S13, S18).
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return csrf_exempt(require_http_methods(["GET", "HEAD", "POST"])(page))


@public_page
def subscribe(request: HttpRequest) -> HttpResponse:
    """The form, and the answer that is the same for every address and beyond every limit (S15, S16)."""
    if request.method != "POST":
        response = _show(request, "subscribe", form=SubscribeForm())
        response.headers["Cache-Control"] = CACHE_FORM
        return response
    form = SubscribeForm(request.POST)
    if form.is_trapped:
        return _show(request, "check_inbox")
    if not form.is_valid():
        return _show(request, "subscribe", REFUSED, form=form)
    address, visitor, at = form.cleaned_data["address"], limits.visitor_of(request), timezone.now()
    if limits.may_sign_up(visitor, address, at=at):
        subscriptions.ask(address, form.choice, at=at, network=limits.network(visitor))
    return _show(request, "check_inbox")


@public_page
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """A button; pressing it begins the subscription, again and again without harm."""
    at = timezone.now()
    try:
        subscriber = subscriptions.holder(token, tokens.CONFIRM, at=at)
        if request.method == "POST":
            subscriber = subscriptions.confirm(subscriber, at=at)
    except (tokens.BadToken, subscriptions.NotAllowed) as reason:
        return _show(request, "stale", GONE, reason=reason)
    template = "confirmed" if subscriber.is_active else "confirm"
    settings = reverse("subscriptions:manage", args=[tokens.make(subscriber, tokens.MANAGE)])
    return _show(request, template, subscriber=subscriber, words=in_words(subscriber), settings=settings)


@public_page
def manage(request: HttpRequest, token: str) -> HttpResponse:
    """See and change what one hears about; leave; come back."""
    at = timezone.now()
    try:
        subscriber = subscriptions.holder(token, tokens.MANAGE, at=at)
        return _manage(request, subscriber)
    except (tokens.BadToken, subscriptions.NotAllowed) as reason:
        return _show(request, "stale", GONE, reason=reason)


def _manage(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    at, act, said = timezone.now(), request.POST.get("act"), ""
    form = None
    if act == "leave":
        subscriber, said = subscriptions.unsubscribe(subscriber, at=at), "left"
    elif act == "erase":
        return _show(request, "erase", subscriber=subscriber)
    elif act == "erase for good":
        subscriptions.erase(subscriber, by=None, at=at)
        return _show(request, "erased")
    elif act == "rejoin":
        subscriber, said = subscriptions.rejoin(subscriber, at=at), "back"
    elif request.method == "POST":
        form = ChoiceForm(request.POST, initial=ChoiceForm.saying(Choice.of(subscriber)))
        if not form.is_valid():
            return _show(request, "manage", REFUSED, subscriber=subscriber, form=form)
        subscriber, said = subscriptions.choose(subscriber, form.choice, at=at), "saved"
    if not subscriber.is_active:
        return _show(request, "left", subscriber=subscriber, said=said)
    form = form or ChoiceForm(initial=ChoiceForm.saying(Choice.of(subscriber)))
    return _show(request, "manage", subscriber=subscriber, form=form, said=said)


@public_page
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """One button for people, one POST for mail programs (RFC 8058). A wrong link looks just the same (S17)."""
    if request.method != "POST":
        return _show(request, "unsubscribe")
    at = timezone.now()
    with suppress(tokens.BadToken):
        subscriptions.unsubscribe(subscriptions.holder(token, tokens.UNSUBSCRIBE, at=at), at=at)
    if request.POST.get("List-Unsubscribe") == "One-Click":
        return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")
    return _show(request, "unsubscribed")


def in_words(subscriber: Subscriber) -> dict[str, Any]:
    """A choice in words for a page; no ``components`` means all of them."""
    kinds = {"incidents": subscriber.wants_incidents, "planned maintenance": subscriber.wants_maintenance}
    return {
        "kinds": [kind for kind, wanted in kinds.items() if wanted],
        "components": [] if subscriber.all_topics else list(subscriber.topics.values_list("name", flat=True)),
        "severity": next(label for rank, label, _ in RANKS if rank == str(subscriber.least_rank)),
    }


def _show(request: HttpRequest, page: str, status: int = 200, **context: Any) -> HttpResponse:
    brand = Brand.objects.filter(is_default=True).first()
    return render(request, f"notifications/pages/{page}.html", {"brand": brand, **context}, status=status)
