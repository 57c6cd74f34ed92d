"""Where mail providers call us: what became of the mail they took (R-806, S22).

Each call is verified and read by django-anymail, one provider after the ways of another, and nothing
is believed that it could not verify: a provider whose calls are neither signed nor carry our secret is
not listened to at all. Who opened a mail and who clicked is nobody's business: it is not written down.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from typing import Any

from anymail.exceptions import AnymailError, AnymailWebhookValidationFailure
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from anymail.webhooks.resend import ResendTrackingWebhookView
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from notifications import measures, receipts, whose
from notifications.channels.email import refused_for_good
from notifications.enums import Channel
from notifications.receipts import Heard

log = logging.getLogger(__name__)

#: Providers send a few hundred events at once, at most.
LARGEST = 1_000_000
#: By provider: the class of ``anymail.webhooks`` that reads its calls.
READERS = {
    "amazon_ses": "AmazonSESTrackingWebhookView",
    "brevo": "BrevoTrackingWebhookView",
    "mailersend": "MailerSendTrackingWebhookView",
    "mailgun": "MailgunTrackingWebhookView",
    "mailjet": "MailjetTrackingWebhookView",
    "mailtrap": "MailtrapTrackingWebhookView",
    "mandrill": "MandrillCombinedWebhookView",
    "postal": "PostalTrackingWebhookView",
    "postmark": "PostmarkTrackingWebhookView",
    "resend": "ResendTrackingWebhookView",
    "sendgrid": "SendGridTrackingWebhookView",
    "sparkpost": "SparkPostTrackingWebhookView",
    "unisender_go": "UnisenderGoTrackingWebhookView",
}
#: What a body may do to whoever reads it.
_UNREADABLE = (
    AnymailError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
#: Where providers say how bad a bounce is …
_KINDS = {"event", "type", "bouncetype", "bounce_type", "severity", "hard_bounce", "bounce_class", "bouncesubtype"}
#: … and in which words.
_HARD = ("hard", "permanent", "true")
_SOFT = ("soft", "transient", "temporary", "blocked", "undetermined", "false")


class SignedResend(ResendTrackingWebhookView):
    """Resend signs as Standard Webhooks do, under older names of headers: the library at hand checks that."""

    def __init__(self) -> None:
        super().__init__(signing_secret=None)
        self._secret = settings.ANYMAIL.get("RESEND_SIGNING_SECRET", "")
        self.warn_if_no_basic_auth = not self._secret

    def validate_request(self, request: HttpRequest) -> None:
        if not self._secret:
            return
        named = {
            f"webhook-{part}": request.headers.get(f"svix-{part}", "") for part in ("id", "timestamp", "signature")
        }
        try:
            Webhook(self._secret).verify(request.body, named)
        except (WebhookVerificationError, ValueError) as error:
            raise AnymailWebhookValidationFailure("The signature is not Resend's.") from error


@csrf_exempt
@require_http_methods(["POST", "HEAD"])
def hear(request: HttpRequest, esp: str) -> HttpResponse:
    """One call of a provider: 404 for nobody's name, 413 for what is too large, 403 for what is not verified,
    400 for what nobody can read. Called again it answers the same and changes nothing."""
    if esp not in READERS:
        return HttpResponse(status=404)
    if measures.is_larger(request, LARGEST):
        return HttpResponse(status=413)
    reader = _reader(esp)
    if reader is None:
        return HttpResponse(status=403)
    if request.method == "HEAD":
        return HttpResponse()
    try:
        reader.setup(request)
        reader.run_validators(request)
        events = reader.parse_events(request)
    except AnymailWebhookValidationFailure:
        log.info("A call that says it is %s's is not.", esp)
        return _unverified(request)
    except ImproperlyConfigured as error:
        log.warning("%s calls us, but is not set up: %s", esp, str(error).splitlines()[0])
        return HttpResponse(status=403)
    except _UNREADABLE as error:
        log.warning("A call of %s cannot be read: %s", esp, type(error).__name__)
        return HttpResponse(status=400)
    for event in events:
        _hear(esp, event)
    return HttpResponse()


def _reader(esp: str) -> Any:
    """Who verifies and reads the calls of a provider; None where it is not set up, or would verify nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader = SignedResend() if esp == "resend" else import_string(f"anymail.webhooks.{esp}.{READERS[esp]}")()
        except (ImproperlyConfigured, ImportError, ValueError) as error:
            log.warning("%s calls us, but is not set up: %s", esp, str(error).splitlines()[0])
            return None
    if reader.warn_if_no_basic_auth and not reader.basic_auth:
        log.warning("%s calls us, but nothing proves that it does: ANYMAIL_WEBHOOK_SECRET is not set.", esp)
        return None
    return reader


def _unverified(request: HttpRequest) -> HttpResponse:
    if request.headers.get("Authorization"):
        return HttpResponse(status=403)
    # Some name themselves only when they are asked to.
    return HttpResponse(status=401, headers={"WWW-Authenticate": 'Basic realm="Heliograph"'})


def _hear(esp: str, event: AnymailTrackingEvent) -> None:
    at = timezone.now()
    heard = Heard(
        source=esp,
        event=_id(event),
        word=_word(event),
        delivery=_whose(event, at),
        at=at,
        detail=_detail(event),
    )
    match event.event_type:
        case EventType.QUEUED | EventType.SENT:
            receipts.accepted(heard)
        case EventType.DELIVERED:
            receipts.delivered(heard)
        case EventType.DEFERRED:
            receipts.note(heard)
        case EventType.BOUNCED:
            _hear_of_a_bounce(heard, event)
        case EventType.REJECTED:
            _hear_of_a_refusal(heard, event)
        case EventType.FAILED:
            receipts.failed(heard)
        case EventType.COMPLAINED:
            receipts.complained(heard)
        case EventType.UNSUBSCRIBED:
            receipts.left(heard)


def _hear_of_a_bounce(heard: Heard, event: AnymailTrackingEvent) -> None:
    """For good, final for this message, or only a difficulty: by the code of the far end, and the provider's word."""
    kinds = " ".join(_kinds(event.esp_event)).lower()
    soft, hard = (any(word in kinds for word in words) for words in (_SOFT, _HARD))
    by_code = refused_for_good(heard.detail)
    if by_code is False and not soft:
        receipts.returned(heard)
    else:
        receipts.bounced(heard, for_good=not soft and (hard or by_code is True))


def _hear_of_a_refusal(heard: Heard, event: AnymailTrackingEvent) -> None:
    """The provider did not even try, mostly because of what it remembers of the address."""
    match event.reject_reason:
        case RejectReason.BOUNCED | RejectReason.INVALID:
            receipts.bounced(heard, for_good=True)
        case RejectReason.SPAM:
            receipts.complained(heard)
        case RejectReason.UNSUBSCRIBED:
            receipts.left(heard)
        case _:
            receipts.returned(heard)


def _whose(event: AnymailTrackingEvent, at: Any) -> int | None:
    besides = event.metadata if isinstance(event.metadata, dict) else {}
    if (found := whose.named([str(besides.get("delivery", ""))])) is not None:
        return found
    quoted = _plain(event.message_id)
    return receipts.by_receipt(Channel.EMAIL, quoted) or whose.identified(quoted, _plain(event.recipient), at=at)


def _id(event: AnymailTrackingEvent) -> str:
    """The provider's id of an event; where it has none, what makes it the same event."""
    if event.event_id:
        return f"{event.event_type}:{_plain(event.event_id)}"
    same = (event.event_type, event.message_id, event.recipient, event.timestamp, _word(event))
    return hashlib.sha256(repr(same).encode()).hexdigest()


def _word(event: AnymailTrackingEvent) -> str:
    """In the provider's own word."""
    raw = event.esp_event if isinstance(event.esp_event, dict) else {}
    inner = raw.get("event-data") or raw.get("msys") or raw
    for name in ("event", "RecordType", "type", "eventType", "notificationType"):
        if isinstance(word := inner.get(name), str):
            return _plain(word)
    return str(event.event_type)


def _detail(event: AnymailTrackingEvent) -> str:
    return _plain(event.mta_response or event.description or event.reject_reason)


def _plain(words: Any) -> str:
    """On one line, without what no database can hold: refused with 500 it would be called in for days."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(words or "")).split())


def _kinds(raw: Any, depth: int = 0) -> list[str]:
    """Every word of an event that says how bad it is."""
    if not isinstance(raw, dict) or depth > 3:
        return []
    words = [str(value) for name, value in raw.items() if str(name).lower() in _KINDS and not isinstance(value, dict)]
    return words + [word for value in raw.values() for word in _kinds(value, depth + 1)]
