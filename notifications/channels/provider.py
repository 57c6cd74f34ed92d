"""E-mail through a provider's API instead of a relay, over django-anymail (R-801): SMTP's wire with another end.

One call per mail over a kept session. The message is the compiled one, taken apart again for the
API: the same words and headers for every copy. A call that broke after it left is in doubt; where
the provider takes a key for each message it drops the second copy itself (reliability.md 3.2 no. 10).
"""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, cast

import requests
from anymail.backends.base import BasePayload
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils.module_loading import import_string

from notifications import closing, verp
from notifications.channels.answers import short, sort_error
from notifications.channels.port import Answer, Mould, Outage, Verdict
from notifications.queue import Item

#: What MAIL_PROVIDER may name: modules of ``anymail.backends``.
PROVIDERS = (
    "amazon_ses",
    "brevo",
    "mailersend",
    "mailgun",
    "mailjet",
    "mailtrap",
    "mandrill",
    "postal",
    "postmark",
    "resend",
    "scaleway",
    "sendgrid",
    "sparkpost",
    "unisender_go",
)
#: Who takes a key for each message, and drops a second one with the same key.
_TAKES_KEYS = ("brevo", "resend")
#: Fields of the API, not of its list of headers; MIME's own are made anew.
_FIELDS = {"from", "to", "reply-to", "subject", "mime-version", "content-type", "content-transfer-encoding"}
#: Headers a provider insists on writing itself: it refuses a call that names them.
_NOT_OURS = {"mailjet": {"date", "message-id"}}
#: Without it the provider writes a Message-ID of its own.
_BESIDES = {"postmark": {"X-PM-KeepID": "true"}}
#: No answer is longer.
_MAX_ANSWER = 256 * 1024
#: A provider that asks for no more than these seconds is waited for: it has taken nothing yet.
_PATIENCE = 5.0


class Wire:
    """One session with the provider that ``settings.MAIL_PROVIDER`` names, with at most one call in flight."""

    def __init__(self) -> None:
        self._provider: str = settings.MAIL_PROVIDER
        self._backend: Any = None
        self._session: _Session | None = None
        #: What the provider can be told besides: not to count who opens and clicks, and our name for the message.
        self._unwatched: dict[str, bool] = {}
        self._names = False

    def open(self) -> None:
        """Make the session; the first call connects. Raises Outage."""
        if self._backend is not None:
            return
        try:
            backend = _backend(self._provider)
            backend.open()
        except Exception as error:  # whatever a provider's library finds wrong with its settings
            raise Outage(f"The mail provider is not set up: {short(error)}", ours=True) from error
        if isinstance(getattr(backend, "session", None), requests.Session):
            backend.session = self._session = _Session(backend.session)
        self._unwatched = {name: False for name in ("track_opens", "track_clicks") if _offers(backend, name)}
        self._names = _offers(backend, "metadata")
        self._backend = backend

    def send(self, item: Item, message: bytes, mould: Mould, *, deadline: float) -> Answer:
        """Hand one message over. A provider that asks for a moment's patience gets it. Raises Outage."""
        self.open()
        mail, key = self._mail(item, message)
        while True:
            answer = self._post(mail, key, deadline)
            wait = answer.wait if answer.verdict is Verdict.LATER else None
            if wait is None or wait > _PATIENCE or time.monotonic() + wait > deadline - _PATIENCE or closing.stopping():
                return answer
            time.sleep(wait)

    def close(self) -> None:
        backend, self._backend, self._session = self._backend, None, None
        if backend is not None:
            with contextlib.suppress(Exception):
                backend.close()

    def _post(self, mail: EmailMultiAlternatives, key: str, deadline: float) -> Answer:
        self.open()
        if self._session is not None:
            self._session.deadline = deadline
            if self._provider == "resend":
                self._session.headers["Idempotency-Key"] = key
        try:
            self._backend.send_messages([mail])
        except Exception as error:  # its libraries raise what they like; sorted by what had left
            try:
                answer = sort_error(error, drops_copies=self._provider in _TAKES_KEYS)
            except Outage:
                self.close()
                raise
            if answer.verdict is Verdict.DOUBT:
                # The session may be in any state.
                self.close()
            return answer
        return _said(mail)

    def _mail(self, item: Item, message: bytes) -> tuple[EmailMultiAlternatives, str]:
        """The compiled message as the API takes it, and the key by which the provider knows a second copy."""
        parsed = message_from_bytes(message, policy=SMTP)
        dropped = _FIELDS | _NOT_OURS.get(self._provider, set())
        headers = {name: str(value) for name, value in parsed.items() if name.lower() not in dropped}
        headers |= _BESIDES.get(self._provider, {})
        key = _key(str(parsed["Message-ID"]), item.receipt)
        if self._provider == "brevo":
            headers["idempotencyKey"] = str(uuid.uuid5(uuid.NAMESPACE_OID, key))
        mail = EmailMultiAlternatives(
            subject=str(parsed["Subject"]),
            body=_content(parsed, "plain"),
            from_email=str(parsed["From"]),
            to=[item.address],
            reply_to=[str(parsed["Reply-To"])],
            headers=headers,
            alternatives=[(_content(parsed, "html"), "text/html")],
        )
        named = {"metadata": {"delivery": verp.name(item.id)}} if self._names else {}
        for name, value in (self._unwatched | named).items():
            setattr(mail, name, value)
        return mail, key


class _Session(requests.Session):
    """Calls end at ``deadline``, follow no redirect, and read no more than an answer can hold."""

    def __init__(self, like: requests.Session) -> None:
        super().__init__()
        self.headers = like.headers
        self.deadline = 0.0

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        left = max(0.1, self.deadline - time.monotonic())
        limits = settings.MAIL_PROVIDER_TIMEOUTS
        patience = (min(limits["connect"], left), min(limits["answer"], left))
        response = super().request(*args, **kwargs | {"timeout": patience, "stream": True, "allow_redirects": False})
        with contextlib.closing(response):
            response._content = b"".join(self._read(response))
        return response

    def _read(self, response: requests.Response) -> Iterator[bytes]:
        size = 0
        for piece in response.iter_content(16 * 1024):
            size += len(piece)
            if size > _MAX_ANSWER or time.monotonic() > self.deadline:
                raise requests.ReadTimeout("the answer does not end")
            yield piece


def off() -> str:
    """Why no mail can leave through the provider, in words for an operator; "" when it can. Asks no network."""
    if settings.MAIL_PROVIDER not in PROVIDERS:
        return f"MAIL_PROVIDER names “{settings.MAIL_PROVIDER}”, which is none of {', '.join(PROVIDERS)}."
    try:
        _backend(settings.MAIL_PROVIDER)
    except Exception as error:  # whatever a provider's library finds wrong with its settings
        return f"The mail provider is not set up: {short(error)}"
    return ""


def _key(message_id: str, receipt: str) -> str:
    """Our Message-ID; with the provider's id of a copy it had accepted when a person sends it once more."""
    ours = message_id.strip().strip("<>").partition("@")[0]
    return f"{ours}.{receipt}"[:256] if receipt else ours


def _said(mail: EmailMultiAlternatives) -> Answer:
    """What the provider said of the one recipient of a call that went well."""
    for recipient in cast(Any, mail).anymail_status.recipients.values():
        if recipient.status == "failed":
            return Answer(Verdict.LATER, "The mail provider says that sending failed.")
        return Answer(Verdict.ACCEPTED, receipt=str(recipient.message_id or "")[:120])
    return Answer(Verdict.ACCEPTED)


def _backend(provider: str) -> Any:
    with warnings.catch_warnings():
        # It warns whenever a provider is used that its authors no longer test; ``manage.py check`` says so once.
        warnings.simplefilter("ignore")
        return import_string(f"anymail.backends.{provider}.EmailBackend")(**_options(provider))


def _options(provider: str) -> dict[str, Any]:
    """boto3 would repeat a call by itself, after timeouts too: we count copies, it does not."""
    if provider != "amazon_ses":
        return {}
    params = dict(settings.ANYMAIL.get("AMAZON_SES_CLIENT_PARAMS", {}))
    limits = {
        "connect_timeout": settings.MAIL_PROVIDER_TIMEOUTS["connect"],
        "read_timeout": settings.MAIL_PROVIDER_TIMEOUTS["answer"],
        "retries": {"total_max_attempts": 1},
    }
    return {"client_params": params | {"config": dict(params.get("config", {})) | limits}}


def _offers(backend: Any, feature: str) -> bool:
    """Whether a provider can be told this: its payload writes it instead of refusing."""
    kinds = vars(sys.modules[type(backend).__module__]).values()
    payloads = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BasePayload)]
    return any(getattr(kind, f"set_{feature}") is not getattr(BasePayload, f"set_{feature}") for kind in payloads)


def _content(parsed: EmailMessage, kind: str) -> str:
    part = parsed.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""
