"""The console's screens of contracts: one form with all terms, import with a dry run, export (R-902)."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, cast

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Prefetch, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import action, display

from incidents.admin.filters import Lines
from notifications import exports, sheets, waiting
from notifications.admin.pasts import PastsAdmin
from postmortems.credits import contracts
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.contracts import ContractError, contract_imports
from postmortems.credits.contracts.contract_imports import Verdict
from postmortems.forms.contracts import ContractForm, TermForm, TermRows
from postmortems.models import Contract, Term

KIND = "contracts"
COLUMNS = (*contract_imports.REQUIRED, *contract_imports.OPTIONAL)


class TermInline(TabularInline):
    model = Term
    form = TermForm
    formset = TermRows
    extra = 0
    min_num = 1
    validate_min = True
    autocomplete_fields = ["components"]
    verbose_name, verbose_name_plural = "term", "terms"
    # Its dates stand in its row.
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Term]:
        rows: QuerySet[Term] = super().get_queryset(request)
        return rows.select_related("contract").prefetch_related("components")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever writes contracts may strike a term: its history stays."""
        return bool(request.user.has_perm("postmortems.change_contract"))


class CurrencyFilter(DropdownFilter):
    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        codes = Contract.objects.order_by("currency").values_list("currency", flat=True).distinct()
        return [(code, code) for code in codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Contract]) -> QuerySet[Contract]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


@admin.register(Contract)
class ContractAdmin(PastsAdmin, ModelAdmin):
    form = ContractForm
    inlines = [TermInline]
    list_display = ["reference", "customer", "plan_now", "fee_now", "policy", "zone"]
    list_filter = [
        CurrencyFilter,
        ("customer", AutocompleteSelectFilter),
        ("policy", AutocompleteSelectFilter),
    ]
    list_filter_submit = True
    list_per_page = 50
    list_select_related = ["customer", "policy"]
    show_full_result_count = False
    search_fields = ["reference", "customer__name", "customer__reference", "billing_account"]
    search_help_text = "Contract, customer, or their id at the billing system"
    autocomplete_fields = ["customer"]
    actions_list = ["import_contracts", "export_contracts"]
    fieldsets = [
        (None, {"fields": ["customer", "reference", "billing_account"]}),
        ("Service credits", {"fields": ["policy", "own_rules"]}),
        ("Billing", {"fields": ["currency", "zone", "billing_day"]}),
    ]

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Lines]:
        return Lines

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contract]:
        rows: QuerySet[Contract] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("terms", Term.objects.order_by("starts_on")))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Nothing is taken from the address: what is no id would be looked up all the same."""
        return {}

    def has_delete_permission(self, request: HttpRequest, obj: Contract | None = None) -> bool:
        """What was owed by it stays owed: a contract ends by the last day of its last term."""
        return False

    def has_import_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perms(["postmortems.add_contract", "postmortems.change_contract"]))

    def has_export_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_view_permission(request))

    def save_model(self, request: HttpRequest, obj: Contract, form: ModelForm[Contract], change: bool) -> None:
        """Nothing yet: a contract is written with its terms, in one act."""

    def save_related(self, request: HttpRequest, form: ModelForm[Contract], formsets: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        rows = formsets[0]
        contracts.save(form.instance, rows.drafts, by=request.user, at=timezone.now())
        # What the log of the console says was changed.
        rows.new_objects, rows.deleted_objects = [], []
        rows.changed_objects = [(one.instance, one.changed_data) for one in rows.forms if one.has_changed()]

    @display(description="Plan")
    def plan_now(self, contract: Contract) -> str:
        term = _now(contract)
        return (term.plan or "–") if term else "Not in force"

    @display(description="Monthly fee")
    def fee_now(self, contract: Contract) -> str:
        term = _now(contract)
        return contracts.fee_words(term, contract.currency) if term else "–"

    @action(description="Import", icon="upload", permissions=["import"], url_path="import")
    def import_contracts(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and "confirm" in request.POST:
            return _bring_in(request)
        context = self.admin_site.each_context(request) | {
            "title": "Import contracts",
            "opts": Contract._meta,
            "largest": sheets.LARGEST // 1_000_000,
            "first_column": "Contract",
            "nothing": "Nothing in this file would change anything.",
            "others": "Correct the first ones and try again.",
            "list_url": reverse("admin:postmortems_contract_changelist"),
            "import_url": reverse("admin:postmortems_contract_import_contracts"),
        }
        if request.method == "POST":
            context |= _try_out(request)
        page = "notifications/imports/report" if "report" in context else "postmortems/contract/import"
        return TemplateResponse(request, f"admin/{page}.html", context, status=422 if "problem" in context else 200)

    @action(description="Export", icon="download", permissions=["export"], url_path="export")
    def export_contracts(self, request: HttpRequest) -> HttpResponseBase:
        lines = export(Contract.objects.all())
        return StreamingHttpResponse(lines, headers=exports.as_file("contracts", timezone.now()))


def _now(contract: Contract) -> Term | None:
    """The term of today, in the contract's calendar near enough for a list."""
    today = timezone.now().date()
    return next(
        (
            term
            for term in contract.terms.all()
            if term.starts_on <= today and (term.last_day is None or today <= term.last_day)
        ),
        None,
    )


def export(rows: QuerySet[Contract]) -> Iterator[bytes]:
    """All terms as the import reads them, one line each, in constant memory (S23)."""
    yield exports.BOM
    yield from exports.written([COLUMNS])
    terms = Prefetch("terms", Term.objects.order_by("starts_on").prefetch_related("components"))
    full = rows.select_related("customer", "policy", "own_rules").prefetch_related(terms).order_by("pk")
    for contract in full.iterator(chunk_size=500):
        yield from exports.written(_cells(contract, term) for term in contract.terms.all())


def _cells(contract: Contract, term: Term) -> list[str]:
    used = "*" if term.uses_everything else ";".join(component.name for component in term.components.all())
    return [
        contract.reference,
        contract.customer.reference,
        str(term.starts_on),
        plain(term.fee_minor, contract.currency),
        contract.currency,
        contract.customer.name,
        str(term.last_day or ""),
        term.plan,
        used,
        contract.policy.slug,
        contract.own_rules.name if contract.own_rules else "",
        contract.zone,
        str(contract.billing_day),
        contract.billing_account,
    ]


def _try_out(request: HttpRequest) -> dict[str, Any]:
    """The dry run of an upload; the file waits under its owner's name for the button."""
    owner, at = request.user.pk or 0, timezone.now()
    waiting.forget(owner, KIND)
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        return {"problem": "Choose a file first."}
    try:
        report = contract_imports.run(cast(BinaryIO, file.file), by=None, at=at, dry=True)
    except sheets.BadFile as problem:
        return {"problem": str(problem)}
    return {
        "report": report,
        "new": contract_imports.writes(report),
        "counts": [(verdict.label, report.counts[verdict]) for verdict in Verdict],
        "hidden": report.total - report.counts[Verdict.SAME] - len(report.shown),
        "waiting": waiting.keep(file, owner=owner, kind=KIND, at=at) if contract_imports.writes(report) else None,
    }


def _bring_in(request: HttpRequest) -> HttpResponse:
    """The button under the report. Pressed twice it imports once."""
    assert isinstance(request.user, User)
    back = HttpResponseRedirect(reverse("admin:postmortems_contract_changelist"))
    file = waiting.take(request.POST["confirm"], owner=request.user.pk, kind=KIND)
    if file is None:
        messages.warning(request, "This file is no longer here. Was it imported already? If not, upload it again.")
        return back
    try:
        report = contract_imports.run(BytesIO(file), by=request.user, at=timezone.now(), dry=False)
    except ContractError as problem:
        messages.error(request, f"Contracts changed since the file was checked. {problem} Upload it again.")
        return back
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(Contract),
        object_repr="Import",
        action_flag=ADDITION,
        change_message=f"Imported {contract_imports.writes(report)} of {report.total} lines.",
    )
    messages.success(request, f"{contract_imports.writes(report)} of {report.total} lines imported.")
    return back
