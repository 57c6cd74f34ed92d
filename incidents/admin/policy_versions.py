"""Screens of a version: change it while it is a draft, put it in force as an act (R-102, R-107, R-112)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import action
from unfold.enums import ActionVariant

from incidents import policies
from incidents.enums import Standing
from incidents.models import (
    Contradiction,
    Criterion,
    Duty,
    PolicyVersion,
    Severity,
    SupportTarget,
)

from . import policy_forms as forms
from . import policy_grid
from .policy_screens import FOLDER, DraftInline, Hidden, act, link, person, url


class SeverityInline(DraftInline, TabularInline):
    model = Severity
    form = forms.SeverityForm
    formset = forms.SeverityFormSet
    fields = ("rank", "code", "label", "aliases", "is_maintenance", "meaning", "owes")
    readonly_fields = ("owes",)
    hide_title = True

    @admin.display(description="Owes")
    def owes(self, level: Severity) -> SafeString | str:
        return link(url("severity_change", level.pk), "Duties") if level.pk else "after saving"


class SupportTargetInline(DraftInline, TabularInline):
    model = SupportTarget
    form = forms.SupportTargetForm
    fields = ("priority", "amount", "unit", "position")
    hide_title = True


class ContradictionInline(DraftInline, TabularInline):
    model = Contradiction
    form = forms.ContradictionForm
    fields = ("subject", "shipped", "other")
    hide_title = True
    verbose_name = "point to confirm"
    verbose_name_plural = "points to confirm"


class DutyInline(DraftInline, StackedInline):
    model = Duty
    form = forms.DutyForm
    collapsible = True
    fields = (
        ("kind", "condition"),
        ("amount", "limit", "unit"),
        ("starts_from", "repeats"),
        ("owner_role", "audience"),
        "note",
    )


class CriterionInline(DraftInline, TabularInline):
    """Rules of the severity assistant (R-110): parts of one number must all hold, one number is enough."""

    model = Criterion
    form = forms.CriterionForm
    fields = ("rule", "fact", "comparison", "value")
    hide_title = True
    verbose_name = "part of a rule"
    verbose_name_plural = "proposed by the assistant when"


@admin.register(PolicyVersion)
class PolicyVersionAdmin(Hidden):
    form = forms.VersionForm
    inlines = (SeverityInline, SupportTargetInline, ContradictionInline)
    list_display = ("__str__", "standing", "in_force_at")
    fieldsets = (
        (None, {"fields": ("remark",)}),
        ("Working hours", {"fields": ("work_days", ("work_start", "work_end"), ("work_zone", "holiday_country"))}),
        ("Before an incident is resolved", {"fields": ("watch_minutes",)}),
    )
    actions = None
    actions_detail = ("channels", "put_in_force")
    change_form_outer_before_template = f"{FOLDER}/version_before.html"
    change_form_outer_after_template = f"{FOLDER}/version_after.html"

    # Named for Unfold, whose check of dotted permissions would ask a database that is not there yet.
    def has_put_in_force_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("incidents.put_in_force")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: PolicyVersion | None = None) -> bool:
        return (obj is None or obj.is_draft) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: PolicyVersion | None = None) -> bool:
        return obj is not None and obj.is_draft and bool(super().has_delete_permission(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: PolicyVersion | None = None) -> tuple[Any, ...]:
        return self.fieldsets if obj and obj.is_draft else self.fieldsets[:1]

    def get_inlines(self, request: HttpRequest, obj: PolicyVersion | None) -> tuple[Any, ...]:
        # The table above says it all once the version is frozen.
        return self.inlines if obj and obj.is_draft else ()

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        drafts = PolicyVersion.objects.filter(pk=object_id, standing=Standing.DRAFT)
        return list(super().get_actions_detail(request, object_id)) if drafts.exists() else []

    def get_custom_urls(self) -> tuple[tuple[str, str, Any], ...]:
        return (("<int:object_id>/channels/", "incidents_policyversion_grid", self.grid_view),)

    def grid_view(self, request: HttpRequest, object_id: int, **kwargs: Any) -> HttpResponse:
        return policy_grid.show(request, self, object_id)

    @action(description="Channels", url_path="to-channels")
    def channels(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(url("policyversion_grid", object_id))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        version = PolicyVersion.objects.select_related("policy").filter(pk=object_id).first()
        if version is not None:
            extra_context = (extra_context or {}) | {
                "title": str(version),
                "subtitle": version.get_standing_display(),
                "overview": policies.overview(version),
                "version": version,
                "flaws": policies.flaws(version) if version.is_draft else [],
            }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return response

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        messages.success(request, f"The draft {obj_display} is discarded.")
        return redirect(url("policy_changelist"))

    @action(
        description="Put in force",
        url_path="put-in-force",
        permissions=["put_in_force"],
        variant=ActionVariant.PRIMARY,
    )
    def put_in_force(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = get_object_or_404(PolicyVersion.objects.select_related("policy"), pk=object_id)
        before = policies.in_force(version.policy)
        comparable = before is not None and version.is_draft

        def do() -> HttpResponseRedirect:
            policies.put_in_force(version, by=person(request), at=timezone.now())
            messages.success(request, f"{version} is in force.")
            return redirect(url("policy_change", version.policy_id))

        return act(
            request,
            self.admin_site,
            title=f"Put {version} in force",
            sentences=[
                "Incidents declared from now on are judged by it. Incidents that are already declared keep the version "
                "they began with.",
                "A version in force can no longer be changed; the next change needs a new version.",
            ],
            button="Put in force",
            cancel=url("policyversion_change", version.pk),
            do=do,
            changes=policies.differences(policies.overview(before), policies.overview(version))
            if comparable and before
            else None,
            flaws=policies.flaws(version) if version.is_draft else None,
        )


@admin.register(Severity)
class SeverityAdmin(Hidden):
    form = forms.LoneSeverityForm
    inlines = (DutyInline, CriterionInline)
    actions = None
    change_form_outer_before_template = f"{FOLDER}/severity_before.html"
    fieldsets = (
        (None, {"fields": ("rank", "code", "label", "aliases", "is_maintenance")}),
        ("Meant for", {"fields": ("meaning", "examples")}),
        ("Told", {"fields": ("publicity", "banner", "direct_enterprise", "counts_for_credits", "paged", "told")}),
    )
    frozen_fieldsets = (
        (None, {"fields": ("rank", "code", "label", "also_called")}),
        ("Meant for", {"fields": ("meaning", "examples")}),
        ("Told", {"fields": ("publicity", "applies", "paged", "told")}),
    )
    readonly_fields = ("also_called", "applies")

    @admin.display(description="Also called")
    def also_called(self, level: Severity) -> str:
        return ", ".join(level.aliases) or policies.table.BLANK

    @admin.display(description="Applies")
    def applies(self, level: Severity) -> str:
        marks = {
            "planned work": level.is_maintenance,
            "in-app banner": level.banner,
            "Enterprise mailed directly": level.direct_enterprise,
            "counts for credits": level.counts_for_credits,
        }
        return ", ".join(name for name, holds in marks.items() if holds) or policies.table.BLANK

    def get_fieldsets(self, request: HttpRequest, obj: Severity | None = None) -> tuple[Any, ...]:
        return self.fieldsets if self.has_change_permission(request, obj) else self.frozen_fieldsets

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Severity | None = None) -> bool:
        return (obj is None or obj.version.is_draft) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Severity | None = None) -> bool:
        return obj is not None and obj.version.is_draft and bool(super().has_delete_permission(request, obj))

    def response_change(self, request: HttpRequest, obj: Severity) -> HttpResponse:
        if "_save" not in request.POST:
            response: HttpResponse = super().response_change(request, obj)
            return response
        messages.success(request, f"{obj} is saved in the draft.")
        return redirect(url("policyversion_change", obj.version_id))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        messages.success(request, f"{obj_display} is gone from the draft.")
        return redirect(url("policy_changelist"))
