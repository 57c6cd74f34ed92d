"""Where the demo organisation is not loaded."""

import pytest
from django.core.management import CommandError, call_command

from status.models import Component
from tests import scene


@pytest.mark.django_db
def test_another_organisation_is_left_alone() -> None:
    scene.brand()
    with pytest.raises(CommandError, match="belongs to another organisation"):
        call_command("demo")
    assert Component.objects.count() == 0


def test_production_stays_free_of_it(settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="stays out of it"):
        call_command("demo")
