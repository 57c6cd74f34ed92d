"""Rules for service credits by API, and what past months would have cost under them (R-901, R-1203, R-1308)."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError as Unreadable
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from incidents.api import Holds
from postmortems.api.asking import caller, sent
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.rules import dryrun, rulewords
from postmortems.credits.rules.dryrun import Tally, Whose
from postmortems.credits.rules.rulebooks import FIELDS
from postmortems.enums import RunKind
from postmortems.forms.rules import month_of
from postmortems.models import RuleBook, RulesError, RuleVersion, Run, Tier
from postmortems.tasks import ring_dry_run

SEE, ASK = "postmortems.view_ruleversion", "postmortems.change_ruleversion"


class RuleBooks(APIView):
    """``GET`` → every book of rules with its versions, newest first. Three queries."""

    permission_classes = [Holds]
    needed = (SEE,)

    def get(self, request: Request) -> Response:
        books = RuleBook.objects.select_related("policy").prefetch_related("versions__tiers")
        return Response([_book(book) for book in books])


class OneVersion(APIView):
    """``GET`` → what a version says."""

    permission_classes = [Holds]
    needed = (SEE,)

    def get(self, request: Request, pk: int) -> Response:
        version = get_object_or_404(RuleVersion.objects.select_related("book").prefetch_related("tiers"), pk=pk)
        return Response({"book": version.book.name} | _version(version))


class DryRuns(APIView):
    """``POST {"rules": 7, "from": "2026-07", "to": "2026-09", "contracts": "all" | "book"}`` → 202 and where to look.

    ``rules`` is the id of a version, a draft, too. No credit is written.
    """

    permission_classes = [Holds]
    needed = (ASK,)

    def post(self, request: Request) -> Response:
        asked = sent(request)
        whose = asked.get("contracts", Whose.ALL.value)
        if whose not in Whose.values:
            raise ValidationError({"contracts": [f"Say one of: {', '.join(Whose.values)}."]})
        version = _version_named(asked.get("rules"))
        first_month, last_month = (_month(name, asked.get(name)) for name in ("from", "to"))
        try:
            with transaction.atomic():
                run = dryrun.ask(version, first_month, last_month, whose=whose, by=caller(request), at=timezone.now())
                transaction.on_commit(partial(ring_dry_run, run.pk), robust=True)
        except RulesError as refused:
            raise ValidationError({"to": [str(refused)]}) from refused
        return Response(_run(run, request), status=202)


class OneDryRun(APIView):
    """``GET`` → how far it is, and when it is done what it found. Amounts in minor units and as decimals."""

    permission_classes = [Holds]
    needed = (SEE,)

    def get(self, request: Request, pk: int) -> Response:
        return Response(_run(get_object_or_404(Run, pk=pk, kind=RunKind.DRY_RUN), request))


# --- what was sent -----------------------------------------------------------------------


def _version_named(pk: object) -> RuleVersion:
    version = None
    if isinstance(pk, int) and not isinstance(pk, bool) and 0 < pk < 2**63:
        version = RuleVersion.objects.select_related("book").filter(pk=pk).first()
    if version is None:
        raise ValidationError({"rules": ["Name a version of credit rules by its id; GET rule-books lists them."]})
    return version


def _month(name: str, typed: object) -> Any:
    try:
        return month_of(typed if isinstance(typed, str) else "")
    except Unreadable as error:
        raise ValidationError({name: error.messages}) from error


# --- what is answered --------------------------------------------------------------------


def _book(book: RuleBook) -> dict[str, Any]:
    return {
        "id": book.pk,
        "name": book.name,
        "policy": book.policy.slug if book.policy else None,
        "plan": book.plan,
        "versions": [_version(version) for version in book.versions.all()],
    }


def _version(version: RuleVersion) -> dict[str, Any]:
    values = {name: _exact(getattr(version, name)) for name in FIELDS}
    return {
        "id": version.pk,
        "number": version.number,
        "standing": version.standing,
        "applies_from": version.applies_from,
        "in_force_at": version.in_force_at,
        "remark": version.remark,
        **values,
        "tiers": [_tier(tier) for tier in rulewords.ordered(version.tiers.all())],
    }


def _tier(tier: Tier) -> dict[str, Any]:
    return {
        "measure": tier.measure,
        "rank": tier.rank,
        "code": tier.code,
        "longer_than_seconds": tier.longer_than_seconds,
        "below_percent": _exact(tier.below_percent),
        "percent": _exact(tier.percent),
        "words": f"{rulewords.passes(tier)}: {rulewords.earns(tier)}",
    }


def _exact(value: Any) -> Any:
    """Decimals as text: JSON's numbers are floats to most programs."""
    return rulewords.number(value) if isinstance(value, Decimal) else value


def _run(run: Run, request: Request) -> dict[str, Any]:
    return {
        "id": run.pk,
        "url": reverse("api:dry_run", args=[run.pk], request=request),
        "rules": {"id": run.asked["rules"], "name": run.asked["label"], "draft": run.asked["draft"]},
        "from": run.asked["from"],
        "to": run.asked["to"],
        "contracts": run.asked["whose"],
        "asked_at": run.asked_at,
        "finished_at": run.finished_at,
        "done": run.done,
        "total": run.total,
        "failed": run.failed,
        "totals": [{"currency": currency, **_tally(tally, currency)} for currency, tally in dryrun.totals(run)],
        "months": [
            {"month": f"{month:%Y-%m}", "currency": currency, **_tally(tally, currency)}
            for month, currency, tally in dryrun.tallies(run)
        ],
        "largest": [
            {
                "contract": line.reference,
                "customer": line.customer,
                "month": f"{line.month:%Y-%m}",
                "currency": line.currency,
                **_amounts(line.present, line.tried, line.currency),
                "words": line.words,
            }
            for line in dryrun.largest(run)
        ],
    }


def _tally(tally: Tally, currency: str) -> dict[str, Any]:
    counts = {"contracts": tally.contracts, "more": tally.more, "less": tally.less}
    return counts | _amounts(tally.present, tally.tried, currency)


def _amounts(present: int, tried: int, currency: str) -> dict[str, Any]:
    said = {"present": present, "tried": tried, "difference": tried - present}
    return {f"{name}_minor": minor for name, minor in said.items()} | {
        name: plain(minor, currency) for name, minor in said.items()
    }
