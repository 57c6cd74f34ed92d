"""What programs send about money: months, keys, reasons; and how acts are answered (R-1203)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError as Invalid
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_409_CONFLICT

from notifications.sheets import printable
from postmortems.credits.book import Outcome
from postmortems.models import Credit

SEE, APPROVE, GRANT = "postmortems.view_credit", "postmortems.approve_credit", "postmortems.grant_credit"
SEE_BATCHES, EXPORT = "postmortems.view_batch", "postmortems.export_credit"
#: Credits of one call.
MOST = 10_000
LONGEST_REASON, LONGEST_INVOICE = 1000, 120
_MONTH = "A month is written like 2026-10."


class Refused(APIException):
    """It cannot be done as things stand: 409 with a sentence, and whatever else a program may want to know."""

    status_code = HTTP_409_CONFLICT

    def __init__(self, words: str, **more: Any) -> None:
        super().__init__({"detail": words, **more})


class MonthField(forms.CharField):
    """``2026-10`` → the first of it."""

    def to_python(self, value: Any) -> date | None:  # type: ignore[override]  # text in, a date out
        typed = super().to_python(value)
        if not typed:
            return None
        if (month := read_month(typed)) is None:
            raise Invalid(_MONTH)
        return month


def read_month(typed: str) -> date | None:
    """None: it is none."""
    if len(typed) != 7 or not typed.isascii() or typed[4] != "-" or not (typed[:4] + typed[5:]).isdigit():
        return None
    year, month = int(typed[:4]), int(typed[5:])
    return date(year, month, 1) if year >= 2000 and 1 <= month <= 12 else None


def month_or_404(typed: str) -> date:
    if (month := read_month(typed)) is None:
        raise NotFound({"month": [_MONTH]})
    return month


def caller(request: Request) -> User:
    """Who asks; ``Holds`` has seen that it is one of ours."""
    return cast(User, request.user)


def sent(request: Request) -> Mapping[str, Any]:
    if not isinstance(request.data, Mapping):
        raise ValidationError({"keys": ["Send an object."]})
    return request.data


def text(body: Mapping[str, Any], name: str, words: str, longest: int) -> str:
    """A field that must be there; ``words`` say what is missing."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise ValidationError({name: [words]})
    if len(value) > longest:
        raise ValidationError({name: [f"At most {longest:,} characters."]})
    return value.strip()


def credits_named(body: Mapping[str, Any]) -> list[int]:
    """The ids of ``keys``, in their order, each once. One query. A key that nobody knows refuses the call."""
    keys = body.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise ValidationError({"keys": ["Send a list of keys, such as “C-1:2026-10:1”."]})
    if len(keys) > MOST:
        raise ValidationError({"keys": [f"At most {MOST:,} at once."]})
    wanted = [(key, _parted(key)) for key in dict.fromkeys(keys)]
    parts = [part for _, part in wanted if part]
    rows = Credit.objects.filter(
        contract_month__contract__reference__in={part[0] for part in parts},
        contract_month__month__in={part[1] for part in parts},
    ).order_by()
    named = ("contract_month__contract__reference", "contract_month__month", "number", "pk")
    known = {(reference, month, number): pk for reference, month, number, pk in rows.values_list(*named)}
    unknown = [key for key, part in wanted if part not in known]
    if unknown:
        raise ValidationError({"keys": [f"There is no credit “{printable(key)}”." for key in unknown[:10]]})
    return [known[part] for _, part in wanted if part]


def _parted(key: str) -> tuple[str, date, int] | None:
    """Contract, month and number of ``C-1:2026-10:1``; None: it is no key."""
    reference, month, number = ["", "", "", *key.rsplit(":", 2)][-3:]
    if "\x00" in key or not number.isascii() or not number.isdigit() or len(number) > 9:
        return None
    first = read_month(month)
    return (reference, first, int(number)) if first else None


def answered(outcome: Outcome) -> Response:
    """What was done, and of each other one why not; 409 where nothing was."""
    refused = outcome.refused and not outcome.done
    return Response(
        {
            "done": [{"key": credit.key, "state": credit.state} for credit in outcome.done],
            "refused": [{"key": credit.key, "state": credit.state, "reason": why} for credit, why in outcome.refused],
        },
        status=HTTP_409_CONFLICT if refused else 200,
    )
