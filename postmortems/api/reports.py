"""Reports of credits by API (R-906, R-1203)."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from incidents.api import Holds
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.finance import reports
from postmortems.credits.finance.reports import AskedError, Line

FILTERS = ("from", "to", "by", "currency", "kind", "customer")


class CreditsReport(APIView):
    """``GET ?from=2026-01&to=2026-11&by=month|customer|incident|currency|kind&currency=…&kind=…&customer=…``

    Amounts are decimal strings of their currency. ``reconciles``: the ledger's postings say the same.
    """

    permission_classes = [Holds]
    needed = ("postmortems.view_credit",)

    def get(self, request: Request) -> Response:
        typed = [request.query_params.get(name, "").strip() for name in FILTERS]
        try:
            asked = reports.ask(*typed, at=timezone.now())
        except AskedError as error:
            raise ValidationError({error.name: [str(error)]}) from error
        found = reports.report(asked)
        steps = asked.by != "incident"
        totals = {line.currency: line for line in found.totals}
        return Response(
            {
                "from": f"{asked.oldest:%Y-%m}",
                "to": f"{asked.newest:%Y-%m}",
                "by": asked.by,
                "reconciles": found.reconciles,
                "totals": [
                    {
                        "currency": code,
                        "number": totals[code].number if code in totals else 0,
                        **(_amounts(totals[code], steps=True) if code in totals else {"amount": plain(0, code)}),
                        "ledger": plain(found.ledger.get(code, 0), code),
                    }
                    for code in sorted({*totals, *found.ledger})
                ],
                "lines": [
                    {
                        "key": line.key,
                        "label": line.label,
                        "currency": line.currency,
                        "number": line.number,
                        **_amounts(line, steps=steps),
                    }
                    for line in found.lines
                ],
            }
        )


def _amounts(line: Line, *, steps: bool) -> dict[str, Any]:
    names = ("amount", "approved", "exported", "applied") if steps else ("amount",)
    return {name: plain(getattr(line, name), line.currency) for name in names}
