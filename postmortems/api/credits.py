"""Credits by API: read with their arithmetic and history, approved, returned, applied (R-904, R-905, R-1203).

Amounts come twice: whole minor units, and a decimal string with the currency's places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from incidents.api import Holds
from postmortems.api.asking import (
    APPROVE,
    EXPORT,
    GRANT,
    LONGEST_INVOICE,
    LONGEST_REASON,
    SEE,
    MonthField,
    Refused,
    answered,
    caller,
    credits_named,
    sent,
    text,
)
from postmortems.credits import book
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.book import Outcome
from postmortems.credits.facts.cited import cited
from postmortems.enums import CreditKind, CreditState
from postmortems.models import Assessment, Credit, CreditDeed, Posting

_WHY = "Say why: it stays in the history of the credit."


class MonthFilter(django_filters.Filter):
    field_class = MonthField


class CreditFilter(django_filters.FilterSet):
    """``incident``: credits of billing months that it touched. ``state`` may be given several times."""

    month = MonthFilter(field_name="contract_month__month")
    customer = django_filters.CharFilter(field_name="contract_month__contract__customer__reference")
    contract = django_filters.CharFilter(field_name="contract_month__contract__reference")
    incident = django_filters.CharFilter(field_name="contract_month__touches__incident__reference")
    batch = django_filters.CharFilter(field_name="batch__number")
    currency = django_filters.CharFilter()
    state = django_filters.MultipleChoiceFilter(choices=CreditState.choices)
    kind = django_filters.ChoiceFilter(choices=CreditKind.choices)

    class Meta:
        model = Credit
        fields: list[str] = []


class NewestFirst(CursorPagination):
    """By id, which only grows: what is added meanwhile moves nothing."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 1_000


class Credits(ListAPIView[Credit]):
    """``GET ?month=2026-10&customer=&contract=&incident=&batch=&currency=&state=&kind=`` → credits, newest first."""

    permission_classes = [Holds]
    needed = (SEE,)
    filterset_class = CreditFilter
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Credit]:
        return _rows()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = list(self.paginate_queryset(self.filter_queryset(self.get_queryset())) or ())
        incidents = cited({credit.assessment_id for credit in page if credit.assessment_id})
        told = [described(credit, incidents.get(credit.assessment_id or 0, ())) for credit in page]
        return self.get_paginated_response(told)


class OneCredit(APIView):
    """``GET`` → a credit with the arithmetic in words, its history and its postings. Six queries."""

    permission_classes = [Holds]
    needed = (SEE,)

    def get(self, request: Request, pk: int) -> Response:
        credit = get_object_or_404(_rows(), pk=pk)
        incidents = cited({credit.assessment_id} if credit.assessment_id else set())
        return Response(
            {
                **described(credit, incidents.get(credit.assessment_id or 0, ())),
                "assessment": _assessment(credit),
                "deeds": [_deed(deed) for deed in credit.deeds.select_related("by")],
                "postings": [_posting(posting) for posting in credit.postings.all()],
            }
        )


class Approve(APIView):
    """``POST {"keys": […]}`` → approved, or waiting for a second person; of each other one why not."""

    permission_classes = [Holds]
    needed = (APPROVE,)

    def post(self, request: Request) -> Response:
        ids = credits_named(sent(request))
        return answered(book.approve(ids, by=caller(request), at=timezone.now()))


class Reasoned(APIView):
    """An act on many that says why; of each that could not be done, why not."""

    permission_classes = [Holds]
    needed = (APPROVE,)
    act: ClassVar[Callable[..., Outcome]]

    def post(self, request: Request) -> Response:
        body = sent(request)
        ids, reason = credits_named(body), text(body, "reason", _WHY, LONGEST_REASON)
        return answered(type(self).act(ids, reason=reason, by=caller(request), at=timezone.now()))


class GiveBack(Reasoned):
    """``POST {"keys": […], "reason": …}`` → returned: nothing is credited until the assessment changes."""

    act = staticmethod(book.give_back)


class Keep(Reasoned):
    """``POST {"keys": […], "reason": …}`` → what was approved stays, although the facts would give less now."""

    act = staticmethod(book.keep)


class Stop(Reasoned):
    """``POST {"keys": […], "reason": …}`` → they do not approve by themselves any more."""

    act = staticmethod(book.stop)


class Reverse(APIView):
    """``POST {"reason": …}`` → 201 and the reversal, which waits for two people (R-1308)."""

    permission_classes = [Holds]
    needed = (GRANT,)

    def post(self, request: Request, pk: int) -> Response:
        credit = get_object_or_404(_rows(), pk=pk)
        reason = text(sent(request), "reason", _WHY, LONGEST_REASON)
        try:
            made = book.reverse(credit, reason=reason, by=caller(request), at=timezone.now())
        except book.NotAllowed as refused:
            raise Refused(str(refused)) from refused
        return Response(described(_rows().get(pk=made.pk), ()), status=201)


class Applied(APIView):
    """``POST {"invoice": …, "keys": […]}`` → the invoice has taken them. Saying it again changes nothing."""

    permission_classes = [Holds]
    needed = (EXPORT,)

    def post(self, request: Request) -> Response:
        body = sent(request)
        invoice = text(body, "invoice", "Name the invoice that took them.", LONGEST_INVOICE)
        return answered(
            book.apply(credits_named(body), invoice=invoice, by=caller(request), at=timezone.now()),
        )


# --- what is answered --------------------------------------------------------------------


def _rows() -> QuerySet[Credit]:
    return Credit.objects.select_related(
        "contract_month__contract__customer",
        "reverses__contract_month__contract",
        "batch",
        "proposed_by",
        "first_by",
        "approved_by",
    ).defer("batch__csv", "batch__xlsx", "batch__json")


def described(credit: Credit, incidents: tuple[str, ...]) -> dict[str, Any]:
    """The names of a batch's JSON, and where the credit stands."""
    month = credit.contract_month
    contract = month.contract
    return {
        "id": credit.pk,
        "key": credit.key,
        "contract": contract.reference,
        "customer_reference": contract.customer.reference,
        "customer_name": contract.customer.name,
        "billing_account": contract.billing_account,
        "month": f"{month.month:%Y-%m}",
        "kind": credit.kind,
        "state": credit.state,
        "currency": credit.currency,
        "amount_minor": credit.amount_minor,
        "amount": plain(credit.amount_minor, credit.currency),
        "incidents": list(incidents),
        "reverses": credit.reverses.key if credit.reverses else None,
        "reason": credit.reason,
        "proposed_at": credit.proposed_at,
        "proposed_by": _login(credit.proposed_by),
        "needs_second": credit.needs_second,
        "holds_until": credit.holds_until,
        "first_approved_by": _login(credit.first_by),
        "approved_by": _login(credit.approved_by),
        "approved_at": credit.approved_at,
        "batch": credit.batch.number if credit.batch else None,
        "applied_at": credit.applied_at,
        "invoice": credit.invoice,
    }


def _login(person: Any) -> str | None:
    return person.get_username() if person else None


def _assessment(credit: Credit) -> dict[str, Any] | None:
    """The arithmetic as it was stored; None: a person typed the amount."""
    made = Assessment.objects.select_related("rules__book").filter(credits=credit).first()
    if made is None:
        return None
    return {
        "number": made.number,
        "amount_minor": made.amount_minor,
        "amount": plain(made.amount_minor, credit.currency),
        "rules": str(made.rules) if made.rules else None,
        "algorithm": made.algorithm,
        "digest": made.digest,
        "made_at": made.made_at,
        "explanation": made.content.get("words"),
        "lines": made.content.get("lines", []),
    }


def _deed(deed: CreditDeed) -> dict[str, Any]:
    return {"deed": deed.deed, "at": deed.at, "by": _login(deed.by), "reason": deed.reason}


def _posting(posting: Posting) -> dict[str, Any]:
    return {
        "key": posting.key,
        "debit": posting.debit,
        "against": posting.against,
        "currency": posting.currency,
        "amount_minor": posting.amount_minor,
        "amount": plain(posting.amount_minor, posting.currency),
        "posted_at": posting.posted_at,
    }
