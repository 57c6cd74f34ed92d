"""Where providers call us. The addresses stand in their consoles: never change them."""

from django.urls import path

from notifications import inbound, tracking

app_name = "hooks"

urlpatterns = [
    path("twilio/status/<name>", inbound.status, name="twilio_status"),
    path("twilio/texts", inbound.texts, name="twilio_texts"),
    path("mail/<slug:esp>/", tracking.hear, name="mail"),
]
