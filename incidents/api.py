"""The API of this floor: what the console can ask, as JSON (R-1203). Signed in, and with the console's permissions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from incidents import answers, assistant, reports
from incidents.affected import Affected, Heard, Trouble, affected, by_reference
from incidents.assistant import Candidate, Proposal
from incidents.enums import DutyKind, Fact
from incidents.models import Policy, Severity
from incidents.reports import PeriodError, Tally
from incidents.severities import SeverityError, parse
from status.enums import Level
from status.models import Component


class Holds(BasePermission):
    """Whoever works here and has one of the view's ``any_of``, and all of its ``needed``."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if not user.is_active or not getattr(user, "is_staff", False):
            return False
        any_of: tuple[str, ...] = getattr(view, "any_of", ())
        one = not any_of or any(user.has_perm(name) for name in any_of)
        return one and user.has_perms(getattr(view, "needed", ()))


class Nowhere(APIView):
    """Any other address: 404, to people who work here; nobody else learns what there is."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


class SeverityProposals(APIView):
    """``POST {"policy": slug, "facts": {…}}`` → the level they mean (R-110).

    ``severity`` may say in words what somebody thinks; it names the policy, too, where none is given.
    """

    permission_classes = [Holds]
    any_of = ("incidents.view_incident", "incidents.declare", "incidents.command")

    def post(self, request: Request) -> Response:
        sent = request.data
        if not isinstance(sent, Mapping):
            raise ValidationError({"facts": ["Send an object with “policy” and “facts”."]})
        policy = _policy(sent.get("policy"))
        thought = _severity(sent.get("severity"), policy)
        if policy is None and thought is None:
            raise ValidationError({"policy": ["Name a policy.", f"Known are: {', '.join(_slugs())}."]})
        policy = policy or thought.version.policy  # type: ignore[union-attr]  # one of both is there
        levels = list(
            Severity.objects.in_force()
            .filter(version__policy=policy, is_maintenance=False)
            .prefetch_related("criteria")
        )
        ladder = [assistant.candidate(level) for level in levels]
        proposal = assistant.propose(_facts(sent.get("facts")), ladder)
        return Response(
            {
                "policy": policy.slug,
                "version": levels[0].version.number if levels else None,
                **_proposal(proposal, {level.pk: level for level in levels}),
                "severity": _level(thought) if thought else None,
                "agrees": None if not thought or not proposal.level else proposal.level.key == thought.pk,
            }
        )


class CustomerAffected(APIView):
    """``GET`` → what is wrong with what a customer uses, what we said, and a reply to paste (R-1305)."""

    permission_classes = [Holds]
    needed = ("notifications.view_customer", "incidents.view_incident")

    def get(self, request: Request, reference: str) -> Response:
        customer = get_object_or_404(by_reference(reference))
        return Response(_affected(affected(customer, user=request.user, at=timezone.now())))


class ObligationsReport(APIView):
    """``GET ?from=2026-01&to=2026-11&policy=…&severity=…&kind=…`` → how well obligations were kept (R-303)."""

    permission_classes = [Holds]
    needed = ("incidents.view_obligation",)

    def get(self, request: Request) -> Response:
        at, asked = timezone.now(), request.query_params
        try:
            span = reports.period(asked.get("from", "").strip(), asked.get("to", "").strip(), at=at)
        except PeriodError as error:
            raise ValidationError({error.name: [str(error)]}) from error
        policy = _policy(asked.get("policy"))
        severity = _severity(asked.get("severity"), policy)
        report = reports.obligations(span, at=at, severity=severity, kinds=_kinds(asked.getlist("kind")))
        return Response(
            {
                "from": f"{span.first:%Y-%m}",
                "to": f"{span.last:%Y-%m}",
                "zone": "UTC",
                "total": _tally(report.total),
                "lines": [
                    {
                        "month": f"{line.month:%Y-%m}",
                        "policy": line.policy,
                        "severity": line.severity,
                        "kind": line.kind.value,
                        **_tally(line.tally),
                    }
                    for line in report.lines
                ],
                "promises": [
                    {"month": f"{month:%Y-%m}", **_tally(tally)} for month, tally in sorted(report.promises.items())
                ],
            }
        )


# --- what was sent ---------------------------------------------------------------------


def _policy(slug: object) -> Policy | None:
    """None: none was named. A name that nobody knows is 404, with the names there are."""
    if slug in (None, ""):
        return None
    found = Policy.objects.filter(slug=slug).first() if isinstance(slug, str) and "\x00" not in slug else None
    if found is None:
        raise NotFound({"policy": [f"There is no policy “{slug}”."], "known": _slugs()})
    return found


def _severity(typed: object, policy: Policy | None) -> Severity | None:
    if typed in (None, ""):
        return None
    if not isinstance(typed, str | int) or isinstance(typed, bool):
        raise ValidationError({"severity": ["Name it in words, such as P1 or SEV-1."]})
    try:
        return parse(str(typed), policy)
    except SeverityError as error:
        raise ValidationError({"severity": [str(error)]}) from error


def _facts(sent: object) -> dict[Fact, assistant.Value]:
    if sent is None:
        return {}
    if not isinstance(sent, Mapping):
        raise ValidationError({"facts": ['Send an object such as {"share": 30, "function": "degraded"}.']})
    facts, errors = assistant.read_all(sent)
    if errors:
        raise ValidationError({"facts": {name: [words] for name, words in errors.items()}})
    return facts


def _kinds(sent: list[str]) -> list[DutyKind]:
    unknown = [kind for kind in sent if kind not in DutyKind.values]
    if unknown:
        raise ValidationError({"kind": [f"There is no kind “{unknown[0]}”. Known are: {', '.join(DutyKind.values)}."]})
    return [DutyKind(kind) for kind in sent]


def _slugs() -> list[str]:
    return list(Policy.objects.order_by("slug").values_list("slug", flat=True))


# --- what is answered --------------------------------------------------------------------


def _proposal(found: Proposal, levels: Mapping[int, Severity]) -> dict[str, Any]:
    def named(level: Candidate) -> dict[str, Any]:
        return _level(levels[level.key])

    return {
        "proposal": named(found.level) if found.level else None,
        "rule": found.rule,
        "alternatives": [named(level) for level in found.alternatives],
        "gap": found.gap,
        "edge": found.edge,
        "asked": [_question(fact) for fact in found.asked],
        "unread": [fact.value for fact in found.unread],
    }


def _level(level: Severity) -> dict[str, Any]:
    return {"code": level.code, "label": level.label, "rank": level.rank}


def _question(fact: Fact) -> dict[str, Any]:
    words = assistant.VOCABULARY.get(fact)
    known = {"choices": words} if words else {"most": assistant.LARGEST[fact]}
    return {"fact": fact.value, "label": fact.label, **known}


def _affected(found: Affected) -> dict[str, Any]:
    customer = found.customer
    return {
        "customer": {"reference": customer.reference, "name": customer.name, "tier": customer.tier},
        "affected": found.is_affected,
        "components_assumed": found.assumed,
        "components": [_component(component, level) for component, level in found.components],
        "incidents": [_trouble(trouble) for trouble in (*found.open, *found.lately)],
        "maintenance": [
            {
                "reference": work.reference,
                "title": work.title,
                "state": work.state,
                "planned_start_at": work.planned_start_at,
                "planned_end_at": work.planned_end_at,
                "components": [component.name for component in work.components.all()],
            }
            for work in found.ahead
        ],
        "last_told": [_heard(heard) for heard in found.heard],
        "replies": {code: text for code, _, text in answers.replies(found)},
        "at": found.at,
    }


def _trouble(trouble: Trouble) -> dict[str, Any]:
    """The public book's words; the reference only for whoever may know of the incident (R-213)."""
    notice, incident, said = trouble.notice, trouble.incident, trouble.words
    return {
        "reference": incident.reference if incident else None,
        "severity": incident.severity.short if incident else None,
        "title": notice.title,
        "phase": notice.phase,
        "url": trouble.url,
        "started_at": notice.started_at,
        "resolved_at": notice.resolved_at,
        "components": [_component(component, level) for component, level in trouble.levels],
        "last_words": {"phase": said.phase.value, "text": said.text, "posted_at": said.posted_at} if said else None,
        "next_update_by": notice.next_update_by,
        "told": [_heard(heard) for heard in trouble.heard],
        "letters": trouble.letters,
    }


def _component(component: Component, level: Level) -> dict[str, str]:
    return {"name": component.name, "level": level.value}


def _heard(heard: Heard) -> dict[str, Any]:
    return {"by": heard.by, "at": heard.at, "messages": heard.messages}


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "owed": tally.owed,
        "kept": tally.kept,
        "broken": tally.broken,
        "waived": tally.waived,
        "open": tally.open,
        "share_kept": None if tally.share is None else round(tally.share, 4),
        "late_average_minutes": _minutes(tally.average),
        "late_median_minutes": _minutes(tally.median),
    }


def _minutes(length: timedelta | None) -> float | None:
    return None if length is None else round(length.total_seconds() / 60, 1)
