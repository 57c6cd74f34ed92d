"""Where customers see their credits, under ``/credits/``."""

from django.urls import path

from postmortems import views

app_name = "credits"

urlpatterns = [
    path("<str:token>", views.statement, name="statement"),
    path("<str:token>/statement.pdf", views.pdf, name="pdf"),
]
