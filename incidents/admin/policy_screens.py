"""What the screens of policies share: an act asked on GET and done on POST, and rows that freeze (R-102)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.options import InlineModelAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from incidents import policies
from incidents.models import (
    PolicyVersion,
)

FOLDER = "admin/incidents/policy"


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:incidents_{name}", args=args)


def link(href: str, words: object) -> SafeString:
    return format_html('<a class="text-primary-600 dark:text-primary-500 underline" href="{}">{}</a>', href, words)


def person(request: HttpRequest) -> User:
    """Who acts; the console lets nobody in without a name."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def act(
    request: HttpRequest,
    site: Any,
    *,
    title: str,
    sentences: list[str],
    button: str,
    cancel: str,
    do: Callable[[], HttpResponseRedirect],
    changes: list[tuple[str, str, str, str]] | None = None,
    flaws: list[str] | None = None,
) -> HttpResponse:
    """Ask on GET, do it on POST; a refusal is said in words where the person was."""
    if request.method == "POST":
        try:
            return do()
        except policies.PolicyError as error:
            messages.error(request, str(error))
            return redirect(cancel)
    context = site.each_context(request) | {
        "title": title,
        "sentences": sentences,
        "button": button,
        "cancel": cancel,
        "changes": changes,
        "flaws": flaws,
    }
    return TemplateResponse(request, f"{FOLDER}/confirm.html", context)


class Screen(ModelAdmin):
    """What the policy screens share: our stylesheet, and a refused save said in words."""

    class Media:
        css = {"all": ["incidents/policy.css"]}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = (extra_context or {}) | {"show_save_and_add_another": False}
        try:
            with transaction.atomic():
                response: HttpResponse = super().changeform_view(request, object_id, form_url, context)
                return response
        except policies.PolicyError as error:
            messages.error(request, str(error))
        except IntegrityError:
            # Rows are saved one by one: codes that change places meet on the way.
            messages.error(request, "Nothing was saved: two rows would have met on the way. Swap them in two steps.")
        return redirect(request.path)


class Hidden(Screen):
    """Reached from its policy only; not in the index."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False


if TYPE_CHECKING:
    AnyInline = InlineModelAdmin[Any, Any]
else:
    AnyInline = InlineModelAdmin


class DraftInline(AnyInline):
    """Rows of a version: written while it is a draft, read afterwards (R-102). ``version_of`` finds it."""

    extra = 0

    @staticmethod
    def version_of(parent: Any) -> PolicyVersion:
        return parent if isinstance(parent, PolicyVersion) else parent.version

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_draft(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_draft(obj) and super().has_delete_permission(request, obj)

    def _is_draft(self, parent: Any) -> bool:
        return parent is None or self.version_of(parent).is_draft
