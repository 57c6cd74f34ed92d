"""Months are kept up to date: whatever changes, the month comes to the right amount again (R-903)."""

from __future__ import annotations

import pytest

from postmortems.credits import assessing
from postmortems.models import Assessment, ContractMonth, Credit, OutageFacts, Touch
from tests.postmortems import stage
from tests.postmortems.stage import DAY, HOUR, NOON

pytestmark = pytest.mark.django_db
LATER = NOON + 2 * DAY


def test_r903_an_incident_that_is_resolved_becomes_a_proposal() -> None:
    stage.rules()
    stage.contract()
    stage.resolved()
    assert assessing.sweep(LATER) == 1
    month = ContractMonth.objects.get()
    assert (month.month, month.assessed_minor, month.estimate_minor) == (stage.OCTOBER, 10_000, 10_000)
    assert (month.stale_since, month.is_running) == (None, False)
    assert [(one.amount_minor, one.state) for one in Credit.objects.all()] == [(10_000, "proposed")]
    assert (Assessment.objects.count(), OutageFacts.objects.count(), Touch.objects.count()) == (1, 1, 1)
    assert assessing.sweep(LATER) == 0
