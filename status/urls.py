"""Addresses of the public page. Without a trailing slash they are for good (R-701)."""

from django.urls import path

from status import views

app_name = "status"

urlpatterns = [
    path("status", views.page, name="page"),
    path("status/", views.page),
    path("status/history", views.history, name="history"),
    path("status/incidents/<str:public_id>", views.incident, name="incident"),
    path("status/incidents/<str:public_id>/follow", views.follow, name="follow"),
    path("status/incidents/<str:public_id>/follow/<str:channel>", views.follow, name="follow_by"),
]
