"""The screens of components and their groups. Their level is not here: it follows from what is open (R-601)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from notifications.admin.pasts import PastsAdmin
from notifications.validators import one_line
from status import components
from status.enums import Level
from status.models import Component, Group, Impact
from status.models.components import ComponentQuerySet

if TYPE_CHECKING:
    ComponentModelForm = forms.ModelForm[Component]
    GroupModelForm = forms.ModelForm[Group]
else:
    ComponentModelForm = GroupModelForm = forms.ModelForm

LABELS = {
    Level.OPERATIONAL.label: "success",
    Level.MAINTENANCE.label: "info",
    Level.DEGRADED.label: "warning",
    Level.PARTIAL.label: "warning",
    Level.MAJOR.label: "danger",
    "Archived": "default",
}


class ComponentForm(ComponentModelForm):
    """Names and descriptions are one line each: they stand in mail, SMS and on the page."""

    class Meta:
        help_texts = {
            "name": "As customers know it, for instance API.",
            "description": "One line under the name. May stay empty.",
            "position": "Order inside the group, lowest first.",
            "uptime_target": "Per cent of a month, such as 99.9. Shown beside the measured uptime. May stay empty.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("name", "description"):
            if name in self.fields:
                self.fields[name].validators.append(one_line)


class GroupForm(GroupModelForm):
    class Meta:
        help_texts = {"position": "Order on the page, lowest first."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            self.fields["name"].validators.append(one_line)


class ShownFilter(DropdownFilter):
    title = "on the page"
    parameter_name = "shown"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Shown"), ("no", "Archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Component]) -> QuerySet[Component]:
        return queryset.filter(archived_at__isnull=self.value() == "yes") if self.value() else queryset


@admin.register(Component)
class ComponentAdmin(PastsAdmin, ModelAdmin):
    """Add, edit, archive. Deleting is offered only while nobody knows the component."""

    form = ComponentForm
    list_display = ["name", "group", "state", "target", "position"]
    list_filter = [("group", RelatedDropdownFilter), ShownFilter]
    list_filter_submit = True
    list_select_related = ["group"]
    ordering = ["group__position", "group__name", "position", "name"]
    search_fields = ["name", "description"]
    fields = ["name", "description", "group", "position", "uptime_target"]
    autocomplete_fields = ["group"]
    actions_detail = ["archive", "restore"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Component]:
        # The list's query asks for the level too, so that no row asks for itself.
        found: QuerySet[Component] = super().get_queryset(request)
        open_impacts = Impact.objects.open().real().filter(component=OuterRef("pk"))
        return found.annotate(**{f"is_{level}": Exists(open_impacts.filter(level=level)) for level in list(Level)[1:]})

    @display(description="Now", label=LABELS)
    def state(self, component: Component) -> str:
        if component.archived_at:
            return "Archived"
        held = [level for level in list(Level)[1:] if getattr(component, f"is_{level}")]
        return Level.gravest(held).label

    @display(description="Target", ordering="uptime_target")
    def target(self, component: Component) -> str:
        return "–" if component.uptime_target is None else f"{component.uptime_target.normalize():f} %"

    def save_model(self, request: HttpRequest, obj: Component, form: Any, change: bool) -> None:
        components.keep(obj, at=timezone.now())

    def has_delete_permission(self, request: HttpRequest, obj: Component | None = None) -> bool:
        if obj is None or not super().has_delete_permission(request, obj):
            return False
        return not components.has_past(obj)

    def delete_model(self, request: HttpRequest, obj: Component) -> None:
        components.remove(obj, at=timezone.now())

    def has_archive_permission(self, request: HttpRequest, object_id: str) -> bool:
        return self._may_change(request) and _named(object_id).shown().exists()

    def has_restore_permission(self, request: HttpRequest, object_id: str) -> bool:
        return self._may_change(request) and _named(object_id).filter(archived_at__isnull=False).exists()

    def _may_change(self, request: HttpRequest) -> bool:
        return bool(self.has_change_permission(request))

    @action(
        description="Archive",
        icon="archive",
        permissions=["archive"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Take this component off the page?",
            "description": "It leaves the page and the subscribe form. Its past stays: figures, permanent pages "
            "and subscriptions are kept, and it can be shown again.",
            "form_submit_text": "Archive",
        },
    )
    def archive(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        component = Component.objects.shown().filter(pk=object_id).first()
        if component is not None:
            try:
                components.archive(component, at=timezone.now())
            except components.StillHeldError as refusal:
                messages.error(request, str(refusal))
            else:
                self.log_change(request, component, "Archived.")
                messages.success(request, f"{component.name} is off the page.")
        return _back(object_id)

    @action(
        description="Show again",
        icon="unarchive",
        permissions=["restore"],
        dialog={
            "title": "Show this component again?",
            "description": "It returns to the page and to the subscribe form.",
            "form_submit_text": "Show again",
        },
    )
    def restore(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        component = Component.objects.filter(pk=object_id, archived_at__isnull=False).first()
        if component is not None:
            components.restore(component, at=timezone.now())
            self.log_change(request, component, "Shown again.")
            messages.success(request, f"{component.name} is on the page again.")
        return _back(object_id)


def _back(object_id: str) -> HttpResponse:
    response = HttpResponse()
    response.headers["HX-Redirect"] = reverse("admin:status_component_change", args=[object_id])
    return response


@admin.register(Group)
class GroupAdmin(ModelAdmin):
    form = GroupForm
    list_display = ["name", "position", "shown"]
    search_fields = ["name"]
    ordering = ["position", "name"]
    fields = ["name", "position"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        found: QuerySet[Group] = super().get_queryset(request)
        return found.annotate(shown_count=Count("components", filter=Q(components__archived_at__isnull=True)))

    @display(description="Components", ordering="shown_count")
    def shown(self, group: Group) -> int:
        return int(getattr(group, "shown_count", 0))

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        components.keep_group(obj, at=timezone.now())

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        components.remove_group(obj, at=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for group in queryset:
            components.remove_group(group, at=timezone.now())


def _named(object_id: str) -> ComponentQuerySet:
    """The component of an address; none where the address holds nonsense."""
    return Component.objects.filter(pk=object_id) if object_id.isdecimal() else Component.objects.none()
