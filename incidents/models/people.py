"""People of an incident: who has which role, who may know of it, who looks at it now (R-204, R-213, F09)."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, Permission
from django.db import models
from django.db.models import Q, QuerySet

from incidents.enums import Role

#: Who is informed about security incidents: legal, CISO (R-213).
INFORMED = Q(content_type__app_label="incidents", codename="informed_of_security")


def permissions_informing(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Permission]:
    """That permission, if the person holds it by themselves or by a group; being a superuser is not enough."""
    # Nobody's key is 0; a missing one would ask for permissions that nobody holds.
    key = user.pk or 0
    return Permission.objects.filter(INFORMED).filter(Q(user=key) | Q(group__user=key))


def is_informed_of_security(user: AbstractBaseUser | AnonymousUser) -> bool:
    return permissions_informing(user).exists()


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def current(self) -> AssignmentQuerySet:
        return self.filter(until__isnull=True)


class Assignment(models.Model):
    """Who has a role of an incident, from when to when (R-204)."""

    incident = models.ForeignKey("incidents.Incident", models.CASCADE, related_name="assignments")
    role = models.CharField(max_length=20, choices=Role)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="assignments")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    assigned_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["since"]
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "role"], condition=Q(until__isnull=True), name="one_person_per_role_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}: {self.user}"


class Insider(models.Model):
    """Somebody who may know of a restricted incident without having a role in it (R-213)."""

    incident = models.ForeignKey("incidents.Incident", models.CASCADE, related_name="insiders")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=250, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="let_in_once_per_incident")]

    def __str__(self) -> str:
        return f"{self.user} in {self.incident_id}"


class Presence(models.Model):
    """Somebody who has the incident open now, and what they are doing there (F09). Forgotten after a minute."""

    incident = models.ForeignKey("incidents.Incident", models.CASCADE, related_name="presences")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    #: Slug of the act whose form is open; blank: only looking.
    act = models.CharField(max_length=30, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="one_presence_per_person")]

    def __str__(self) -> str:
        return f"{self.user} at {self.incident_id}"


class SavedForm(models.Model):
    """Words somebody has begun and not published yet: nothing typed is lost, and the dashboard reminds of it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    #: None: an incident is being declared.
    incident = models.ForeignKey(
        "incidents.Incident", models.CASCADE, null=True, blank=True, related_name="saved_forms"
    )
    act = models.CharField(max_length=30)
    #: Fields as they were sent, by name.
    values = models.JSONField(default=dict)
    saved_at = models.DateTimeField()

    class Meta:
        ordering = ["-saved_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "incident", "act"],
                condition=Q(incident__isnull=False),
                name="one_saved_form_per_person_and_act",
            ),
            models.UniqueConstraint(
                fields=["user", "act"], condition=Q(incident__isnull=True), name="one_saved_declaration_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} of {self.user}"
