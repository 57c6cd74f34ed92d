"""Addresses of the subscription pages. They stand in mail that people keep: never change them."""

from django.urls import path

from notifications import endpoint_views, views

app_name = "subscriptions"

urlpatterns = [
    path("subscribe", views.subscribe, name="subscribe"),
    path("subscribe/<channel>", views.subscribe, name="subscribe_by"),
    path("code", views.enter, name="enter"),
    path("manage", views.ask, name="ask"),
    path("webhooks", endpoint_views.documentation, name="webhooks"),
    path("webhook/confirm/<token>", endpoint_views.confirm, name="confirm_webhook"),
    path("webhook/<token>", endpoint_views.webhook, name="webhook"),
    path("confirm/<token>", views.confirm, name="confirm"),
    path("manage/<token>", views.manage, name="manage"),
    path("unsubscribe/<token>", views.unsubscribe, name="unsubscribe"),
]
