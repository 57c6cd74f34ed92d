"""The five presets, loaded at NIGHT, and how a story names a policy or a level of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from incidents import policies
from incidents.models import ChannelRule, Contradiction, Duty, Policy, Severity, SupportTarget, UpdateTemplate
from tests.scene import NIGHT

LATER = NIGHT + timedelta(days=30)
PARTS = (Severity, Duty, ChannelRule, Contradiction, SupportTarget, UpdateTemplate)


@pytest.fixture
def presets(db: None) -> None:
    policies.load_presets(at=NIGHT)


def of(slug: str) -> Policy:
    return Policy.objects.get(slug=slug)


def level(slug: str, code: str) -> Severity:
    return Severity.objects.in_force().get(version__policy__slug=slug, code=code)
