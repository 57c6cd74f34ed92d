"""What programs send to the API, and what they are answered when it is no good (R-1203, S08)."""

from __future__ import annotations

import pytest
from django.test import Client

from tests import scene

pytestmark = pytest.mark.django_db
URL = "/api/v1/severity-proposals"


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(scene.operator("boss", is_superuser=True))
    client.raise_request_exception = False
    return client


BODIES = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "half a character": '{"policy": "\\ud800"}',
    "half a name": '{"facts": {"\\udfff": 1}}',
    "cut off": "{",
    "no number": '{"facts": {"share": NaN}}',
    "a long number": '{"facts": {"share": ' + "9" * 6_000 + "}}",
    "a long level": '{"severity": "' + "9" * 6_000 + '"}',
}


@pytest.mark.parametrize("body", BODIES)
def test_r1203_what_cannot_be_read_is_refused_as_json(boss: Client, body: str) -> None:
    answer = boss.post(URL, BODIES[body], content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json"), answer.content


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_only_json_is_read(boss: Client, kind: str) -> None:
    answer = boss.post(URL, "--x--", content_type=kind)
    assert (answer.status_code, answer["Content-Type"]) == (415, "application/json")


@pytest.mark.parametrize("path", ["", "nothing", "customers/x", "customers/%00/affected", "customers/x%00/affected"])
def test_r1203_what_is_not_there_is_said_as_json(boss: Client, path: str) -> None:
    answer = boss.get(f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("path", ["", "nothing", "severity-proposals", "customers/x/affected", "reports/obligations"])
def test_s07_nobody_is_told_what_is_there(client: Client, path: str) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/json")


def test_the_screen_of_a_customer_takes_any_address(boss: Client) -> None:
    assert [boss.get(f"/admin/affected/{name}/").status_code for name in ("%00", "x%00", "nobody")] == [404] * 3
