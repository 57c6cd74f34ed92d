"""The screens of the runbook and of the tools (R-208, R-1204)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from incidents.models import RunbookStep, Tool
from tests import scene

pytestmark = pytest.mark.django_db

STEPS, TOOLS = "incidents_runbookstep", "incidents_tool"


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(scene.operator("root", is_superuser=True))
    return client


def add(client: Client, model: str, **typed: Any) -> dict[str, list[str]]:
    """What is wrong with the form; nothing where it was saved."""
    answer = client.post(reverse(f"admin:{model}_add"), {"position": "0", "is_active": "on"} | typed)
    return {} if answer.status_code == 302 else dict(answer.context["adminform"].form.errors)


def test_r208_a_line_is_added_and_worded_anew(root: Client) -> None:
    assert add(root, STEPS, kind="mitigation", name="Drain a node", slug="drain", risk="low", minutes="3") == {}
    step = RunbookStep.objects.get()
    change = reverse(f"admin:{STEPS}_change", args=[step.pk])
    typed = {"kind": "mitigation", "name": "Drain the node", "risk": "low", "minutes": "4", "position": "0"}
    assert root.post(change, typed).status_code == 302
    step.refresh_from_db()
    assert (step.slug, step.name, step.minutes, step.is_active) == ("drain", "Drain the node", 4, False)
    assert step.history.count() == 2


def test_r208_a_check_has_no_risk_and_no_time(root: Client) -> None:
    wrong = add(root, STEPS, kind="check", name="Look", slug="look", risk="low", minutes="3")
    assert wrong == {
        "risk": ["A check has no risk. Leave this blank, or make it a mitigation option."],
        "minutes": ["A check takes no fixed time. Leave this blank, or make it a mitigation option."],
    }


def test_r1204_an_unknown_placeholder_is_refused_at_the_address(root: Client) -> None:
    wrong = add(root, TOOLS, kind="grafana", name="Metrics", url="https://x.example/?q={service}")
    assert list(wrong) == ["url"]
    assert wrong["url"][0].startswith("Nothing fills {service}. Known are {from}, {to}")
    assert add(root, TOOLS, kind="grafana", name="Metrics", url=" https://x.example/?from={from} ") == {}
    assert Tool.objects.get().url == "https://x.example/?from={from}"


@pytest.mark.parametrize("model", [STEPS, TOOLS])
def test_the_lists_open_and_are_closed_to_those_without_the_right(root: Client, model: str) -> None:
    assert root.get(reverse(f"admin:{model}_changelist")).status_code == 200
    root.force_login(scene.operator("ann"))
    assert root.get(reverse(f"admin:{model}_changelist")).status_code == 403
    assert root.get(reverse(f"admin:{model}_add")).status_code == 403
