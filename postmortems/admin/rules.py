"""Rules for service credits in the console: read as sentences, drafted on one form, put in force as an act (R-901)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from notifications.admin.pasts import PastsAdmin
from postmortems.credits.arithmetic import tryout
from postmortems.credits.arithmetic.months import first
from postmortems.credits.facts.ruling import rules_of
from postmortems.credits.rules import dryrun, rulebooks, rulewords
from postmortems.credits.rules.rulechecks import Rung
from postmortems.forms.rules import BookForm, DraftForm, ForceForm
from postmortems.models import RuleBook, RulesError, RuleVersion

from . import dryruns

WRITE, FORCE = "postmortems.change_ruleversion", "postmortems.put_rules_in_force"
FOLDER = "admin/postmortems/rules"


@admin.register(RuleBook)
class RuleBookAdmin(PastsAdmin, ModelAdmin):
    list_display = ("named", "meant_for", "shown_in_force", "shown_next", "shown_draft")
    list_display_links = None
    list_select_related = ("policy",)
    search_fields = ("name", "plan")
    actions = None
    list_before_template = f"{FOLDER}/before.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuleBook]:
        found: QuerySet[RuleBook] = super().get_queryset(request)
        return found.prefetch_related(Prefetch("versions", RuleVersion.objects.order_by("-number"), to_attr="known"))

    @admin.display(description="Rules", ordering="name")
    def named(self, book: RuleBook) -> SafeString:
        return format_html('<a class="hg-named" href="{}">{}</a>', url("change", book.pk), book.name)

    @admin.display(description="For")
    def meant_for(self, book: RuleBook) -> str:
        return meant_for(book)

    @admin.display(description="In force")
    def shown_in_force(self, book: Any) -> str:
        now = rulebooks.holding(book.known, first(timezone.now().date()))
        return f"v{now.number} {since(now)}" if now else rulewords.BLANK

    @admin.display(description="Next")
    def shown_next(self, book: Any) -> str:
        this = first(timezone.now().date())
        ahead = [one for one in book.known if not one.is_draft and one.applies_from and one.applies_from > this]
        return ", ".join(f"v{one.number} {since(one)}" for one in reversed(ahead)) or rulewords.BLANK

    @admin.display(description="Draft")
    def shown_draft(self, book: Any) -> SafeString | str:
        for version in book.known:
            if version.is_draft:
                return format_html('<a href="{}">v{}</a>', url_of(version), version.number)
        return rulewords.BLANK

    # --- who may what: acts, no fields ---

    def has_change_permission(self, request: HttpRequest, obj: RuleBook | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RuleBook | None = None) -> bool:
        return False

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        view, at = self.admin_site.admin_view, "postmortems_rulebook"
        inherited: list[URLPattern] = super().get_urls()
        own = [
            path("versions/<int:pk>/", view(version), name=f"{at}_version"),
            path("versions/<int:pk>/discard/", view(discard), name=f"{at}_discard"),
            path("versions/<int:pk>/put-in-force/", view(put_in_force), name=f"{at}_force"),
            path("<int:pk>/draft/", view(start_draft), name=f"{at}_draft"),
            path("dry-runs/", view(dryruns.ask), name=f"{at}_dryruns"),
            path("dry-runs/<int:pk>/", view(dryruns.run), name=f"{at}_dryrun"),
            path("dry-runs/<int:pk>/live/", view(dryruns.live), name=f"{at}_dryrun_live"),
            path("dry-runs/<int:pk>/credits.csv", view(dryruns.csv_file), name=f"{at}_dryrun_csv"),
        ]
        return own + inherited

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return add(request)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, object_id)
        if found is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        return book(request, found)


# --- a book ------------------------------------------------------------------------------


def add(request: HttpRequest) -> HttpResponse:
    """A new book; its draft is opened at once."""
    form = BookForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            made = rulebooks.create(**form.cleaned_data, by=person(request), at=timezone.now())
        except RulesError as refused:
            form.refuse("policy" if "policy" in str(refused) else "name", str(refused))
        else:
            messages.success(request, f"{made} are there, with an empty draft. Fill it, then put it in force.")
            return redirect(url_of(made.versions.get()))
    return page(request, "add", title="New credit rules", form=form, cancel=url("changelist"))


def book(request: HttpRequest, found: RuleBook) -> HttpResponse:
    """What the rules say today, and all their versions with what each changed. Six queries of its own."""
    versions = list(found.versions.select_related("in_force_by", "drafted_by").prefetch_related("tiers"))
    this = first(timezone.now().date())
    now = rulebooks.holding(versions, this)
    return page(
        request,
        "book",
        title=found.name,
        book=found,
        meant_for=meant_for(found),
        now=now,
        since=since(now) if now else "",
        tiers=rulewords.sentences(now.tiers.all()) if now else [],
        settings=rulewords.settings(now) if now else [],
        versions=[(one, since(one), _changes(one, versions), _standing(one, now, this)) for one in versions],
        draft=next((one for one in versions if one.is_draft), None),
        contracts=found.contracts.count(),
        may_write=request.user.has_perm(WRITE),
        may_try=request.user.has_perm(dryruns.ASK),
        history=reverse("admin:postmortems_rulebook_history", args=[found.pk]),
    )


def _changes(version: RuleVersion, versions: Sequence[RuleVersion]) -> list[tuple[str, str, str]]:
    """What it changed against the version before; nothing for the first."""
    before = next((one for one in versions if one.number == version.number - 1), None)
    if before is None:
        return []
    return rulewords.differences(before, list(before.tiers.all()), version, list(version.tiers.all()))


def _standing(version: RuleVersion, now: RuleVersion | None, this: Any) -> tuple[str, str]:
    """(colour, words) of where a version stands today."""
    if version.is_draft:
        return "yellow", "Draft"
    if version == now:
        return "green", "In force"
    if version.applies_from and version.applies_from > this:
        return "blue", "Next"
    return "grey", "Earlier"


def start_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: the draft, which is begun from the newest version where there is none."""
    require(request, WRITE)
    found = get_object_or_404(RuleBook, pk=pk)
    if request.method != "POST":
        return redirect(url("change", found.pk))
    draft = rulebooks.start_draft(found, by=person(request), at=timezone.now())
    return redirect(url_of(draft))


# --- a version ---------------------------------------------------------------------------


def version(request: HttpRequest, pk: int) -> HttpResponse:
    """A draft on one form, for those who may write it; otherwise to read."""
    require(request, "postmortems.view_ruleversion")
    found = get_object_or_404(RuleVersion.objects.select_related("book__policy", "drafted_by", "in_force_by"), pk=pk)
    if not (found.is_draft and request.user.has_perm(WRITE)):
        if request.method == "POST":
            messages.error(request, f"{found} can no longer be changed. Start a new version.")
            return redirect(url_of(found))
        return _read(request, found)
    sent = request.POST if request.method == "POST" else None
    form = DraftForm(sent, version=found, saved=list(found.tiers.all()), ladder=rulebooks.ladder(found.book))
    if sent and form.is_valid() and "_more" not in sent:
        return _save(request, found, form)
    return _edit(request, found, form)


def _read(request: HttpRequest, found: RuleVersion) -> HttpResponse:
    tiers = list(found.tiers.all())
    before = found.book.versions.filter(number__lt=found.number).prefetch_related("tiers").first()
    changes = rulewords.differences(before, list(before.tiers.all()), found, tiers) if before else []
    return page(
        request,
        "version",
        title=str(found),
        version=found,
        since=since(found),
        tiers=rulewords.sentences(tiers),
        settings=rulewords.settings(found),
        before=before,
        changes=changes,
        trial=_trial(request, found, rulebooks.ladder(found.book)),
        back=url("change", found.book_id),
    )


def _save(request: HttpRequest, found: RuleVersion, form: DraftForm) -> HttpResponse:
    try:
        rulebooks.write(found, fields=form.said, tiers=form.tiers)
    except RulesError as refused:
        form.add_error(None, str(refused))
        return _edit(request, found, form)
    flaws = form.flaws
    points = "One point keeps" if flaws == 1 else f"{flaws} points keep"
    messages.success(request, f"{found} is saved." + (f" {points} it from being put in force." if flaws else ""))
    return redirect(url("force", found.pk) if "_force" in request.POST and not flaws else url_of(found))


def _edit(request: HttpRequest, found: RuleVersion, form: DraftForm) -> HttpResponse:
    if form.is_bound and "_more" in request.POST:
        # Rows were asked for: what is wrong is said when it is saved.
        form.errors.clear()
    return page(
        request,
        "edit",
        title=str(found),
        version=found,
        form=form,
        trial=_trial(request, found, form.ladder),
        may_force=request.user.has_perm(FORCE),
        may_try=request.user.has_perm(dryruns.ASK),
        back=url("change", found.book_id),
    )


def _trial(request: HttpRequest, found: RuleVersion, ladder: Sequence[Rung]) -> dict[str, Any]:
    """What is typed into the box that tries rules, and what it comes to by what is saved."""
    ranks = {f"Rank {rank}": rank for rank in (1, 2, 3, 4)} | {rung.code: rung.rank for rung in ladder}
    worst, next_one = (ladder[0].code, ladder[min(1, len(ladder) - 1)].code) if ladder else ("Rank 1", "Rank 2")
    typed = request.GET.get("incidents", "")[:300]
    trial: dict[str, Any] = {"typed": typed, "example": f"{worst} 2h, {next_one} 5h overlapping"}
    if typed:
        try:
            trial["result"], trial["words"] = tryout.tried(typed, rules_of(found), ranks)
        except RulesError as refused:
            trial["error"] = str(refused)
    return trial


def discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked on GET; a POST throws the draft away."""
    require(request, WRITE)
    found = get_object_or_404(RuleVersion.objects.select_related("book"), pk=pk)
    if request.method != "POST":
        tiers = rulewords.sentences(found.tiers.all())
        return page(request, "discard", title=f"Discard {found}", version=found, tiers=tiers, back=url_of(found))
    try:
        rulebooks.discard(found)
        messages.success(request, f"The draft {found} is discarded.")
    except RulesError as refused:
        messages.error(request, str(refused))
    return redirect(url("change", found.book_id))


def put_in_force(request: HttpRequest, pk: int) -> HttpResponse:
    """From when, what changes, and what the current month would come to; a POST does it."""
    require(request, FORCE)
    found = get_object_or_404(RuleVersion.objects.select_related("book__policy", "drafted_by"), pk=pk)
    if not found.is_draft:
        messages.info(request, f"{found} is in force already.")
        return redirect(url("change", found.book_id))
    at = timezone.now()
    first_of_all = not found.book.versions.exclude(pk=found.pk).exists()
    usual = {"start": ForceForm.MONTH, "month": f"{rulebooks.usual_start(at):%Y-%m}"}
    form = ForceForm(request.POST if request.method == "POST" else None, initial=usual)
    if form.is_bound and form.is_valid():
        try:
            rulebooks.put_in_force(found, applies_from=form.cleaned_data["applies_from"], by=person(request), at=at)
        except RulesError as refused:
            form.refuse("month" if form.cleaned_data["applies_from"] else "start", str(refused))
        else:
            found.refresh_from_db()
            messages.success(request, f"{found} is in force {since(found)}.")
            return redirect(url("change", found.book_id))
    tiers = list(found.tiers.all())
    before = found.book.versions.exclude(pk=found.pk).prefetch_related("tiers").first()
    wrong = [finding for finding in rulebooks.check(found) if finding.is_error]
    return page(
        request,
        "force",
        title=f"Put {found} in force",
        version=found,
        form=form,
        tiers=rulewords.sentences(tiers),
        before=before,
        changes=rulewords.differences(before, list(before.tiers.all()), found, tiers) if before else [],
        wrong=wrong,
        first_of_all=first_of_all,
        through=rulebooks.closed_through(),
        month=first(at.date()),
        glance=None if wrong else dryrun.glance(found, at.date(), at=at),
        back=url_of(found),
    )


# --- shared ------------------------------------------------------------------------------


def page(request: HttpRequest, name: str, **context: Any) -> HttpResponse:
    return render(request, f"{FOLDER}/{name}.html", admin.site.each_context(request) | context)


def url(name: str, *args: object) -> str:
    return reverse(f"admin:postmortems_rulebook_{name}", args=args)


def url_of(version: RuleVersion) -> str:
    return url("version", version.pk)


def since(version: RuleVersion) -> str:
    """``for months from December 2026``; of a draft nothing."""
    if version.is_draft:
        return ""
    return f"for months from {version.applies_from:%B %Y}" if version.applies_from else "for all months"


def meant_for(book: RuleBook) -> str:
    """Whose rules they are, in words."""
    if book.policy is None:
        return "Single contracts"
    return (
        f"{book.policy.name}, plan {book.plan}"
        if book.plan
        else f"{book.policy.name}, plans without rules of their own"
    )


def person(request: HttpRequest) -> User:
    """Who acts; the console lets nobody in without a name."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied
