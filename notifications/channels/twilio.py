"""Texts by Twilio, through its official client: SMS, and WhatsApp over the same wire (R-801, F05).

Twilio knows no idempotency key, so what may have left is never sent again on a guess: every answer
is sorted by whether the text can have left, and the rest is found out afterwards (``reconcile``).
"""

from __future__ import annotations

import json
import logging
import math
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from django.conf import settings
from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import NewConnectionError

from notifications import callbacks
from notifications.channels import port
from notifications.channels.port import Answer, Outage, Verdict
from notifications.channels.twilio_codes import CODES, Fault, said
from notifications.enums import Channel
from notifications.queue import Item
from notifications.texts import TextMould

#: What the client would log of each request names people; nothing of it is kept (S30).
_nowhere = logging.Logger("nowhere", level=logging.CRITICAL)
#: A messaging service picks the sender itself.
SERVICE = "MG"
#: Seconds that Twilio keeps a text it cannot send yet, at least and at most.
SHORTEST_STAY, LONGEST_STAY = 10, 36_000
#: Nobody is asked to wait longer than this by a Retry-After.
LONGEST_WAIT = 3_600.0
_VERDICTS = {
    Fault.NUMBER: Verdict.BOUNCED,
    Fault.STOPPED: Verdict.BOUNCED,
    Fault.OURS: Verdict.OURS,
    Fault.LATER: Verdict.LATER,
    Fault.MESSAGE: Verdict.NEVER,
}


class Http(TwilioHttpClient):
    """The client's own HTTP, with deadlines, another address if need be, and the headers of the last answer."""

    def __init__(self) -> None:
        super().__init__(logger=_nowhere)
        self.headers: dict[str, str] = {}
        self.timeout: Any = (settings.TWILIO["connect_timeout"], settings.TWILIO["read_timeout"])

    def by(self, deadline: float) -> None:
        """The next request is over by then (``time.monotonic``)."""
        left = max(deadline - time.monotonic(), 0.05)
        self.timeout = (
            min(settings.TWILIO["connect_timeout"], left),
            min(settings.TWILIO["read_timeout"], left),
        )

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Response:
        base, asked = urlsplit(settings.TWILIO["api_base"]), urlsplit(url)
        moved = asked._replace(scheme=base.scheme, netloc=base.netloc, path=base.path + asked.path)
        answer = super().request(method, moved.geturl(), *args, **options)
        self.headers = dict(answer.headers or {})
        return answer


def connect(http: Http) -> Client:
    twilio = settings.TWILIO
    return Client(twilio["account_sid"], twilio["auth_token"], http_client=http)


class Wire:
    """One way to Twilio: for SMS, or for WhatsApp with addresses of its own."""

    def __init__(self, channel: Channel) -> None:
        self._prefix = "whatsapp:" if channel == Channel.WHATSAPP else ""
        self._http = Http()
        self._client = connect(self._http)

    def open(self) -> None:
        """Nothing to do: a connection is made with the first text."""

    def send(self, item: Item, message: bytes, mould: port.Mould, *, deadline: float) -> Answer:
        """Hand one text over. ``mould`` is ``texts.mould``'s. Raises Outage: no connection was made."""
        self._http.by(deadline)
        try:
            sent = self._client.messages.create(
                to=f"{self._prefix}{item.address}",
                status_callback=callbacks.url(item),
                **self._stay(cast(TextMould, mould)),
                **self._sender(),
                **self._body(message.decode()),
            )
        except (TwilioRestException, TwilioServiceException) as error:
            return self._refused(error)
        except requests.RequestException as error:
            return lost(error)
        except json.JSONDecodeError:
            return Answer(Verdict.DOUBT, "Twilio's answer was not understood; the text may have left.")
        if not sent.sid:
            return Answer(Verdict.DOUBT, "Twilio's answer has no id; the text may have left.")
        return Answer(Verdict.ACCEPTED, receipt=sent.sid)

    def close(self) -> None:
        self._http.session.close()

    def _stay(self, mould: TextMould) -> dict[str, int]:
        """How many seconds an SMS may wait at Twilio: as long as anybody wants to read it."""
        if self._prefix:
            return {}
        left = math.ceil((mould.expires_at - datetime.now(UTC)).total_seconds())
        return {"validity_period": max(SHORTEST_STAY, min(LONGEST_STAY, left))}

    def _sender(self) -> dict[str, str]:
        if self._prefix:
            number = settings.TWILIO["whatsapp_from"]
            return {"from_": number if number.startswith(self._prefix) else f"{self._prefix}{number}"}
        sender = settings.TWILIO["sms_from"]
        return {"messaging_service_sid": sender} if sender.startswith(SERVICE) else {"from_": sender}

    def _body(self, text: str) -> dict[str, str]:
        """WhatsApp takes words of ours unasked only inside a template that it approved."""
        template = settings.TWILIO["whatsapp_template"]
        if self._prefix and template:
            # Its variables hold one line.
            said_once = " ".join(text.split())
            return {"content_sid": template, "content_variables": json.dumps({"1": said_once})}
        return {"body": text}

    def _refused(self, error: TwilioRestException | TwilioServiceException) -> Answer:
        status, code = int(error.status), int(error.code or 0)
        if status >= 500:
            return Answer(Verdict.DOUBT, f"{status} Twilio failed; the text may have left.")
        if status == 429 or code in CODES:
            verdict = Verdict.LATER if status == 429 else _VERDICTS[CODES[code].fault]
            wait = _retry_after(self._http.headers) if verdict is Verdict.LATER else None
            return Answer(verdict, said(20429 if status == 429 else code), wait=wait)
        words = said(code or status, f"Twilio says: {_words(error)}")
        if status == 408:
            return Answer(Verdict.LATER, words)
        # Redirects and unknown addresses, too: what answers there is not Twilio, or does not know us.
        return Answer(Verdict.OURS if status < 400 or status in (401, 403, 404, 405, 407) else Verdict.NEVER, words)


def _words(error: TwilioRestException | TwilioServiceException) -> str:
    text = error.msg if isinstance(error, TwilioRestException) else error.detail or error.title
    plain = "".join(character if character.isprintable() else " " for character in str(text))
    return plain.removeprefix("Unable to create record: ").strip().rstrip(".")[:160] or "nothing"


def lost(error: requests.RequestException) -> Answer:
    """No answer came. Raises Outage when the request cannot have left; else nobody can know."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        raise Outage("No secure connection to Twilio: its certificate is not trusted.", ours=True) from error
    unconnected = (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError, NewConnectionError)
    if any(isinstance(cause, unconnected) for cause in causes):
        raise Outage(f"No connection to Twilio: {type(causes[-1]).__name__}.", ours=False) from error
    return Answer(Verdict.DOUBT, "No answer from Twilio; the text may have left.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what urllib3 says is behind it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        behind = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = behind if isinstance(behind, BaseException) else seen.__cause__


def _retry_after(headers: dict[str, str]) -> float | None:
    """Seconds, from a number or a date; None: it does not say."""
    asked = {name.lower(): value for name, value in headers.items()}.get("retry-after", "").strip()
    try:
        wait = float(asked) if asked.isdigit() else (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0.0, min(LONGEST_WAIT, wait))
