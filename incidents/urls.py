"""Screens of the console that are no model's."""

from django.contrib import admin
from django.urls import path

from incidents.admin import affected
from incidents.admin.reports import obligations, obligations_csv

app_name = "desk"
view = admin.site.admin_view

urlpatterns = [
    path("affected/", view(affected.search), name="affected"),
    path("affected/<path:reference>/", view(affected.customer), name="affected_customer"),
    path("reports/obligations/", view(obligations), name="obligations"),
    path("reports/obligations.csv", view(obligations_csv), name="obligations_csv"),
]
