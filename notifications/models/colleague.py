"""How people of our own are reached about their duties (R-302)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications.enums import Channel

#: Ways to one person of our own; chat rooms belong to many.
OWN_CHANNELS = [(channel.value, channel.label) for channel in (Channel.EMAIL, Channel.SMS)]


class Colleague(models.Model):
    """A person's own channel; whoever has no row is reached by the e-mail address of their login."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="colleague", verbose_name="person"
    )
    channel = models.CharField(
        "reached by",
        max_length=20,
        choices=OWN_CHANNELS,
        default=Channel.EMAIL,
        help_text="E-mail goes to the address of the login, and wherever texts cannot be sent.",
    )
    #: In E.164.
    phone = models.CharField("mobile number", max_length=20, blank=True)

    class Meta:
        ordering = ["user__username"]
        constraints = [
            models.CheckConstraint(condition=~Q(channel=Channel.SMS) | ~Q(phone=""), name="who_is_texted_has_a_number"),
        ]

    def __str__(self) -> str:
        return self.user.get_full_name() or self.user.get_username()
