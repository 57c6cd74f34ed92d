"""The ledger of impacts, as the console shows it to people who may not know of every incident (R-213).

Notices need nothing of the kind: they hold public words only, and the public title.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Case, F, QuerySet, Value, When
from django.http import HttpRequest
from unfold.decorators import display

from incidents.discretion import RESTRICTED, hidden_sources
from status.admin.book import ImpactAdmin
from status.models import Impact

admin.site.unregister(Impact)


@admin.register(Impact)
class DiscreetImpactAdmin(ImpactAdmin):
    """Names no restricted incident to who is not named in it, nor finds impacts by it."""

    list_display = [*("held_by" if name == "source" else name for name in ImpactAdmin.list_display)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Impact]:
        found: QuerySet[Impact] = super().get_queryset(request)
        hidden = When(source__in=hidden_sources(request.user), then=Value(RESTRICTED))
        return found.annotate(told_source=Case(hidden, default=F("source")))

    @display(description="Source")
    def held_by(self, impact: Impact) -> str:
        return str(impact.told_source)  # type: ignore[attr-defined]  # of get_queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, twice = super().get_search_results(request, queryset, search_term)
        return (found.exclude(source__in=hidden_sources(request.user)) if search_term else found), twice

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """An address may not ask for a source that the page would not name."""
        if lookup.partition("__")[0] == "source":
            return False
        allowed: bool = super().lookup_allowed(lookup, value, request)
        return allowed

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Impact | None:
        impact: Impact | None = super().get_object(request, object_id, from_field)
        if impact:
            impact.source = impact.told_source  # type: ignore[attr-defined]  # of get_queryset
        return impact
