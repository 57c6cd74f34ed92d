"""What screens of other floors must not name to somebody (R-213)."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from incidents.models import Incident

#: What stands there instead.
RESTRICTED = "restricted"


def hidden_sources(user: AbstractBaseUser | AnonymousUser) -> set[str]:
    """Names in the ledger of impacts of restricted incidents this person may not know of. One query."""
    secret = Incident.objects.filter(is_restricted=True)
    hidden = secret.exclude(pk__in=secret.visible_to(user).values("pk"))
    return {Incident(reference=reference).source for reference in hidden.values_list("reference", flat=True)}
