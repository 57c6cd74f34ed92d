"""Is customer X affected, with what it will cost (R-1305). Amounts are for those who may see credits."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from incidents import api
from incidents.affected import by_reference
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.assessing.estimates import Estimate, estimates


class CustomerAffected(api.CustomerAffected):
    """``GET`` → as the floor below answers, and ``credits``; None for those who may not see amounts."""

    def get(self, request: Request, reference: str) -> Response:
        response = super().get(request, reference)
        may_see = request.user.has_perm("postmortems.view_credit")
        found = estimates(get_object_or_404(by_reference(reference)), at=timezone.now()) if may_see else None
        response.data["credits"] = None if found is None else [_estimate(one) for one in found]
        return response


def _estimate(one: Estimate) -> dict[str, Any]:
    return {
        "contract": one.contract,
        "month": f"{one.month:%Y-%m}",
        "currency": one.currency,
        "estimate": plain(one.minor, one.currency),
        "estimate_minor": one.minor,
        "of_which_running": plain(one.running, one.currency),
        "of_which_running_minor": one.running,
        "running": one.is_running,
        "standing": plain(one.standing, one.currency),
        "standing_minor": one.standing,
        "state": one.state.value if one.state else None,
        "arithmetic": list(one.words),
    }
