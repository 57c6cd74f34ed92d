"""Screens of the policies: read as one table, load, revise, confirm (R-101, R-108, R-206)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action

from incidents import drift, policies
from incidents.enums import Standing
from incidents.models import (
    Contradiction,
    Policy,
    PolicyVersion,
    UpdateTemplate,
)
from notifications.admin.pasts import PastsAdmin

from . import policy_forms as forms
from . import template_forms
from .policy_screens import FOLDER, Screen, act, link, person, url


@admin.register(Policy)
class PolicyAdmin(PastsAdmin, Screen):
    form = forms.PolicyForm
    list_display = ("name", "offered_first", "shown_in_force", "shown_draft", "to_confirm")
    fieldsets = (("About", {"fields": ("name", "slug", "summary", "is_default")}),)
    actions = None
    actions_list = ("load_presets",)
    actions_detail = ("revise",)
    change_form_outer_before_template = f"{FOLDER}/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        open_points = Q(
            versions__standing=Standing.IN_FORCE,
            versions__contradictions__isnull=False,
            versions__contradictions__confirmed_at__isnull=True,
        )
        current = PolicyVersion.objects.exclude(standing=Standing.RETIRED)
        found: QuerySet[Policy] = super().get_queryset(request)
        return found.annotate(open_points=Count("versions__contradictions", filter=open_points)).prefetch_related(
            Prefetch("versions", queryset=current, to_attr="current")
        )

    @admin.display(description="Offered first")
    def offered_first(self, policy: Policy) -> str:
        return "yes" if policy.is_default else policies.table.BLANK

    @admin.display(description="In force")
    def shown_in_force(self, policy: Any) -> str:
        for version in policy.current:
            if version.standing == Standing.IN_FORCE:
                return f"v{version.number} since {version.in_force_at:%Y-%m-%d}"
        return policies.table.BLANK

    @admin.display(description="Draft")
    def shown_draft(self, policy: Any) -> str | SafeString:
        for version in policy.current:
            if version.is_draft:
                return link(url("policyversion_change", version.pk), f"v{version.number}")
        return policies.table.BLANK

    @admin.display(description="Points to confirm", ordering="open_points")
    def to_confirm(self, policy: Any) -> str:
        return str(policy.open_points or policies.table.BLANK)

    # Named for Unfold, whose check of dotted permissions would ask a database that is not there yet.
    def has_revise_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("incidents.add_policyversion")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Policy | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("name",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Policy | None = None) -> tuple[str, ...]:
        # Presets and links know a policy by its slug.
        return ("slug",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        never = obj is not None and not obj.versions.exclude(standing=Standing.DRAFT).exists()
        return never and bool(super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        if obj.is_default and "is_default" in form.changed_data:
            policies.offer_first(obj)
        else:
            super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Policy, *args: Any, **kwargs: Any) -> HttpResponse:
        messages.success(request, f"{obj} is there, empty. Start its first version.")
        return redirect(url("policy_change", obj.pk))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        policy = self.get_object(request, object_id)
        if policy is not None:
            versions = list(policy.versions.select_related("policy", "in_force_by", "drafted_by"))
            shown = next((version for version in versions if version.standing == Standing.IN_FORCE), None)
            extra_context = (extra_context or {}) | {
                "overview": policies.overview(shown) if shown else None,
                "policy": policy,
                "drifts": drift.drifts(policy) if shown else [],
                "versions": versions,
                "draft": next((version for version in versions if version.is_draft), None),
                "templates": list(policy.templates.filter(translates=None)),
                "may_confirm": request.user.has_perm("incidents.change_contradiction"),
                "may_write": request.user.has_perm("incidents.add_updatetemplate"),
            }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return response

    def get_custom_urls(self) -> tuple[tuple[str, str, Any], ...]:
        return (("<int:object_id>/points/<int:point_id>/confirm/", "incidents_policy_confirm", self.confirm_view),)

    @action(description="Load presets", url_path="load-presets", permissions=["add"])
    def load_presets(self, request: HttpRequest) -> HttpResponse:
        back = url("policy_changelist")

        def do() -> HttpResponseRedirect:
            loaded = policies.load_presets(by=person(request), at=timezone.now())
            new = [str(one.policy) for one in loaded if one.created]
            messages.success(request, f"Loaded: {', '.join(new)}." if new else "All presets are there already.")
            return redirect(back)

        return act(
            request,
            self.admin_site,
            title="Load presets",
            sentences=[
                "Five policies come with Heliograph. Those that are missing are added, version 1 in force.",
                "Policies that are there already stay exactly as they are, with every edit.",
            ],
            button="Load presets",
            cancel=back,
            do=do,
        )

    @action(description="New version", url_path="revise", permissions=["revise"])
    def revise(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = get_object_or_404(Policy, pk=object_id)

        def do() -> HttpResponseRedirect:
            draft = policies.revise(policy, by=person(request), at=timezone.now())
            messages.success(request, f"{draft} is a draft. Change it, then put it in force.")
            return redirect(url("policyversion_change", draft.pk))

        return act(
            request,
            self.admin_site,
            title=f"New version of {policy}",
            sentences=[
                "A draft is made from the version in force. If there is a draft already, it is opened.",
                "Nothing changes for anybody until you put the draft in force.",
            ],
            button="Start a new version",
            cancel=url("policy_change", policy.pk),
            do=do,
        )

    def confirm_view(self, request: HttpRequest, object_id: int, point_id: int, **kwargs: Any) -> HttpResponse:
        if request.method != "POST" or not request.user.has_perm("incidents.change_contradiction"):
            raise PermissionDenied
        point = get_object_or_404(Contradiction, pk=point_id, version__policy=object_id)
        policies.confirm(point, by=person(request), at=timezone.now())
        messages.success(request, f"Confirmed: {point.subject}.")
        return redirect(url("policy_change", object_id) + "#points")


@admin.register(UpdateTemplate)
class UpdateTemplateAdmin(PastsAdmin, Screen):
    form = template_forms.UpdateTemplateForm
    list_display = ("name", "policy", "phase", "shown_brand", "language")
    list_filter = ("policy", "phase", "brand", "language")
    list_select_related = ("policy", "brand")
    search_fields = ("name", "body", "sms")
    fieldsets = (
        (None, {"fields": (("policy", "phase"), ("name", "position"), ("brand",), ("language", "translates"))}),
        ("Words", {"fields": ("title", "body", "sms", "chat", "letter")}),
    )
    change_form_outer_before_template = f"{FOLDER}/template_before.html"

    @admin.display(description="Brand", ordering="brand")
    def shown_brand(self, template: UpdateTemplate) -> str:
        return template.brand.name if template.brand else "every one"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= template_forms.reference()
        if original := context.get("original"):
            context["samples"] = template_forms.samples(original)
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response
