"""Stripe as we speak to it: customer balance transactions by its own client, and its answers sorted (R-905).

Nothing here touches the database. Off until ``STRIPE_API_KEY`` is set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NoReturn

import stripe
from django.conf import settings

from postmortems.credits.arithmetic.money import Money, exponent

#: Of a credit, in Stripe's metadata: how we find our own again.
MARK = "heliograph_credit"
#: Their clock and ours may differ by so much when we look for what we began.
LEEWAY = timedelta(hours=1)

# docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies" and "Special cases". What holds for
# payouts only (HUF, TWD) does not concern balances.
_ZERO = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THREE = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
#: Without decimals, but sent as if they had two.
_AS_IF_TWO = frozenset(("ISK", "UGX"))


class Refused(Exception):
    """Stripe will not take it as it is; nothing was booked. The words are for people."""


class KeyRefused(Exception):
    """Stripe does not accept our key for this: nothing more is worth trying with it."""


class Later(Exception):
    """It may work another time. ``in_doubt``: it may have been booked all the same."""

    def __init__(self, words: str, *, in_doubt: bool) -> None:
        super().__init__(words)
        self.in_doubt = in_doubt


@dataclass(frozen=True)
class Booked:
    """A balance transaction as Stripe has it; ``mark`` is the credit of ours that it is for, or empty."""

    id: str
    amount: int
    currency: str
    mark: str


def is_on() -> bool:
    return bool(settings.STRIPE["api_key"])


def fingerprint() -> str:
    """Names the key without telling it."""
    return hashlib.sha256(settings.STRIPE["api_key"].encode()).hexdigest()


def units(minor: int, currency: str) -> int:
    """The amount in Stripe's units. Raises Refused where Stripe cannot say it to the last unit."""
    places: int = exponent(currency)
    if currency in _THREE:
        theirs, step = 3, 10
    elif currency in _AS_IF_TWO:
        theirs, step = 2, 100
    elif currency in _ZERO:
        theirs, step = 0, 1
    elif places == 2:
        theirs, step = 2, 1
    else:
        raise Refused(f"Stripe does not bill in {currency}.")
    scaled, rest = divmod(minor * 10**theirs, 10**places)
    if rest or scaled % step:
        least = Money(step * 10**places // 10**theirs, currency)
        raise Refused(f"Stripe takes {currency} in steps of {least}: {Money(minor, currency)} cannot be said there.")
    return int(scaled)


def create(account: str, params: Mapping[str, Any], key: str) -> Booked:
    """Book it, once for each key. Raises Refused, KeyRefused or Later."""
    try:
        made = _service().create(account, dict(params), options={"idempotency_key": key})
    except stripe.StripeError as error:
        _sort(error, account)
    return _booked(made)


def find(account: str, mark: str, *, since: datetime) -> Booked | None:
    """What was booked for this credit since then, if anything. Raises as ``create``."""
    return next((one for one in listed(account, since=since) if one.mark == mark), None)


def listed(account: str, *, since: datetime | None = None) -> Iterator[Booked]:
    """Everything in this customer's balance, newest first, back to ``since``. Raises as ``create``."""
    params: dict[str, Any] = {"limit": 100}
    if since is not None:
        params["created"] = {"gte": int((since - LEEWAY).astimezone(UTC).timestamp())}
    try:
        for one in _service().list(account, params).auto_paging_iter():
            yield _booked(one)
    except stripe.StripeError as error:
        _sort(error, account)


def _booked(one: stripe.CustomerBalanceTransaction) -> Booked:
    told = one.to_dict()
    mark = str((told.get("metadata") or {}).get(MARK, ""))
    return Booked(id=told["id"], amount=told["amount"], currency=told["currency"], mark=mark)


def _service() -> Any:
    found = settings.STRIPE
    return _client(
        found["api_key"], found["api_base"], found["connect_timeout"], found["read_timeout"], found["retries"]
    ).v1.customers.balance_transactions


@cache
def _client(key: str, base: str, connect: float, read: float, retries: int) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base},
        http_client=stripe.RequestsClient(timeout=(connect, read)),
        max_network_retries=retries,
    )


def _sort(error: stripe.StripeError, account: str) -> NoReturn:
    """What an error means for the entry it answered."""
    words = _words(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        raise KeyRefused(words) from None
    if isinstance(error, stripe.RateLimitError):
        raise Later("Stripe asks us to slow down.", in_doubt=False) from None
    if error.http_status == 409:
        raise Later("Stripe is still at the same request.", in_doubt=True) from None
    if isinstance(error, stripe.InvalidRequestError) and error.code == "resource_missing":
        raise Refused(f"Stripe knows no customer {account}. {words}") from None
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError):
        raise Refused(words) from None
    if isinstance(error, stripe.APIConnectionError):
        raise Later("Stripe could not be reached, or did not answer in time.", in_doubt=True) from None
    raise Later(f"Stripe has trouble: {words}", in_doubt=True) from None


def _words(error: stripe.StripeError) -> str:
    """What Stripe said, with the id by which its support finds the request."""
    said = str(getattr(error, "user_message", "") or error.http_status or "no reason")
    return f"{said} (request {error.request_id})" if error.request_id else said
