"""Batches by API: a month is closed, its files are read, byte for byte the same for ever (R-905, R-1203)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from incidents.api import Holds
from postmortems.api.asking import EXPORT, SEE, SEE_BATCHES, Refused, caller, month_or_404
from postmortems.credits.batches import closing, downloads, telling
from postmortems.credits.batches.closing import Preview, TooEarly
from postmortems.credits.batches.files import amounts_of
from postmortems.credits.book import NotAllowed
from postmortems.enums import CreditState
from postmortems.models import Batch


class NewestFirst(CursorPagination):
    ordering = "-month"
    page_size_query_param = "page_size"
    max_page_size = 1_000


class Batches(ListAPIView[Batch]):
    """``GET`` → batches, newest month first."""

    permission_classes = [Holds]
    needed = (SEE_BATCHES,)
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Batch]:
        return rows()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response([described(batch) for batch in page or ()])


class OneBatch(APIView):
    """``GET`` → a batch by its number."""

    permission_classes = [Holds]
    needed = (SEE_BATCHES,)

    def get(self, request: Request, number: str) -> Response:
        return Response(described(get_object_or_404(rows(), number=number)))


class BatchFile(APIView):
    """``GET`` → a file of a batch, the stored bytes."""

    permission_classes = [Holds]
    needed = (EXPORT,)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Whatever is accepted: the address says which file."""
        return super().perform_content_negotiation(request, force=True)

    def get(self, request: Request, number: str, kind: str) -> HttpResponse:
        if kind not in downloads.TYPES:
            raise Http404
        batch = get_object_or_404(Batch.objects.only("number", "digest", kind), number=number)
        return downloads.answer(batch, kind, request.headers.get("If-None-Match", ""))


class Close(APIView):
    """``GET`` → what closing the month would take; ``POST`` closes it: 201, and 200 when it was closed before.

    Where the second opinion differs it takes ``{"sure": "2026-10"}``.
    """

    permission_classes = [Holds]

    @property
    def needed(self) -> tuple[str, ...]:
        return (EXPORT,) if self.request.method == "POST" else (SEE, SEE_BATCHES)

    def get(self, request: Request, month: str) -> Response:
        return Response(_preview(closing.preview(month_or_404(month), at=timezone.now())))

    def post(self, request: Request, month: str) -> Response:
        first, at = month_or_404(month), timezone.now()
        try:
            batch = closing.close(first, by=caller(request), at=at, sure=_is_sure(request, first))
        except TooEarly as early:
            raise Refused(str(early), until=early.until.isoformat()) from early
        except NotAllowed as refused:
            raise Refused(str(refused)) from refused
        return Response(described(rows().get(pk=batch.pk)), status=201 if batch.closed_at == at else 200)


def _is_sure(request: Request, month: date) -> bool:
    """Whether the month stands in ``sure``: it is closed although the second opinion differs."""
    # Nothing has to be sent: what is no JSON says nothing.
    body = request.data if "json" in request.content_type else {}
    return isinstance(body, Mapping) and body.get("sure") == f"{month:%Y-%m}"


def rows() -> QuerySet[Batch]:
    """With how many of its credits are applied; one query, without the files."""
    applied = Count("credits", filter=Q(credits__state=CreditState.APPLIED))
    return Batch.objects.light().select_related("closed_by").annotate(applied=applied)


def described(batch: Any) -> dict[str, Any]:
    return {
        "number": batch.number,
        "month": f"{batch.month:%Y-%m}",
        "closed_at": batch.closed_at,
        "closed_by": batch.closed_by.get_username() if batch.closed_by else None,
        "count": batch.count,
        "applied": batch.applied,
        "totals": amounts_of(batch.totals),
        "digest": batch.digest,
        "told_at": batch.told_at,
        "tell_error": batch.tell_error,
        "links": telling.links(batch),
    }


def _preview(found: Preview) -> dict[str, Any]:
    return {
        "month": f"{found.month:%Y-%m}",
        "count": found.count,
        "late": found.late,
        "totals": amounts_of({one.currency: one.amount_minor for one in found.totals}),
        "waiting": found.waiting,
        "stale": found.stale,
        "running": found.running,
        "refused": found.refused or None,
        "differing": list(found.differing),
        "batch": found.batch.number if found.batch else None,
    }
