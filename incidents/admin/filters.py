"""What the list of incidents can be narrowed to, and how it counts (R-1201)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from incidents.enums import OPEN
from incidents.models import Assignment, Incident
from incidents.templatetags.incidents import RANK_COLOURS


class Lines(ChangeList):
    """Without a search there is nothing to show all of; the second count would only cost time."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class StillOpen(admin.SimpleListFilter):
    title = "whether it is over"
    parameter_name = "over"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Open"), ("yes", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        if self.value() == "no":
            return queryset.filter(state__in=OPEN)
        return queryset.exclude(state__in=OPEN) if self.value() == "yes" else queryset


class Mine(admin.SimpleListFilter):
    """Where I have a role, or had one, or which I declared."""

    title = "my part in it"
    parameter_name = "mine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "I have a role, or declared it"), ("had", "I have or had a role")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        roles = Assignment.objects.filter(incident=OuterRef("pk"), user=request.user.pk)
        if self.value() == "yes":
            return queryset.filter(Q(declared_by=request.user.pk) | Exists(roles.current()))
        return queryset.filter(Exists(roles)) if self.value() == "had" else queryset


class HowBad(admin.SimpleListFilter):
    """By rank: policies call the same height by different names."""

    title = "how bad"
    parameter_name = "rank"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = {1: "Worst (P0, SEV-1)", 2: "High", 3: "Medium", 4: "Low"}
        return [(str(rank), names[rank]) for rank in RANK_COLOURS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        known = self.value() in {str(rank) for rank in RANK_COLOURS}
        return queryset.filter(severity__rank=int(self.value() or 0)) if known else queryset


class Security(admin.SimpleListFilter):
    title = "security"
    parameter_name = "security"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Security incidents"), ("restricted", "Restricted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        if self.value() == "yes":
            return queryset.filter(is_security=True)
        return queryset.filter(is_restricted=True) if self.value() == "restricted" else queryset
