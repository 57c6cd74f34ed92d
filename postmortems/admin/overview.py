"""Finance's first page: months, what waits and why, whether the books are right (R-904, R-1308). Fixed queries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone

from postmortems.admin import acts, places
from postmortems.admin.acts import Act
from postmortems.credits.checking import lights
from postmortems.credits.finance import overview as figures
from postmortems.credits.finance import why
from postmortems.models import Credit
from postmortems.templatetags.money import words

#: Further back than this nobody pages.
FURTHEST = 100


@dataclass(frozen=True)
class Waiting:
    """A credit that waits, why, and what this person may do about it."""

    credit: Credit
    why: why.Why
    acts: list[tuple[Act, str]]
    url: str


@dataclass(frozen=True)
class Step:
    """One of the things without which there is nothing to see. ``url``: "" where there is nothing to go to."""

    title: str
    words: str
    done: bool
    url: str


def overview(request: HttpRequest) -> HttpResponse:
    """The page; GET only, nothing changes."""
    places.refuse_strangers(request)
    frame = admin.site.each_context(request) | {"title": "Service credits", "is_fullwidth": "1"}
    return render(request, "admin/postmortems/overview/page.html", frame | board(request))


def live(request: HttpRequest) -> HttpResponse:
    """The page without its frame; a script asks every few seconds and puts what changed into its place."""
    places.refuse_strangers(request)
    content = render_to_string("admin/postmortems/overview/board.html", board(request), request)
    tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return HttpResponse(content, headers={"ETag": tag})


def board(request: HttpRequest) -> dict[str, Any]:
    """What it shows, for this person."""
    at, by = timezone.now(), cast(User, request.user)
    totals, page = figures.waiting_totals(), figures.months(_page(request), at=at)
    return {
        "at": at,
        "page": page,
        "steps": [] if page.months else steps(by),
        "closing": [(month, close_url(month.month) if month.month in page.closable else "") for month in page.months],
        "number": sum(number for _, _, number in totals),
        "totals": [words(amount, currency) for currency, amount, _ in totals],
        "waiting": waiting(by, at),
        "lights": lights.standing(at),
        "runs": figures.runs(at),
        "may_export": by.has_perm(places.EXPORT),
        "batches_url": places.there("admin:postmortems_batch_changelist"),
        "list_url": places.there(places.LIST),
        "here": request.get_full_path() if not request.path.endswith("/live/") else places.there("money:overview"),
    }


def steps(by: User) -> list[Step]:
    """What comes before the first month, in order; links for those who may go there. Two queries."""
    has_rules, has_contracts = figures.ready()
    rules = places.there("admin:postmortems_rulebook_changelist") if by.has_perm("postmortems.view_rulebook") else ""
    agreed = places.there("admin:postmortems_contract_changelist") if by.has_perm("postmortems.view_contract") else ""
    return [
        Step("Put credit rules in force", "What an outage is worth.", has_rules, rules),
        Step("Enter contracts, or import them", "Who pays how much, for which components.", has_contracts, agreed),
        Step("Wait for an incident to be resolved", "The first credits are proposed here within a minute.", False, ""),
    ]


def waiting(by: User, at: datetime) -> list[Waiting]:
    """The oldest of what waits. Two queries."""
    rows = list(figures.waiting()[: figures.SHOWN])
    whys = why.of(rows, by=by, at=at)
    return [
        Waiting(
            credit,
            whys[credit.pk],
            [
                (act, acts.label(act, credit))
                for act in acts.offered(credit, by)
                if not (act.slug == "approve" and whys[credit.pk].barred)
            ],
            places.url_of(credit),
        )
        for credit in rows
    ]


def close_url(month: date) -> str:
    """The page on which a month is closed."""
    return places.there("money:close", f"{month:%Y-%m}")


def _page(request: HttpRequest) -> int:
    typed = request.GET.get("page", "")
    return min(int(typed), FURTHEST) if typed.isascii() and typed.isdigit() and len(typed) < 5 else 0
