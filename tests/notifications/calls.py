"""Calls of mail providers about mail they took: each in its own shape, each proven in its own way (R-806)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from standardwebhooks.webhooks import Webhook

SECRET = "heliograph:a-long-webhook-password"
BASIC = {"Authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()}
SIGNING_KEY = "key-of-our-account"
SVIX = "whsec_" + base64.b64encode(b"a secret of 24 bytes ...").decode()
_EC = ec.generate_private_key(ec.SECP256R1())
_PEM = (
    _EC.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)

#: What verifies each provider's calls.
SETTINGS: dict[str, dict[str, str]] = {
    "amazon_ses": {"WEBHOOK_SECRET": SECRET},
    "brevo": {"WEBHOOK_SECRET": SECRET},
    "mailgun": {"MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY},
    "mailjet": {"WEBHOOK_SECRET": SECRET},
    "mandrill": {"MANDRILL_WEBHOOK_KEY": SIGNING_KEY},
    "postmark": {"WEBHOOK_SECRET": SECRET},
    "resend": {"RESEND_SIGNING_SECRET": SVIX},
    "sendgrid": {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": "".join(_PEM.splitlines()[1:-1])},
    "sparkpost": {"WEBHOOK_SECRET": SECRET},
}


class Call(NamedTuple):
    body: bytes
    headers: dict[str, str]
    content_type: str = "application/json"


class About(NamedTuple):
    """The message: our name for it, the provider's id, whom it went to."""

    name: str
    receipt: str
    address: str
    at: int = 1_790_000_000


def post(esp: str, call: Call) -> int:
    client = Client(enforce_csrf_checks=True)
    answer = client.post(f"/hooks/mail/{esp}/", call.body, content_type=call.content_type, headers=call.headers)
    return answer.status_code


def as_json(told: Any) -> bytes:
    return json.dumps(told).encode()


def _iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def postmark(word: str, about: About) -> Call:
    told: dict[str, Any] = {"MessageID": about.receipt, "Metadata": {"delivery": about.name} if about.name else {}}
    bounce = {"Email": about.address, "BouncedAt": _iso(about.at), "ID": about.at}
    told |= {
        "delivered": {"RecordType": "Delivery", "Recipient": about.address, "DeliveredAt": _iso(about.at)},
        "hard": {"RecordType": "Bounce", "Type": "HardBounce", "Details": "smtp;550 5.1.1 no such user"} | bounce,
        "soft": {"RecordType": "Bounce", "Type": "SoftBounce", "Details": "smtp;452 4.2.2 mailbox full"} | bounce,
        "policy": {"RecordType": "Bounce", "Type": "Blocked", "Details": "smtp;550 5.7.1 blocked"} | bounce,
        "complaint": {"RecordType": "SpamComplaint", "Type": "SpamComplaint"} | bounce,
        "open": {"RecordType": "Open", "Recipient": about.address, "ReceivedAt": _iso(about.at)},
    }[word]
    return Call(as_json(told), BASIC)


def mailgun(word: str, about: About) -> Call:
    event = {
        "delivered": {"event": "delivered"},
        "hard": {
            "event": "failed",
            "severity": "permanent",
            "reason": "bounce",
            "delivery-status": {"code": 550, "message": "5.1.1 no such user"},
        },
        "soft": {"event": "failed", "severity": "temporary", "delivery-status": {"code": 452, "message": "4.2.2 full"}},
        "policy": {
            "event": "failed",
            "severity": "permanent",
            "reason": "generic",
            "delivery-status": {"code": 550, "message": "5.7.1 blocked"},
        },
        "complaint": {"event": "complained"},
        "open": {"event": "opened"},
    }[word]
    event |= {
        "recipient": about.address,
        "timestamp": float(about.at),
        "message": {"headers": {"message-id": about.receipt.strip("<>")}},
        "user-variables": {"delivery": about.name} if about.name else {},
    }
    token = hashlib.sha256(f"{word}{about}".encode()).hexdigest()[:50]
    signature = hmac.new(SIGNING_KEY.encode(), f"{about.at}{token}".encode(), "sha256").hexdigest()
    signed = {"timestamp": str(about.at), "token": token, "signature": signature}
    return Call(as_json({"signature": signed, "event-data": event}), {})


def sendgrid(word: str, about: About) -> Call:
    event = {
        "delivered": {"event": "delivered", "response": "250 OK"},
        "hard": {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"},
        "soft": {"event": "deferred", "response": "452 4.2.2 mailbox full"},
        "policy": {"event": "bounce", "type": "bounce", "status": "5.7.1", "reason": "550 5.7.1 blocked"},
        "complaint": {"event": "spamreport"},
        "open": {"event": "open"},
    }[word]
    event |= {"email": about.address, "timestamp": about.at, "anymail_id": about.receipt}  # type: ignore[dict-item]
    event |= {"sg_event_id": f"{word}-{about.receipt}"} | ({"delivery": about.name} if about.name else {})
    body, stamp = as_json([event]), str(about.at)
    signature = base64.b64encode(_EC.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    prefix = "X-Twilio-Email-Event-Webhook"
    return Call(body, {f"{prefix}-Signature": signature, f"{prefix}-Timestamp": stamp})


def resend(word: str, about: About) -> Call:
    told, data = {
        "delivered": ("email.delivered", {}),
        "hard": (
            "email.bounced",
            {"bounce": {"type": "Permanent", "subType": "General", "message": "hard bounce message"}},
        ),
        "soft": ("email.delivery_delayed", {}),
        "policy": ("email.bounced", {"bounce": {"type": "Undetermined", "subType": "Undetermined", "message": "?"}}),
        "complaint": ("email.complained", {}),
        "open": ("email.opened", {}),
    }[word]
    headers = [{"name": "X-Metadata", "value": json.dumps({"delivery": about.name})}] if about.name else []
    data = {"email_id": about.receipt, "to": [about.address], "headers": headers} | data  # type: ignore[operator]
    body = as_json({"type": told, "created_at": _iso(about.at), "data": data})
    event, stamp = f"msg_{word}_{about.receipt}", int(time.time())
    signature = Webhook(SVIX).sign(event, _moment(stamp), body.decode())
    return Call(body, {"svix-id": event, "svix-timestamp": str(stamp), "svix-signature": signature})


def brevo(word: str, about: About) -> Call:
    event = {
        "delivered": {"event": "delivered"},
        "hard": {"event": "hard_bounce", "reason": "550 5.1.1 no such user"},
        "soft": {"event": "soft_bounce", "reason": "452 4.2.2 mailbox full"},
        "policy": {"event": "blocked", "reason": "550 5.7.1 blocked"},
        "complaint": {"event": "spam"},
        "open": {"event": "opened"},
    }[word]
    event |= {"email": about.address, "message-id": about.receipt, "ts_epoch": about.at * 1000}  # type: ignore[dict-item]
    if about.name:
        event |= {"X-Mailin-custom": json.dumps({"delivery": about.name})}
    return Call(as_json(event), BASIC)


def amazon_ses(word: str, about: About) -> Call:
    bounced = [{"emailAddress": about.address, "diagnosticCode": "smtp; 550 5.1.1 no such user"}]
    full = [{"emailAddress": about.address, "diagnosticCode": "smtp; 452 4.2.2 mailbox full"}]
    blocked = [{"emailAddress": about.address, "diagnosticCode": "smtp; 550 5.7.1 blocked"}]
    kind, told = {
        "delivered": ("Delivery", {"recipients": [about.address], "smtpResponse": "250 ok"}),
        "hard": ("Bounce", {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": bounced}),
        "soft": ("Bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull", "bouncedRecipients": full}),
        "policy": ("Bounce", {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": blocked}),
        "complaint": ("Complaint", {"complainedRecipients": [{"emailAddress": about.address}]}),
        "open": ("Open", {"ipAddress": "192.0.2.1", "userAgent": "Mail"}),
    }[word]
    headers = [{"name": "X-Metadata", "value": json.dumps({"delivery": about.name})}] if about.name else []
    mail = {"messageId": about.receipt, "destination": [about.address], "headers": headers}
    event = {"eventType": kind, "mail": mail, kind.lower(): told}
    sns = {"Type": "Notification", "MessageId": f"{word}-{about.receipt}", "Message": json.dumps(event)}
    sns |= {"Timestamp": _iso(about.at)}
    headers_of = {"x-amz-sns-message-type": "Notification", "x-amz-sns-message-id": sns["MessageId"]}
    return Call(as_json(sns), BASIC | headers_of, "text/plain; charset=UTF-8")


def mailjet(word: str, about: About) -> Call:
    event = {
        "delivered": {"event": "sent", "smtp_reply": "250 ok"},
        "hard": {"event": "bounce", "hard_bounce": True, "error": "user unknown", "error_related_to": "recipient"},
        "soft": {"event": "bounce", "hard_bounce": False, "error": "quota exceeded", "error_related_to": "recipient"},
        "policy": {"event": "blocked", "error": "content blocked", "error_related_to": "spam"},
        "complaint": {"event": "spam"},
        "open": {"event": "open"},
    }[word]
    event |= {"email": about.address, "MessageID": about.receipt, "time": about.at}
    if about.name:
        event |= {"Payload": json.dumps({"delivery": about.name})}
    return Call(as_json([event]), BASIC)


def mandrill(word: str, about: About) -> Call:
    kind = {"delivered": "send", "hard": "hard_bounce", "soft": "soft_bounce", "complaint": "spam"}
    diagnosis = {"hard": "smtp;550 5.1.1 no such user", "soft": "smtp;452 4.2.2 mailbox full"}
    kind |= {"policy": "reject", "open": "open"}
    message = {"email": about.address, "metadata": {"delivery": about.name} if about.name else {}}
    event = {"event": kind[word], "_id": about.receipt, "ts": about.at, "msg": message | {"diag": diagnosis.get(word)}}
    form = {"mandrill_events": json.dumps([event])}
    signed = f"http://testserver/hooks/mail/mandrill/mandrill_events{form['mandrill_events']}"
    signature = base64.b64encode(hmac.new(SIGNING_KEY.encode(), signed.encode(), "sha1").digest()).decode()
    return Call(urlencode(form).encode(), {"X-Mandrill-Signature": signature}, "application/x-www-form-urlencoded")


def sparkpost(word: str, about: About) -> Call:
    event: dict[str, Any] = {
        "delivered": {"type": "delivery"},
        "hard": {"type": "bounce", "bounce_class": "10", "raw_reason": "550 5.1.1 no such user"},
        "soft": {"type": "delay", "bounce_class": "22", "raw_reason": "452 4.2.2 mailbox full"},
        "policy": {"type": "bounce", "bounce_class": "50", "raw_reason": "550 5.7.1 blocked"},
        "complaint": {"type": "spam_complaint"},
        "open": {"type": "open"},
    }[word]
    event |= {"transmission_id": about.receipt, "event_id": f"{word}-{about.receipt}", "raw_rcpt_to": about.address}
    event |= {"timestamp": str(about.at), "rcpt_meta": {"delivery": about.name} if about.name else {}}
    return Call(as_json([{"msys": {"message_event": event}}]), BASIC)


PROVIDERS: dict[str, Callable[[str, About], Call]] = {
    "amazon_ses": amazon_ses,
    "brevo": brevo,
    "mailgun": mailgun,
    "mailjet": mailjet,
    "mandrill": mandrill,
    "postmark": postmark,
    "resend": resend,
    "sendgrid": sendgrid,
    "sparkpost": sparkpost,
}


def _moment(stamp: int) -> Any:
    return datetime.fromtimestamp(stamp, UTC)
