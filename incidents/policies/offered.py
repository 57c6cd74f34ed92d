"""The policy that is offered first speaks for the organisation: its support targets are shown in public (R-104)."""

from __future__ import annotations

from django.db import transaction

from incidents.enums import Standing
from incidents.models import Policy, PolicyVersion, SupportTarget
from incidents.models.policy import PolicyError
from status import contact


@transaction.atomic
def offer_first(policy: Policy) -> None:
    """Make ``policy`` the default; the one that was steps back. Raises PolicyError when it never was in force."""
    version = policy.versions.filter(standing=Standing.IN_FORCE).first()
    if version is None:
        raise PolicyError(f"{policy} can be offered once a version is in force.")
    # One by one, so that each row's history says so.
    for other in Policy.objects.select_for_update().filter(is_default=True).exclude(pk=policy.pk):
        other.is_default = False
        other.save()
    policy.is_default = True
    policy.save()
    tell_answers(version)


def tell_answers(version: PolicyVersion) -> None:
    """Show in public within what time support answers, by ``version``."""
    contact.promise_answers((target.priority, _words(target)) for target in version.support_targets.all())


def _words(target: SupportTarget) -> str:
    unit = target.get_unit_display().removesuffix("s" if target.amount == 1 else "")
    return f"within {target.amount} {unit}"
