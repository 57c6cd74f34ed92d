"""Addresses of the subscription pages. They stand in mail that people keep: never change them."""

from django.urls import path

from notifications import views

app_name = "subscriptions"

urlpatterns = [
    path("subscribe", views.subscribe, name="subscribe"),
    path("confirm/<token>", views.confirm, name="confirm"),
    path("manage/<token>", views.manage, name="manage"),
    path("unsubscribe/<token>", views.unsubscribe, name="unsubscribe"),
]
