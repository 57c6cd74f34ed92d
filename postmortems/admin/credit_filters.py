"""What the list of credits can be narrowed to (R-904)."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import Max, Min, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter, TextFilter
from unfold.views import ChangeList

from postmortems.credits.arithmetic.months import preceding
from postmortems.credits.finance import reports, why
from postmortems.enums import STANDING, WAITING, CreditKind, CreditState
from postmortems.models import ContractMonth, Credit

#: So many months are offered; others are asked for by their address.
OFFERED = 36
#: Groups of states, beside the states themselves.
_GROUPS = {"waiting": ("Everything that waits", WAITING), "standing": ("Everything that stands", STANDING)}


class Lines(ChangeList):
    """Each line of the page with why it waits: one query for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]  # set by the line above
        found = why.of(rows, by=cast(User, request.user), at=timezone.now())
        for credit in rows:
            credit.why = found[credit.pk]
        self.result_list = rows
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class StateFilter(DropdownFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((name, label) for name, (label, _) in _GROUPS.items()), *CreditState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credit]) -> QuerySet[Credit]:
        chosen = self.value() or ""
        if chosen in _GROUPS:
            return queryset.filter(state__in=_GROUPS[chosen][1])
        return queryset.filter(state=chosen) if chosen in CreditState.values else queryset


class Mine(DropdownFilter):
    """What this person may approve now, of what waits."""

    title = "whose turn it is"
    parameter_name = "mine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Waiting for me")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credit]) -> QuerySet[Credit]:
        if self.value() != "yes":
            return queryset
        return mine(queryset, cast(User, request.user))


def mine(rows: QuerySet[Credit], by: User) -> QuerySet[Credit]:
    """Of these, what ``by`` may approve now. Two queries more."""
    if not by.has_perm(why.APPROVE):
        return rows.none()
    own = Q(proposed_by=by) | Q(first_by=by) | Q(assessment__asked_by=by)
    free = rows.filter(state__in=WAITING).exclude(pk__in=Credit.objects.waiting().filter(own).values("pk"))
    return free.exclude(pk__in=why.barred_ids(by))


class MonthFilter(DropdownFilter):
    title = "billing month"
    parameter_name = "month"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ends = ContractMonth.objects.aggregate(newest=Max("month"), oldest=Min("month"))
        found: list[tuple[str, str]] = []
        month = ends["newest"]
        while month and month >= ends["oldest"] and len(found) < OFFERED:
            found.append((f"{month:%Y-%m}", f"{month:%B %Y}"))
            month = preceding(month)
        chosen = self.used_parameters.get(self.parameter_name) if hasattr(self, "used_parameters") else None
        return found if not chosen or chosen in dict(found) else [*found, (str(chosen), str(chosen))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credit]) -> QuerySet[Credit]:
        try:
            month = date.fromisoformat(f"{self.value()}-01") if self.value() else None
        except ValueError:
            return queryset.none()
        return queryset.filter(contract_month__month=month) if month else queryset


class KindFilter(DropdownFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(CreditKind.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credit]) -> QuerySet[Credit]:
        return queryset.filter(kind=self.value()) if self.value() in CreditKind.values else queryset


class CurrencyFilter(DropdownFilter):
    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code) for code in reports.currencies()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credit]) -> QuerySet[Credit]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


class CustomerFilter(TextFilter):
    title = "customer's number"
    parameter_name = "customer"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credit]) -> QuerySet[Credit]:
        typed = (self.value() or "").replace("\x00", "").strip()
        return queryset.filter(contract_month__contract__customer__reference__iexact=typed) if typed else queryset
