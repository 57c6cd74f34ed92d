"""Screens of the console about money that are no model's."""

from django.contrib import admin
from django.urls import path

from postmortems.admin import acts, batches, giving, months, overview, reports

app_name = "money"
view = admin.site.admin_view

urlpatterns = [
    path("credits/", view(overview.overview), name="overview"),
    path("credits/live/", view(overview.live), name="live"),
    path("credits/reports/", view(reports.credits), name="reports"),
    path("credits/reports.csv", view(reports.credits_csv), name="reports_csv"),
    path("credits/months/<int:pk>/", view(months.month), name="month"),
    path("credits/months/<int:pk>/assess/", view(months.assess), name="assess"),
    path("credits/months/<int:pk>/goodwill/", view(giving.goodwill), name="goodwill"),
    path("credits/<int:pk>/reverse/", view(giving.reverse_credit), name="reverse"),
    path("credits/close/", view(batches.close_next), name="close_next"),
    path("credits/close/<str:typed>/", view(batches.close), name="close"),
    path("credits/act/<slug:slug>/", view(acts.act), name="act"),
]
