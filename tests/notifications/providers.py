"""Mail providers as they answer: what each says when all is well, and mail to hand them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from pytest_django import Settings

from notifications.channels import provider
from notifications.channels.port import Answer
from notifications.compiler import Mould, mould
from notifications.models import Announcement
from notifications.queue import Item
from tests.notifications.api import Api, Call, Says
from tests.notifications.news import news, reader

KEY = "key-that-nobody-may-read"
ANN = "ann@example.org"
#: By provider: what it says when it took the mail, its id of it, and its settings.
FINE: dict[str, tuple[Any, str, dict[str, str]]] = {
    "brevo": ({"messageId": "<br-1@x>"}, "<br-1@x>", {"BREVO_API_KEY": KEY}),
    "mailersend": (b"", "ms-1", {"MAILERSEND_API_TOKEN": KEY}),
    "mailgun": ({"id": "<mg-1@x>", "message": "Queued. Thank you."}, "<mg-1@x>", {"MAILGUN_API_KEY": KEY}),
    "mailjet": (
        {"Messages": [{"Status": "success", "To": [{"Email": ANN, "MessageID": 5}]}]},
        "5",
        {"MAILJET_API_KEY": KEY, "MAILJET_SECRET_KEY": KEY},
    ),
    "mailtrap": ({"success": True, "message_ids": ["mt-1"]}, "mt-1", {"MAILTRAP_API_TOKEN": KEY}),
    "mandrill": ([{"email": ANN, "status": "sent", "_id": "md-1"}], "md-1", {"MANDRILL_API_KEY": KEY}),
    "postal": ({"status": "success", "data": {"messages": {ANN: {"id": 9}}}}, "9", {"POSTAL_API_KEY": KEY}),
    "postmark": (
        {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": ANN},
        "pm-1",
        {"POSTMARK_SERVER_TOKEN": KEY},
    ),
    "resend": ({"id": "re-1"}, "re-1", {"RESEND_API_KEY": KEY}),
    "scaleway": (
        {"emails": [{"mail_rcpt": ANN, "id": "sw-1", "status": "new"}]},
        "sw-1",
        {"SCALEWAY_SECRET_KEY": KEY, "SCALEWAY_PROJECT_ID": "project"},
    ),
    "sendgrid": (b"", "", {"SENDGRID_API_KEY": KEY, "SENDGRID_GENERATE_MESSAGE_ID": ""}),
    "sparkpost": (
        {"results": {"total_accepted_recipients": 1, "total_rejected_recipients": 0, "id": "sp-1"}},
        "sp-1",
        {"SPARKPOST_API_KEY": KEY},
    ),
    "unisender_go": (
        {"status": "success", "job_id": "ug-1", "emails": [ANN]},
        "ug-1",
        {"UNISENDER_GO_API_KEY": KEY, "UNISENDER_GO_GENERATE_MESSAGE_ID": ""},
    ),
}

Mail = tuple[Item, bytes, Mould]


def fine(name: str) -> Says:
    html = {"Content-Type": "text/html", "X-Message-Id": "ms-1"}
    return Says(200, FINE[name][0], html if name == "mailersend" else {})


@contextmanager
def serving(settings: Settings, name: str, answer: Callable[[Call], Says] | None = None) -> Iterator[Api]:
    """Mail goes to this provider, which takes everything or answers as told."""
    with Api(answer or (lambda _: fine(name))) as api:
        settings.MAIL_PROVIDER = name
        settings.ANYMAIL = FINE[name][2] | {f"{name.upper()}_API_URL": api.url}
        settings.MAIL_PROVIDER_TIMEOUTS = {"connect": 1.0, "answer": 1.0}
        yield api


def ready(announcement: Announcement | None = None, *, name: str = "ann", receipt: str = "") -> Mail:
    """One mail to Ann, as delivery hands it to a wire."""
    person, announcement = reader(name), announcement or news()
    made = mould(announcement.pk, "en")
    whom = (person.address, person.public_id.bytes, 0, "en")
    item = Item(7, 1, announcement.pk, "email", *whom, 0, 0, "", False, receipt)
    return item, made.fill(item), made


def hand_over(wire: provider.Wire, mail: Mail, seconds: float = 20.0) -> Answer:
    item, message, made = mail
    return wire.send(item, message, made, deadline=time.monotonic() + seconds)


def post(mail: Mail, seconds: float = 20.0) -> Answer:
    """By a wire of its own."""
    with closing(provider.Wire()) as wire:
        return hand_over(wire, mail, seconds)
