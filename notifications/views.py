"""The subscription pages: public, without cookies, useful without JavaScript (R-802).

A GET never changes anything, because mail scanners open every link (S17). Who holds a link from a
mail, or enters a code, is the owner of the mailbox or phone; nothing else identifies anybody here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications import codes, disclosure, limits, measures, subscriptions, tokens, ways
from notifications.choices import Choice
from notifications.enums import ENDPOINTS, PHONES, Channel
from notifications.forms import RANKS, AddressForm, AskForm, ChoiceForm, CodeForm, SubscribeForm, moment_of
from notifications.models import Brand, Subscriber

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

#: Bytes of the largest form, with every component ticked.
LARGEST = 65_536
#: The empty form is the same for everybody; a proxy may keep it for a moment.
CACHE_FORM = "public, max-age=60"
REFUSED = 422
GONE = 404
TOO_LARGE = 413
TOO_MANY = 429
WRONG_CODE = "This code is wrong, too old, or was used already. Look for the newest one, or ask for another."
TOO_MANY_TRIES = "Too many codes were entered from your network. Please wait an hour."


def public_page(view: View[P]) -> View[P]:
    """Marks a page that anybody may open and post to.

    No CSRF token: it would need a cookie, and there is no login whose power a foreign site could
    borrow. A link from a mail is the only key, and RFC 8058 wants a POST without cookies (S17).
    """

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        # Before anything of it is read: a file that nobody asked for would fill the disk (S41).
        too_large = measures.is_larger(request, LARGEST)
        response = HttpResponse(status=TOO_LARGE) if too_large else view(request, *args, **kwargs)
        # The address of a page may be a key to somebody's settings (S13, S18).
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return csrf_exempt(require_http_methods(["GET", "HEAD", "POST"])(page))


# --- to begin ------------------------------------------------------------------------------


@public_page
def subscribe(request: HttpRequest, channel: str = Channel.EMAIL) -> HttpResponse:
    """The form, and the answer that is the same for every address and beyond every limit (S15, S16)."""
    offered = ways.offered()
    way = next((way for way in offered if way.channel == channel), None)
    if way is None:
        return _show(request, "not_offered", GONE, ways=offered)
    if request.method != "POST":
        response = _show(request, "subscribe", form=SubscribeForm(channel=way.channel), way=way, ways=offered)
        response.headers["Cache-Control"] = CACHE_FORM
        return response
    form = SubscribeForm(request.POST, channel=way.channel)
    if not form.is_trapped and not form.is_valid():
        return _show(request, "subscribe", REFUSED, form=form, way=way, ways=offered)
    if not form.is_trapped:
        _take(form, limits.visitor_of(request), at=timezone.now())
    return _next_step(request, form)


def _take(form: SubscribeForm, visitor: limits.Visitor | None, *, at: datetime) -> None:
    address, network = form.cleaned_data["address"], limits.network(visitor)
    if not limits.may_sign_up(visitor, form.channel, address, at=at):
        return
    if form.channel in ENDPOINTS:
        url = form.cleaned_data["url"]
        subscriptions.ask_for_endpoint(form.channel, url, address, form.choice, at=at, network=network)
    else:
        subscriptions.ask(address, form.choice, at=at, network=network, channel=form.channel)


def follow(request: HttpRequest, *, lane: str, name: str, what: str, channel: str, here: str) -> HttpResponse:
    """The page to follow one incident, for the floor that knows it: ``name`` and ``what`` it is are said there.

    ``here`` is its address; each way but the first has one of its own below it.
    """
    offered = [way for way in ways.offered() if way.channel not in ENDPOINTS]
    way = next((way for way in offered if way.channel == channel), None)
    if way is None:
        return _show(request, "not_offered", GONE, ways=offered)
    form = AddressForm(request.POST if request.method == "POST" else None, channel=way.channel)
    if not form.is_bound or (not form.is_trapped and not form.is_valid()):
        status = REFUSED if form.is_bound else 200
        return _show(request, "follow", status, form=form, way=way, ways=offered, name=name, what=what, here=here)
    if not form.is_trapped:
        address, visitor, at = form.cleaned_data["address"], limits.visitor_of(request), timezone.now()
        if limits.may_sign_up(visitor, way.channel, address, at=at):
            network = limits.network(visitor)
            subscriptions.ask_to_follow(way.channel, address, lane, name, at=at, network=network)
    return _next_step(request, form)


def _next_step(request: HttpRequest, form: AddressForm) -> HttpResponse:
    """The same for every address, whoever it belongs to (S15)."""
    if form.channel not in PHONES:
        return _show(request, "check_inbox", owner=form.channel in ENDPOINTS)
    # What a program typed may be anything.
    address = form.cleaned_data["address"] if form.is_valid() else ""
    return _ask_code(request, CodeForm(), form.channel, codes.CONFIRM, address)


@public_page
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """A button; pressing it begins the subscription, again and again without harm."""
    at = timezone.now()
    try:
        subscriber = subscriptions.holder(token, tokens.CONFIRM, at=at)
        if subscriber.channel == Channel.WEBHOOK:
            # Only that page shows its secret.
            return HttpResponseRedirect(reverse("subscriptions:confirm_webhook", args=[token]))
        waiting = list(subscriber.follows.filter(since=None).values_list("name", flat=True))
        if request.method == "POST":
            subscriber = subscriptions.confirm(subscriber, at=at)
            waiting = []
    except (tokens.BadToken, subscriptions.NotAllowed) as reason:
        return _show(request, "stale", GONE, reason=reason)
    template = "confirmed" if subscriber.is_active and not waiting else "confirm"
    settings = reverse("subscriptions:manage", args=[tokens.make(subscriber, tokens.MANAGE)])
    return _show(
        request, template, subscriber=subscriber, words=in_words(subscriber), settings=settings, waiting=waiting
    )


# --- codes -----------------------------------------------------------------------------------


@public_page
def ask(request: HttpRequest) -> HttpResponse:
    """Whoever wants to see their settings says where to send a code; nobody learns whether one was sent (S15)."""
    phones_too = ways.is_on(Channel.SMS)
    form = AskForm(request.POST if request.method == "POST" else None, phones_too=phones_too)
    if not form.is_bound or (not form.is_trapped and not form.is_valid()):
        return _show(request, "ask", REFUSED if form.is_bound else 200, form=form)
    at = timezone.now()
    if not form.is_trapped and limits.may_ask_for_code(limits.visitor_of(request), at=at):
        subscriptions.ask_for_code(form.channel, form.cleaned_data["address"], at=at)
    address = form.cleaned_data["address"] if form.is_valid() else ""
    return _ask_code(request, CodeForm(), form.channel, codes.MANAGE, address)


@public_page
def enter(request: HttpRequest) -> HttpResponse:
    """A code is entered: it begins a subscription, or opens the settings for ``tokens.VISIT`` (S18)."""
    form, at = CodeForm(request.POST), timezone.now()
    if request.method != "POST" or {"channel", "purpose", "address"} & form.errors.keys():
        return HttpResponseRedirect(reverse("subscriptions:ask"))
    if not form.is_valid():
        return _ask_code(request, form, status=REFUSED)
    if not limits.may_try_code(limits.visitor_of(request), at=at):
        form.add_error("code", TOO_MANY_TRIES)
        response = _ask_code(request, form, status=TOO_MANY)
        response.headers["Retry-After"] = str(int(limits.HOUR.total_seconds()))
        return response
    try:
        found = subscriptions.enter_code(
            Channel(form.cleaned_data["channel"]),
            form.cleaned_data["address"],
            form.cleaned_data["purpose"],
            form.cleaned_data["code"],
            at=at,
        )
    except subscriptions.NotAllowed as reason:
        return _show(request, "stale", GONE, reason=reason)
    if not found:
        form.add_error("code", WRONG_CODE)
        return _ask_code(request, form, status=REFUSED)
    return _opened(request, found, form.cleaned_data["purpose"], at)


def _opened(request: HttpRequest, found: list[Subscriber], purpose: str, at: datetime) -> HttpResponse:
    links = [_settings(subscriber, at) for subscriber in found]
    if purpose == codes.CONFIRM:
        subscriber = found[0]
        return _show(
            request, "confirmed", subscriber=subscriber, words=in_words(subscriber), settings=links[0], by_code=True
        )
    if len(found) == 1:
        return HttpResponseRedirect(links[0])
    theirs = [
        {"name": ways.way_of(each.channel).name, "subscriber": each, "link": link}
        for each, link in zip(found, links, strict=True)
    ]
    return _show(request, "yours", theirs=theirs)


def _settings(subscriber: Subscriber, at: datetime) -> str:
    """The settings of a subscription, for a visit."""
    token = tokens.make(subscriber, tokens.MANAGE, at=at, life=tokens.VISIT)
    return reverse("subscriptions:manage", args=[token])


def _ask_code(
    request: HttpRequest, form: CodeForm, channel: str = "", purpose: str = "", address: str = "", *, status: int = 200
) -> HttpResponse:
    """The page that asks for a code, with what it was asked for."""
    told = {"channel": channel, "purpose": purpose, "address": address}
    asked = {name: form.data.get(name, "") for name in told} if form.is_bound else told
    by_phone = asked["channel"] in PHONES
    return _show(
        request, "code", status, form=form, by_phone=by_phone, begins=asked["purpose"] == codes.CONFIRM, **asked
    )


# --- settings ----------------------------------------------------------------------------------


@public_page
def manage(request: HttpRequest, token: str) -> HttpResponse:
    """See and change what one hears about; leave; come back; take away what we hold."""
    at = timezone.now()
    try:
        subscriber = subscriptions.holder(token, tokens.MANAGE, at=at)
        return _manage(request, subscriber, token)
    except (tokens.BadToken, subscriptions.NotAllowed) as reason:
        return _show(request, "stale", GONE, reason=reason)


def _manage(request: HttpRequest, subscriber: Subscriber, token: str) -> HttpResponse:
    at, act, said = timezone.now(), request.POST.get("act", ""), ""
    own_page = ""
    if subscriber.channel == Channel.WEBHOOK:
        own_page = reverse("subscriptions:webhook", args=[token])
    if act in _PAGES:
        return _PAGES[act](request, subscriber, at)
    if act in _CHANGES:
        change, said = _CHANGES[act]
        subscriber = change(request, subscriber, at)
    elif request.method == "POST":
        page = _settings_page(request, subscriber)
        form = page["form"]
        if not form.is_valid():
            return _show(request, "manage", REFUSED, own_page=own_page, **page)
        subscriber, said = subscriptions.choose(subscriber, form.choice, at=at), "saved"
    if not subscriber.is_active:
        way = ways.way_of(subscriber.channel)
        return _show(request, "left", subscriber=subscriber, said=said, way=way, own_page=own_page)
    return _show(request, "manage", said=said, own_page=own_page, **_settings_page(None, subscriber))


def _settings_page(request: HttpRequest | None, subscriber: Subscriber) -> dict[str, Any]:
    """What the page shows; with a request, what was typed there."""
    follows = list(subscriber.follows.filter(since__isnull=False).order_by("pk"))
    form = ChoiceForm(
        request.POST if request else None,
        initial=ChoiceForm.saying(Choice.of(subscriber)),
        channel=Channel(subscriber.channel),
        follows=subscriber.follows_only or bool(follows),
    )
    return {"subscriber": subscriber, "form": form, "follows": follows, "way": ways.way_of(subscriber.channel)}


def _export(request: HttpRequest, subscriber: Subscriber, at: datetime) -> HttpResponse:
    """What we hold about them, as a file (GDPR 15, 20)."""
    response = JsonResponse(disclosure.held(subscriber), json_dumps_params={"indent": 2, "ensure_ascii": False})
    response.headers["Content-Disposition"] = f'attachment; filename="subscription-{at:%Y%m%d}.json"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _explain_erasure(request: HttpRequest, subscriber: Subscriber, at: datetime) -> HttpResponse:
    """With what stays because others may need it: the owner of a webhook is not always a person."""
    owned = [each for each in subscriptions.subscribed_at(Channel.EMAIL, subscriber.address) if each != subscriber]
    return _show(request, "erase", subscriber=subscriber, owned=owned)


def _erase(request: HttpRequest, subscriber: Subscriber, at: datetime) -> HttpResponse:
    subscriptions.erase(subscriber, by=None, at=at)
    return _show(request, "erased")


def _leave(request: HttpRequest, subscriber: Subscriber, at: datetime) -> Subscriber:
    return subscriptions.unsubscribe(subscriber, at=at)


def _rejoin(request: HttpRequest, subscriber: Subscriber, at: datetime) -> Subscriber:
    if subscriber.channel == Channel.WEBHOOK:
        raise subscriptions.NotAllowed("A webhook begins again on its own page.")
    return subscriptions.rejoin(subscriber, at=at)


def _stop(request: HttpRequest, subscriber: Subscriber, at: datetime) -> Subscriber:
    return subscriptions.stop_following(subscriber, request.POST.get("lane", "").replace("\0", ""), at=at)


#: Buttons of the settings that lead to a page of their own, and those that change something, with what is said then.
_PAGES = {"export": _export, "erase": _explain_erasure, "erase for good": _erase}
_CHANGES = {"leave": (_leave, "left"), "rejoin": (_rejoin, "back"), "stop": (_stop, "stopped")}


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
    """A choice in words for a page; no ``components`` means all of them, ``only`` those incidents and nothing else.

    ``also``: incidents that are followed beside that.
    """
    kinds = {"incidents": subscriber.wants_incidents, "planned maintenance": subscriber.wants_maintenance}
    follows = list(subscriber.follows.order_by("pk"))
    return {
        "only": [follow.name for follow in follows] if subscriber.follows_only else [],
        "also": [] if subscriber.follows_only else [follow.name for follow in follows if follow.since],
        "kinds": [kind for kind, wanted in kinds.items() if wanted],
        "components": [] if subscriber.all_topics else list(subscriber.topics.values_list("name", flat=True)),
        "severity": next(label for rank, label, _ in RANKS if rank == str(subscriber.least_rank)),
        "when": moment_of(subscriber),
    }


def _show(request: HttpRequest, page: str, status: int = 200, **context: Any) -> HttpResponse:
    brand = Brand.objects.filter(is_default=True).first()
    return render(request, f"notifications/pages/{page}.html", {"brand": brand, **context}, status=status)
