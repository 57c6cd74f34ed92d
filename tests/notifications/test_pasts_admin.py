"""Earlier versions of configuration are looked at, never saved, by whoever looks (R-1201, R-1202)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from incidents.models import Policy, RunbookStep, Tool, UpdateTemplate
from notifications.models import Brand, Customer
from status.models import Component
from tests import scene

pytestmark = pytest.mark.django_db


def rows() -> list[Component | Brand | Policy | UpdateTemplate | RunbookStep | Tool | Customer]:
    policy = Policy.objects.create(slug="ours", name="Ours")
    return [
        scene.component("API"),
        scene.brand(),
        policy,
        UpdateTemplate.objects.create(policy=policy, phase="investigating", name="First words", body="We look."),
        RunbookStep.objects.create(kind="check", slug="logs", name="Error logs"),
        Tool.objects.create(name="Dashboards", url="https://grafana.example/d/1"),
        Customer.objects.create(name="Fabrikam", reference="CU-1"),
    ]


@pytest.mark.parametrize("place", range(7))
def test_r1201_an_earlier_version_is_shown_and_nothing_posted_to_it_is_saved(client: Client, place: int) -> None:
    row = rows()[place]
    meta = row._meta
    ann = scene.operator()
    wanted = Permission.objects.filter(content_type__app_label=meta.app_label, codename=f"view_{meta.model_name}")
    ann.user_permissions.set(wanted)
    client.force_login(ann)
    history = row.history.first()
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_simple_history", args=[row.pk, history.pk])
    assert client.get(url).status_code == 200
    before = type(row)._default_manager.filter(pk=row.pk).values().get()
    typed = {name: value for name, value in before.items() if value is not None} | {"name": "Taken over"}
    assert client.post(url, typed).status_code == 405
    assert type(row)._default_manager.filter(pk=row.pk).values().get() == before


def test_an_address_that_names_no_component_leads_back(admin_client: Client) -> None:
    assert admin_client.get("/admin/status/component/__fk__/change/").status_code == 302
