"""The API's addresses, under ``/api/v1/`` (R-1203)."""

from django.urls import path, re_path

from incidents import api

app_name = "api"

urlpatterns = [
    path("severity-proposals", api.SeverityProposals.as_view(), name="severity_proposals"),
    path("customers/<path:reference>/affected", api.CustomerAffected.as_view(), name="customer_affected"),
    path("reports/obligations", api.ObligationsReport.as_view(), name="obligations"),
    # Last: programs are told as JSON that there is nothing else.
    re_path("", api.Nowhere.as_view(), name="nowhere"),
]
