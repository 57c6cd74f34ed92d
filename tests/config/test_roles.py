"""Each role sees and does its part only, at every address there is (R-1202, S06, S07)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.test import Client

from config.demo import people
from incidents import maintenance, runbook
from incidents.admin.deeds import DEEDS
from incidents.enums import MaintenanceState
from incidents.models import Incident, Maintenance, RunbookStep, Tool
from notifications.models import Colleague, Customer
from postmortems.admin.acts import ACTS as ACTS_ON_CREDITS
from postmortems.models import Credit
from tests import scene
from tests.incidents import desk
from tests.postmortems import console, stage
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
INCIDENTS, WORKS = "/admin/incidents/incident/", "/admin/incidents/maintenance/"


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NIGHT + minutes(20), tick=False):
        yield


@pytest.fixture
def incident() -> Incident:
    runbook.load()
    Tool.objects.create(name="Board", url="https://grafana.example/")
    Customer.objects.create(reference="C-1", name="Contoso")
    maintenance.schedule(
        title="Move the database",
        severity=scene.severity("M", 4, is_maintenance=True, duties=[]),
        brand=scene.brand(),
        components=[scene.component()],
        planned_start_at=NIGHT + timedelta(days=8),
        planned_end_at=NIGHT + timedelta(days=8, hours=1),
        what_changes="Another rack.",
        rollback_plan="Back to the old one.",
        draft=None,
        by=scene.operator(),
        at=NIGHT,
    )
    console.proposed(stage.contract(), 5_000)
    return scene.incident()


def login(role: str) -> Client:
    user = scene.operator("somebody")
    user.groups.add(people.make_roles()[role])
    client = Client()
    client.force_login(user)
    return client


#: What a role may open besides its dashboard: letters of the addresses below.
OPENS = {
    "Support": "screen list declare maintenance plan report customer",
    "Communications": "screen list declare maintenance plan report customer runbook tool template impact notice"
    " credits credit money sums exclusions",
    "Incident commander": "screen list declare maintenance plan report customer runbook tool template impact notice"
    " new-line new-tool credits credit money sums exclusions",
    "Finance": "screen list maintenance report customer credits credit money sums exclusions"
    " approve return stop keep apply goodwill reverse exclude",
    "Auditor": "screen list maintenance report customer runbook tool template impact notice"
    " credits credit money sums exclusions",
    "Legal and CISO": "screen list maintenance report",
}


def addresses(incident: Incident) -> dict[str, str]:
    return {
        "screen": desk.screen_of(incident),
        "list": INCIDENTS,
        "declare": desk.ADD,
        "maintenance": f"{WORKS}{Maintenance.objects.get().pk}/change/",
        "plan": f"{WORKS}add/",
        "report": "/admin/reports/obligations.csv",
        "customer": "/admin/affected/C-1/",
        "runbook": f"/admin/incidents/runbookstep/{RunbookStep.objects.all()[0].pk}/change/",
        "tool": "/admin/incidents/tool/",
        "template": "/admin/incidents/updatetemplate/",
        "impact": "/admin/status/impact/",
        "notice": "/admin/status/notice/",
        "new-line": "/admin/incidents/runbookstep/add/",
        "new-tool": "/admin/incidents/tool/add/",
        "people": "/admin/auth/user/",
        **money(),
    }


def money() -> dict[str, str]:
    """Addresses about the one credit there is."""
    credit = Credit.objects.get()
    acts = {slug: f"/admin/credits/act/{slug}/?ids={credit.pk}" for slug in ACTS_ON_CREDITS}
    return acts | {
        "money": "/admin/credits/",
        "credits": "/admin/postmortems/credit/",
        "credit": f"/admin/postmortems/credit/{credit.pk}/change/",
        "sums": "/admin/credits/reports.csv",
        "goodwill": f"/admin/credits/months/{credit.contract_month_id}/goodwill/",
        "reverse": f"/admin/credits/{credit.pk}/reverse/",
        "exclusions": "/admin/postmortems/exclusion/",
        "exclude": "/admin/postmortems/exclusion/add/",
    }


@pytest.mark.parametrize("role", people.ROLES)
def test_r1202_each_role_opens_what_it_is_for(incident: Incident, role: str) -> None:
    client = login(role)
    opened = {name for name, url in addresses(incident).items() if client.get(url).status_code == 200}
    assert opened == set(OPENS[role].split())
    for url in ("/admin/", "/admin/live/"):
        assert client.get(url).status_code == 200


#: Acts on incidents that a role may ask for.
ACTS = {
    "Communications": {slug for slug, deed in DEEDS.items() if deed.permission == "incidents.publish"},
    "Incident commander": set(DEEDS),
}


@pytest.mark.parametrize("role", people.ROLES)
def test_r1202_each_role_does_its_acts_only(incident: Incident, role: str) -> None:
    client = login(role)
    allowed = {
        slug
        for slug in DEEDS
        for answer in [client.post(desk.act_on(incident, slug), {})]
        if slug != "correct" and answer.status_code != 403
    }
    assert allowed == ACTS.get(role, set()) - {"correct"}


@pytest.mark.parametrize("role", ["Finance", "Auditor", "Legal and CISO"])
def test_r1202_who_only_reads_changes_nothing_wherever_they_post(incident: Incident, role: str) -> None:
    client, before = login(role), everything()
    work = Maintenance.objects.get()
    assert work.state == MaintenanceState.PLANNED
    urls = [
        *addresses(incident).values(),
        *(desk.act_on(incident, slug) + rest for slug in DEEDS for rest in ("", "kept/", "preview/")),
        *(f"{INCIDENTS}{name}/" for name in ("preview", "alike", "propose", "kept", "earlier-words")),
        *(f"{INCIDENTS}{incident.pk}/{name}/" for name in ("enter", "body", "earlier", "messages", "delete")),
        *(f"{WORKS}{work.pk}/act/{slug}/" for slug in ("announce", "begin", "extend", "complete", "cancel")),
        f"{WORKS}{work.pk}/delete/",
        "/admin/live/",
        "/admin/credits/live/",
        "/api/v1/reports/credits",
        f"/admin/credits/months/{Credit.objects.get().contract_month_id}/",
        "/admin/reports/obligations/",
        "/admin/affected/",
        "/api/v1/reports/obligations",
    ]
    sent = {
        "body": "x",
        "words": "x",
        "reason": "x",
        "title": "x",
        "name": "x",
        "line": "x",
        "done": "on",
        "post": "yes",
    }
    for url in urls:
        assert client.post(url, sent).status_code in (200, 302, 403, 404, 405), url
    assert everything() == before


def everything() -> dict[str, int]:
    """Rows of every model of ours, but for who looks at what."""
    apart = {"Session", "Presence", "AuditRun"}
    return {
        model._meta.label: model._default_manager.count() for model in apps.get_models() if model.__name__ not in apart
    }


def test_r1202_the_way_one_is_reached_is_ones_own(incident: Incident) -> None:
    """Everybody has a form of their own, and nobody opens another's."""
    other = Colleague.objects.create(user=scene.operator("kim"), phone="+15005550006", channel="sms")
    client = login("Auditor")
    url = "/admin/notifications/colleague/"
    assert client.post(f"{url}add/", {"channel": "email", "phone": "", "user": other.user_id}).status_code == 302
    mine = Colleague.objects.get(user__username="somebody")
    assert client.post(f"{url}{mine.pk}/change/", {"channel": "email", "user": other.user_id}).status_code == 302
    assert client.post(f"{url}{other.pk}/change/", {"channel": "email", "phone": ""}).status_code == 302
    assert client.post(f"{url}{mine.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "+1" not in client.get(f"{url}{other.pk}/change/", follow=True).content.decode()
    rows = Colleague.objects.order_by("pk").values_list("user__username", "channel")
    assert list(rows) == [("kim", "sms"), ("somebody", "email")]
