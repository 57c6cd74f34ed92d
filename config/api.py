"""The API's addresses, under ``/api/v1/`` (R-1203)."""

from django.urls import path, re_path

from incidents import api
from postmortems.api import batches, contracts, credits, rules
from postmortems.api.affected import CustomerAffected
from postmortems.api.reports import CreditsReport

app_name = "api"

urlpatterns = [
    path("severity-proposals", api.SeverityProposals.as_view(), name="severity_proposals"),
    path("customers/<path:reference>/affected", CustomerAffected.as_view(), name="customer_affected"),
    path("reports/obligations", api.ObligationsReport.as_view(), name="obligations"),
    path("reports/credits", CreditsReport.as_view(), name="credits_report"),
    path("credits", credits.Credits.as_view(), name="credits"),
    path("credits/approve", credits.Approve.as_view(), name="credits_approve"),
    path("credits/return", credits.GiveBack.as_view(), name="credits_return"),
    path("credits/keep", credits.Keep.as_view(), name="credits_keep"),
    path("credits/stop", credits.Stop.as_view(), name="credits_stop"),
    path("credits/applied", credits.Applied.as_view(), name="credits_applied"),
    path("credits/<int:pk>", credits.OneCredit.as_view(), name="credit"),
    path("credits/<int:pk>/reverse", credits.Reverse.as_view(), name="credit_reverse"),
    path("batches", batches.Batches.as_view(), name="batches"),
    path("batches/<str:number>", batches.OneBatch.as_view(), name="batch"),
    path("batches/<str:number>/file.<str:kind>", batches.BatchFile.as_view(), name="batch_file"),
    path("months/<str:month>/close", batches.Close.as_view(), name="month_close"),
    path("contracts", contracts.Contracts.as_view(), name="contracts"),
    path("contracts/import", contracts.ContractImport.as_view(), name="contracts_import"),
    path("contracts/<path:reference>", contracts.OneContract.as_view(), name="contract"),
    path("rule-books", rules.RuleBooks.as_view(), name="rule_books"),
    path("rule-versions/<int:pk>", rules.OneVersion.as_view(), name="rule_version"),
    path("dry-runs", rules.DryRuns.as_view(), name="dry_runs"),
    path("dry-runs/<int:pk>", rules.OneDryRun.as_view(), name="dry_run"),
    # Last: programs are told as JSON that there is nothing else.
    re_path("", api.Nowhere.as_view(), name="nowhere"),
]
