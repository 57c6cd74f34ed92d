"""How people of our own are reached: each for themselves, administrators for all (R-302)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from notifications import phones
from notifications.channels import registry
from notifications.enums import Channel
from notifications.models import Colleague

if TYPE_CHECKING:
    ColleagueModelForm = forms.ModelForm[Colleague]
else:
    ColleagueModelForm = forms.ModelForm


class ColleagueForm(ColleagueModelForm):
    """A number is checked like that of a subscriber, and asked for where texts are wanted."""

    #: As people type them, with spaces.
    phone = forms.CharField(
        label="Mobile number", required=False, max_length=phones.LONGEST, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        why = registry.off(Channel.SMS)
        if why and "phone" in self.fields:
            self.fields["phone"].help_text = f"Texts cannot be sent at present, e-mail goes out instead: {why}"

    def clean_phone(self) -> str:
        typed = self.cleaned_data["phone"].strip()
        return phones.normal(typed) if typed else ""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.cleaned_data.get("channel") == Channel.SMS and self.cleaned_data.get("phone") == "":
            self.add_error("phone", ValidationError("Say which number is texted.", code="required"))
        return cleaned


@admin.register(Colleague)
class ColleagueAdmin(ModelAdmin):
    form = ColleagueForm
    list_display = ["person", "channel", "where"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__first_name", "user__last_name", "user__email"]
    autocomplete_fields = ["user"]

    @display(description="Person", ordering="user__username")
    def person(self, row: Colleague) -> str:
        return str(row)

    @display(description="Where")
    def where(self, row: Colleague) -> str:
        if row.channel == Channel.SMS:
            return phones.shown(row.phone)
        return row.user.email or "no address: nothing reaches them"

    # --- everybody for themselves ---------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Who may not see the others is brought to their own form."""
        if self._sees_all(request) or not request.user.is_staff:
            page: HttpResponse = super().changelist_view(request, extra_context)
            return page
        own = Colleague.objects.filter(user=request.user.pk).first()
        if own is None:
            return redirect("admin:notifications_colleague_add")
        return redirect("admin:notifications_colleague_change", own.pk)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Colleague]:
        rows: QuerySet[Colleague] = super().get_queryset(request)
        return rows if self._sees_all(request) else rows.filter(user=request.user.pk)

    def get_fields(self, request: HttpRequest, obj: Colleague | None = None) -> list[str]:
        own = ["channel", "phone"]
        return ["user", *own] if self._may(request, "add" if obj is None else "change") else own

    def get_readonly_fields(self, request: HttpRequest, obj: Colleague | None = None) -> list[str]:
        return ["user"] if obj else []

    def save_model(self, request: HttpRequest, obj: Colleague, form: Any, change: bool) -> None:
        if obj.user_id is None:
            obj.user = cast(User, request.user)
        super().save_model(request, obj, form, change)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Colleague | None = None) -> bool:
        return self._is_own(request, obj) or self._sees_all(request)

    def has_change_permission(self, request: HttpRequest, obj: Colleague | None = None) -> bool:
        return self._is_own(request, obj) or self._may(request, "change")

    def has_add_permission(self, request: HttpRequest) -> bool:
        if self._may(request, "add"):
            return True
        return self._is_own(request, None) and not Colleague.objects.filter(user=request.user.pk).exists()

    def _is_own(self, request: HttpRequest, obj: Colleague | None) -> bool:
        return self.has_module_permission(request) and (obj is None or obj.user_id == request.user.pk)

    def _sees_all(self, request: HttpRequest) -> bool:
        return self._may(request, "view") or self._may(request, "change")

    def _may(self, request: HttpRequest, verb: str) -> bool:
        return request.user.has_perm(f"notifications.{verb}_colleague")
