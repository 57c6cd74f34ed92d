"""Where Twilio calls us: what became of a text, and what people text back (R-802, R-806, S19, S22).

Nothing is believed without Twilio's signature over the address we gave it and every field; a body
larger than any text is not even read. A call that comes again gets the same answer and changes nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from notifications import callbacks, keywords, limits, measures, optouts, receipts_twilio, suppression
from notifications.enums import Channel
from notifications.keywords import Word
from notifications.models import Brand, Delivery, Receipt, Subscriber

log = logging.getLogger(__name__)

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

#: Of what Twilio sends nothing comes near this.
LARGEST = 16_384
#: Two machines that answer each other stop here (S19).
REPLIES_A_DAY, DAY = 5, timedelta(days=1)
_WHATSAPP = "whatsapp:"
_NUMBER = re.compile(r"\+[1-9]\d{4,14}", re.ASCII)
_SID = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)


def signed_by_twilio(view: View[P]) -> View[P]:
    """Lets only Twilio in: 404 where it is not set up, 413 for what is too large, 403 for any other signature."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        twilio = settings.TWILIO
        if not twilio["account_sid"] or not twilio["auth_token"]:
            return HttpResponse(status=404)
        # Before anything of it is read.
        if measures.is_larger(request, LARGEST):
            return HttpResponse(status=413)
        # The address as we gave it to Twilio: what a request says of its own host proves nothing (S14).
        url = f"{settings.SITE_URL}{request.get_full_path()}"
        signature = request.headers.get("X-Twilio-Signature", "")
        genuine = RequestValidator(twilio["auth_token"]).validate(url, request.POST, signature)
        if not genuine or request.POST.get("AccountSid") != twilio["account_sid"]:
            log.info("A call that says it is Twilio's is not.")
            return HttpResponse(status=403)
        return view(request, *args, **kwargs)

    return csrf_exempt(require_POST(guarded))


@signed_by_twilio
def status(request: HttpRequest, name: str) -> HttpResponse:
    """What became of one text."""
    try:
        named = callbacks.read(name)
    except callbacks.BadName:
        return HttpResponse(status=404)
    sid, word = request.POST.get("MessageSid", ""), request.POST.get("MessageStatus", "")
    if not _SID.fullmatch(sid) or not _SID.fullmatch(word):
        return HttpResponse(status=400)
    code = measures.number(request.POST.get("ErrorCode", "")) or 0
    receipts_twilio.hear(named, sid, word, code, at=timezone.now())
    return HttpResponse(status=204)


@signed_by_twilio
def texts(request: HttpRequest) -> HttpResponse:
    """Somebody texted us: STOP, START, HELP, or something for a person to read."""
    sid, sender = request.POST.get("MessageSid", ""), request.POST.get("From", "")
    number = sender.removeprefix(_WHATSAPP)
    if not _SID.fullmatch(sid) or not _NUMBER.fullmatch(number):
        # Short codes and names cannot be answered, and subscribe to nothing.
        return _twiml("")
    channel = Channel.WHATSAPP if sender.startswith(_WHATSAPP) else Channel.SMS
    said = request.POST.get("Body", "").replace("\0", "")
    handled = settings.TWILIO["answers_keywords"] or bool(request.POST.get("OptOutType"))
    reply = answer(channel, number, said, sid, speaks=not handled, at=timezone.now())
    return _twiml(reply)


@transaction.atomic
def answer(channel: str, number: str, said: str, sid: str, *, speaks: bool, at: datetime) -> str:
    """Do what a text asks for, once, and return the words to text back ("": none).

    ``sid`` is Twilio's id of it: heard again, it gets the same words. ``speaks``: False where Twilio
    answers keywords itself.
    """
    word = keywords.meaning(said)
    note, new = Receipt.objects.get_or_create(
        source=receipts_twilio.TEXTS,
        event=sid,
        defaults={"word": word.value, "delivery": _last(channel, number), "at": at},
    )
    if not new:
        return note.detail if word in _ACTS else ""
    if word not in _ACTS:
        # For a person: perhaps they leave in words of their own.
        note.detail = said[:300]
        note.save(update_fields=["detail"])
        if word is Word.LEAVING:
            log.warning("Somebody texted what sounds like leaving: see receipt %d.", note.pk)
        return ""
    reply = _ACTS[word](channel, number, _brand(note), at)
    allowed = speaks and reply and limits.take("reply by text", number, most=REPLIES_A_DAY, per=DAY, at=at)
    note.detail = reply[:300] if allowed else ""
    note.save(update_fields=["detail"])
    return note.detail


def _stop(channel: str, number: str, brand: Brand | None, at: datetime) -> str:
    """One confirmation, however often it is said."""
    if not optouts.stop(number, at=at):
        return ""
    return f"{_name(brand)}: you get no more texts from us. Reply START to get them again."


def _start(channel: str, number: str, brand: Brand | None, at: datetime) -> str:
    if optouts.start(number, channel, at=at):
        return f"{_name(brand)}: you get our status updates. Reply STOP to end, HELP for help."
    return f"{_name(brand)}: you are not subscribed. Sign up at {settings.SITE_URL}/subscribe"


def _help(channel: str, number: str, brand: Brand | None, at: datetime) -> str:
    support = f" Help: {brand.support_email}." if brand else ""
    way = "Reply START to get texts" if suppression.stopped(number) else "Reply STOP to end"
    return f"{_name(brand)} status updates, as often as something breaks.{support} {way}."


_ACTS: dict[Word, Callable[[str, str, Brand | None, datetime], str]] = {
    Word.STOP: _stop,
    Word.START: _start,
    Word.HELP: _help,
}


def _last(channel: str, number: str) -> Delivery | None:
    """What we texted them last: the text they probably answer."""
    sent = Delivery.objects.filter(channel=channel, sent_at__isnull=False).order_by("-pk")
    person = Subscriber.objects.filter(channel=channel, address=number).values_list("pk", flat=True).first()
    news = sent.filter(subscriber=person).first() if person else None
    return news or sent.filter(address=number).first()


def _brand(note: Receipt) -> Brand | None:
    if note.delivery is not None:
        return note.delivery.announcement.brand
    return Brand.objects.filter(is_default=True).first()


def _name(brand: Brand | None) -> str:
    return brand.name if brand else "Status updates"


def _twiml(reply: str) -> HttpResponse:
    response = MessagingResponse()
    if reply:
        response.message(reply)
    return HttpResponse(str(response), content_type="text/xml")
