"""What the severity assistant says while somebody types, as a fragment of HTML (R-110). Writes nothing."""

from __future__ import annotations

from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from incidents import assistant
from incidents.admin.deeds import COMMAND, DECLARE
from incidents.enums import Fact
from incidents.forms.facts import PREFIX
from incidents.models import Severity


def propose(request: HttpRequest) -> HttpResponse:
    """The proposal for the facts of a form, by the policy of the level chosen in it. Three queries."""
    if request.method != "POST":
        return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
    if not (request.user.has_perm(DECLARE) or request.user.has_perm(COMMAND)):
        raise PermissionDenied
    levels = _beside(request.POST.get("severity", ""))
    ladder = [assistant.candidate(level) for level in levels]
    given = {fact.value: request.POST.get(PREFIX + fact.value, "") for fact in assistant.asks(ladder)}
    facts, errors = assistant.read_all(given)
    context = {
        "proposal": assistant.propose(facts, ladder) if facts else None,
        "policy": levels[0].version.policy if levels else None,
        "asks": " ".join(given),
        "errors": {Fact(name).label: words for name, words in errors.items()},
    }
    return render(request, "admin/incidents/incident/proposal.html", context)


def _beside(chosen: str) -> list[Severity]:
    """The levels of the version that ``chosen``, the id of a level, stands in."""
    if not (chosen.isascii() and chosen.isdigit() and len(chosen) < 19):
        return []
    versions = Severity.objects.filter(pk=int(chosen)).values("version")
    found = Severity.objects.filter(version__in=versions, is_maintenance=False).select_related("version__policy")
    return list(found.prefetch_related("criteria"))
