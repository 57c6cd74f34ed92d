"""What is owed is waived or marked as done at the console, by who may command (R-301)."""

from __future__ import annotations

import pytest
from django.test import Client

from incidents.enums import DutyKind
from incidents.models import Incident
from tests import scene
from tests.incidents import desk

pytestmark = pytest.mark.django_db


def owing() -> Incident:
    duties = [{"kind": DutyKind.ESCALATE, "amount": 15}, {"kind": DutyKind.RESPOND, "amount": 15}]
    return scene.incident(severity=scene.severity(duties=duties), public=False)


def test_r301_waiving_asks_why_and_marking_as_done_what_was_done(client: Client) -> None:
    desk.sit(client, *desk.ALL, "view_incident")
    incident = owing()
    escalate, respond = incident.obligations.order_by("kind")
    refused = desk.say(client, incident, "waive", obligation=str(respond.pk), reason="")
    assert desk.mistakes(refused) == {"reason": ["Say why it need not be done."]}
    assert desk.say(client, incident, "waive", obligation=str(respond.pk), reason="A drill.").status_code == 302
    again = desk.say(client, incident, "met", obligation=str(respond.pk), words="Done.")
    assert list(desk.mistakes(again)) == ["obligation"]
    assert desk.say(client, incident, "met", obligation=str(escalate.pk), words="The VP was called.").status_code == 302
    assert not incident.obligations.open().exists()
    # Nothing is left to choose, and the form says so where one chooses.
    assert client.get(desk.act_on(incident, "waive")).status_code == 200


@pytest.mark.parametrize("slug", ["waive", "met"])
def test_r1202_only_who_commands_settles_what_is_owed(client: Client, slug: str) -> None:
    desk.sit(client, "declare", "publish", "view_incident")
    assert client.get(desk.act_on(owing(), slug)).status_code == 403
