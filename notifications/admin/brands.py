"""The brands' screen: who speaks, and in which tone (R-111, R-805)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminURLInputWidget

from notifications.admin.pasts import PastsAdmin
from notifications.models import Brand, Topic
from notifications.validators import one_line, prose

if TYPE_CHECKING:
    BrandModelForm = forms.ModelForm[Brand]
else:
    BrandModelForm = forms.ModelForm

#: What a subject may hold; ``status.publishing`` fills these in.
PLACEHOLDERS = ("brand", "phase", "title", "reference")
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}")


class BrandForm(BrandModelForm):
    """Refuses what would go out wrong: unknown placeholders, control characters, no brand to speak for."""

    class Meta:
        # Model and fields are the screen's to say; named here, they would be built once more at import.
        labels = {
            "is_default": "Default brand",
            "sender_email": "Sender address",
            "support_email": "Support address",
            "support_url": "Support page",
            "security_email": "Security address",
            "publish_causes": "Publish causes",
        }
        help_texts = {"is_default": "The status page and its mail speak for this brand."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("name", "sender_name", "subject_pattern"):
            self._check(name, one_line)
        self._check("signature", prose)

    def _check(self, name: str, rule: Any) -> None:
        if name in self.fields:
            self.fields[name].validators.append(rule)

    def clean_subject_pattern(self) -> str:
        pattern: str = self.cleaned_data["subject_pattern"]
        allowed = ", ".join("{{" + name + "}}" for name in PLACEHOLDERS)
        for written in _PLACEHOLDER.findall(pattern):
            if written not in PLACEHOLDERS:
                raise ValidationError(f"There is no placeholder {{{{{written}}}}}. Use {allowed}.")
        if "{" in (rest := _PLACEHOLDER.sub("", pattern)) or "}" in rest:
            raise ValidationError(f"A brace is left over. Placeholders are written {allowed}.")
        return pattern

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Topic.objects.filter(name__iexact=name).exists():
            raise ValidationError("A component has this name. Messages of other brands could not tell them apart.")
        return name

    def clean_is_default(self) -> bool:
        wanted: bool = self.cleaned_data["is_default"]
        others = Brand.objects.filter(is_default=True).exclude(pk=self.instance.pk)
        if not wanted and not others.exists():
            raise ValidationError("One brand must be the default. Make another one the default instead.")
        return wanted

    def _get_validation_exclusions(self) -> set[str]:
        # That only one is the default is not for the person to sort out: saving moves the mark.
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]  # the stubs leave it out


@admin.register(Brand)
class BrandAdmin(PastsAdmin, ModelAdmin):
    form = BrandForm
    list_display = ["name", "sender", "support_email", "default"]
    search_fields = ["name", "slug"]
    formfield_overrides = {models.URLField: {"assume_scheme": "https", "widget": UnfoldAdminURLInputWidget}}
    fieldsets = [
        (None, {"fields": ["name", "slug", "is_default"]}),
        ("Mail", {"fields": ["sender_name", "sender_email", "subject_pattern", "signature"]}),
        ("Where people reach you", {"fields": ["support_email", "support_url", "security_email"]}),
        ("Tone", {"fields": ["apologise", "publish_causes"]}),
    ]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Brand | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ["name"]}

    @display(description="Sender", ordering="sender_email")
    def sender(self, brand: Brand) -> str:
        return f"{brand.sender_name} <{brand.sender_email}>"

    @display(description="Default", label={"Default": "success"})
    def default(self, brand: Brand) -> str:
        return "Default" if brand.is_default else ""

    def has_delete_permission(self, request: HttpRequest, obj: Brand | None = None) -> bool:
        """The default brand stays: without it neither page nor mail can speak."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and obj.is_default)

    def save_model(self, request: HttpRequest, obj: Brand, form: Any, change: bool) -> None:
        with transaction.atomic():
            if obj.is_default:
                # One by one, so that each one's history tells it.
                for other in Brand.objects.select_for_update().filter(is_default=True).exclude(pk=obj.pk):
                    other.is_default = False
                    other.save(update_fields=["is_default"])
            super().save_model(request, obj, form, change)
