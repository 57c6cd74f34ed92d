"""SMS by Amazon SNS, through boto3 (R-801, F05): the extra ``heliograph[aws]``.

SNS tells nothing afterwards, takes no list of what it sent, and answers STOP itself: what may have
left stays unknown until a person decides.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings

from notifications.channels import port
from notifications.channels.port import Answer, Outage, Verdict
from notifications.queue import Item

#: Connecting and reading may each take this part of the lease, so that a text is through by its deadline.
_SHARE = 0.4
_DOUBT = "No answer from Amazon SNS; the text may have left."
_THROTTLED = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown")
_OURS = (
    "Auth",
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "MissingAuthenticationToken",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
)


def off() -> str:
    """Why nothing can be sent by SNS; "" when it can."""
    if find_spec("boto3") is None:
        return "SMS through Amazon SNS needs boto3: install heliograph[aws]."
    return "" if settings.SNS["region"] else "SMS through Amazon SNS is not complete: set SNS_REGION."


class Wire:
    """One way to SNS; all of a process share its connections."""

    def open(self) -> None:
        """Raises Outage when there are no credentials."""
        self._client()

    def send(self, item: Item, message: bytes, mould: port.Mould, *, deadline: float) -> Answer:
        """Hand one text over. Raises Outage: no connection was made."""
        client, errors = self._client(), import_module("botocore.exceptions")
        try:
            sent = client.publish(PhoneNumber=item.address, Message=message.decode(), MessageAttributes=_attributes())
        except errors.ClientError as error:
            return _refused(error.response)
        except (errors.EndpointConnectionError, errors.ConnectTimeoutError, errors.ProxyConnectionError) as error:
            raise Outage(f"No connection to Amazon SNS: {type(error).__name__}.", ours=False) from error
        except (errors.NoCredentialsError, errors.PartialCredentialsError, errors.CredentialRetrievalError) as error:
            raise Outage("Amazon SNS: there are no complete credentials.", ours=True) from error
        except errors.ParamValidationError as error:
            return Answer(Verdict.NEVER, f"Amazon SNS cannot take it: {str(error)[:160]}")
        except errors.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Outage(
                    "No secure connection to Amazon SNS: its certificate is not trusted.", ours=True
                ) from error
            return Answer(Verdict.DOUBT, _DOUBT)
        except (errors.BotoCoreError, import_module("botocore.parsers").ResponseParserError):
            return Answer(Verdict.DOUBT, _DOUBT)
        return Answer(Verdict.ACCEPTED, receipt=sent["MessageId"])

    def close(self) -> None:
        """Nothing of its own to let go."""

    def _client(self) -> Any:
        longest = _SHARE * settings.DELIVERY_LEASE_SECONDS
        patience = (min(settings.SNS[name], longest) for name in ("connect_timeout", "read_timeout"))
        return _client(settings.SNS["region"], settings.SNS["endpoint"], *patience)


@lru_cache(maxsize=4)
def _client(region: str, endpoint: str, connect_timeout: float, read_timeout: float) -> Any:
    """Imported here: it takes half a second, which only those who use it pay. Its retries are off: we decide (F05)."""
    config = import_module("botocore.config").Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"total_max_attempts": 1},
        max_pool_connections=32,
    )
    return (
        import_module("boto3")
        .session.Session()
        .client("sns", region_name=region, endpoint_url=endpoint or None, config=config)
    )


def _attributes() -> dict[str, dict[str, str]]:
    found = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
    if settings.SNS["sender_id"]:
        found["AWS.SNS.SMS.SenderID"] = {"DataType": "String", "StringValue": settings.SNS["sender_id"]}
    return found


def _refused(response: dict[str, Any]) -> Answer:
    code, words = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    status = int(response["ResponseMetadata"]["HTTPStatusCode"])
    reason = f"{status} Amazon SNS says: {code}: {words}"[:200]
    if status >= 500:
        return Answer(Verdict.DOUBT, f"{status} Amazon SNS failed; the text may have left.")
    if status == 429 or code.startswith(_THROTTLED):
        return Answer(Verdict.LATER, reason)
    if "OptedOut" in code or "opted out" in words.lower():
        return Answer(Verdict.BOUNCED, OPTED_OUT)
    if status in (401, 403) or code.startswith(_OURS):
        return Answer(Verdict.OURS, reason)
    if code == "InvalidParameter" and "PhoneNumber" in words:
        return Answer(Verdict.BOUNCED, reason)
    return Answer(Verdict.NEVER, reason)


OPTED_OUT = "400 Amazon SNS says: they answered STOP."
