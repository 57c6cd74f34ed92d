"""Screens of the console about money that are no model's."""

from django.contrib import admin
from django.urls import path

from postmortems.admin import acts, batches, giving, months, overview, reports, statements

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
    path("credits/statements/<int:pk>/", view(statements.statement), name="statement"),
    path("credits/statements/<int:pk>.pdf", view(statements.pdf), name="statement_pdf"),
    path("credits/statements/<int:pk>/link/", view(statements.give_link), name="statement_link"),
    path("credits/statements/<int:pk>/revoke/", view(statements.revoke_link), name="statement_revoke"),
    path("credits/statements/<int:pk>/stripe/", view(statements.ask_stripe_again), name="stripe_again"),
    path("credits/act/<slug:slug>/", view(acts.act), name="act"),
]
