"""Contracts by API: read, written whole, imported with a dry run (R-902, R-1203)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import django_filters
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from incidents.api import Holds
from incidents.models import Policy
from notifications import sheets
from notifications.models import Customer
from postmortems.credits import contracts
from postmortems.credits.arithmetic.money import MoneyError, parse, plain
from postmortems.credits.contracts import ContractError, TermDraft, contract_imports
from postmortems.models import Contract, RuleBook
from status.models import Component

READ = "postmortems.view_contract"
WRITE = ("postmortems.add_contract", "postmortems.change_contract")
EVERYTHING = "*"


class Named(serializers.SlugRelatedField):  # type: ignore[type-arg]  # generic to the checker only
    """A row by its name for people; a name that nobody knows is refused with the name."""

    default_error_messages = {"does_not_exist": "There is none called “{value}”."}


class TermBody(serializers.Serializer):  # type: ignore[type-arg]  # generic to the checker only
    """One term; ``components`` are names, or ``*`` for everything. ``fee`` is a decimal string of one month."""

    starts_on = serializers.DateField()
    last_day = serializers.DateField(allow_null=True, required=False, default=None)
    plan = serializers.CharField(max_length=60, allow_blank=True, required=False, default="")
    fee = serializers.CharField(max_length=30)
    components = serializers.JSONField()

    def validate_components(self, sent: Any) -> frozenset[int] | None:
        """Ids; None: everything."""
        if sent == EVERYTHING:
            return None
        if not isinstance(sent, list) or not all(isinstance(name, str) for name in sent):
            raise ValidationError("Send a list of names, or “*” for everything.")
        known: dict[str, int] = self.context["components"]
        if unknown := [name for name in sent if name not in known]:
            raise ValidationError(f"There is no component “{sheets.printable(unknown[0])}”.")
        return frozenset(known[name] for name in sent)

    def draft(self, typed: dict[str, Any], currency: str) -> TermDraft:
        used = typed["components"]
        return TermDraft(
            starts_on=typed["starts_on"],
            fee_minor=parse(typed["fee"], currency),
            last_day=typed["last_day"],
            plan=typed["plan"],
            uses_everything=used is None,
            components=used or frozenset(),
        )


class ContractBody(serializers.Serializer):  # type: ignore[type-arg]  # generic to the checker only
    customer = Named(slug_field="reference", queryset=Customer.objects.all())
    policy = Named(slug_field="slug", queryset=Policy.objects.all())
    rules = Named(slug_field="name", queryset=RuleBook.objects.all(), allow_null=True, required=False, default=None)
    currency = serializers.CharField(max_length=3)
    zone = serializers.CharField(max_length=60, required=False, default="UTC")
    billing_day = serializers.IntegerField(required=False, default=1)
    billing_account = serializers.CharField(max_length=80, allow_blank=True, required=False, default="")
    terms = TermBody(many=True, allow_empty=False)


class ContractFilter(django_filters.FilterSet):
    customer = django_filters.CharFilter(field_name="customer__reference")
    policy = django_filters.CharFilter(field_name="policy__slug")

    class Meta:
        model = Contract
        fields = ["customer", "policy", "currency", "billing_account"]


class ByReference(CursorPagination):
    ordering = "reference"


def described(contract: Contract) -> dict[str, Any]:
    """As it is answered, and as it can be sent back."""
    return {
        "reference": contract.reference,
        "customer": contract.customer.reference,
        "policy": contract.policy.slug,
        "rules": contract.own_rules.name if contract.own_rules else None,
        "currency": contract.currency,
        "zone": contract.zone,
        "billing_day": contract.billing_day,
        "billing_account": contract.billing_account,
        "terms": [
            {
                "starts_on": term.starts_on,
                "last_day": term.last_day,
                "plan": term.plan,
                "fee": plain(term.fee_minor, contract.currency),
                "fee_minor": term.fee_minor,
                "components": EVERYTHING
                if term.uses_everything
                else sorted(component.name for component in term.components.all()),
            }
            for term in contract.terms.all()
        ],
    }


def _all() -> QuerySet[Contract]:
    return Contract.objects.select_related("customer", "policy", "own_rules").prefetch_related("terms__components")


class Contracts(ListAPIView):  # type: ignore[type-arg]  # generic to the checker only
    """``GET ?customer=&policy=&currency=&billing_account=`` → contracts with their terms, by reference."""

    permission_classes = [Holds]
    needed = (READ,)
    filterset_class = ContractFilter
    pagination_class = ByReference

    def get_queryset(self) -> QuerySet[Contract]:
        return _all()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([described(contract) for contract in page or ()])


class OneContract(APIView):
    """``GET`` → a contract; ``PUT`` writes it whole with all its terms, whether it was there or not."""

    permission_classes = [Holds]

    @property
    def needed(self) -> tuple[str, ...]:
        return WRITE if self.request.method == "PUT" else (READ,)

    def get(self, request: Request, reference: str) -> Response:
        return Response(described(get_object_or_404(_all(), reference=_known(reference))))

    def put(self, request: Request, reference: str) -> Response:
        components = dict(Component.objects.values_list("name", "pk"))
        body = ContractBody(data=request.data, context={"components": components})
        body.is_valid(raise_exception=True)
        typed = body.validated_data
        terms = _drafts(typed)
        with transaction.atomic():
            contract = Contract.objects.filter(reference=_known(reference)).first() or Contract(reference=reference)
            new = contract.pk is None
            for name in ("customer", "policy", "currency", "zone", "billing_day", "billing_account"):
                setattr(contract, name, typed[name])
            contract.own_rules = typed["rules"]
            try:
                assert isinstance(request.user, User)
                contracts.save(contract, terms, by=request.user, at=timezone.now())
            except ContractError as error:
                raise ValidationError(_errors(error)) from error
        return Response(described(_all().get(pk=contract.pk)), status=201 if new else 200)


class ContractImport(APIView):
    """``POST {"csv": text, "dry_run": true}`` → what becomes, or became, of the lines; columns as in the console."""

    permission_classes = [Holds]
    needed = WRITE

    def post(self, request: Request) -> Response:
        sent = request.data if isinstance(request.data, dict) else {}
        text, dry = sent.get("csv"), sent.get("dry_run", True)
        if not isinstance(text, str):
            raise ValidationError({"csv": ["Send the text of the file."]})
        if not isinstance(dry, bool):
            raise ValidationError({"dry_run": ["true or false; true writes nothing."]})
        assert isinstance(request.user, User)
        try:
            report = contract_imports.run(BytesIO(text.encode()), by=request.user, at=timezone.now(), dry=dry)
        except sheets.BadFile as problem:
            raise ValidationError({"csv": [str(problem)]}) from problem
        return Response(
            {
                "dry_run": dry,
                "lines": report.total,
                "counts": {verdict.value: report.counts[verdict] for verdict in contract_imports.Verdict},
                "findings": [
                    {
                        "line": one.number,
                        "verdict": one.verdict.value,
                        "contract": one.named,
                        "words": one.words,
                    }
                    for one in report.shown
                ],
            }
        )


def _known(reference: str) -> str:
    """No reference holds a NUL, and PostgreSQL refuses to look for one."""
    if "\x00" in reference or len(reference) > 60:
        raise ValidationError({"reference": ["This is no number of a contract."]})
    return reference


def _drafts(typed: dict[str, Any]) -> list[TermDraft]:
    drafts, errors = [], {}
    for place, term in enumerate(typed["terms"]):
        try:
            drafts.append(TermBody().draft(term, typed["currency"]))
        except MoneyError as error:
            errors[str(place)] = {"fee": [str(error)]}
    if errors:
        raise ValidationError({"terms": errors})
    return drafts


def _errors(error: ContractError) -> dict[str, Any]:
    """By field; those of terms by their place, as the framework tells its own."""
    found: dict[str, Any] = {}
    for where, words in error.problems.items():
        if isinstance(where, tuple):
            place, name = where
            found.setdefault("terms", {}).setdefault(str(place), {})[name] = [words]
        else:
            found[where] = [words]
    return found
