"""Readers who come beside the pressed bytes."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client

from status import views
from status.enums import Level
from status.models import Notice
from status.page import press
from tests.scene import NIGHT, brand, component, minutes
from tests.status.html import outline
from tests.status.stage import notice, over

pytestmark = pytest.mark.django_db


def test_the_first_reader_of_a_new_installation_gets_a_page_and_it_is_pressed(client, page_dir):
    response = client.get("/status")
    assert response.status_code == 200
    assert response.content == (page_dir / press.INDEX).read_bytes() == client.get("/status/").content


def test_a_permanent_page_that_is_not_pressed_yet_is_made_on_demand(client, page_dir):
    told = notice()
    response = client.get(f"/status/incidents/{told.public_id}")
    assert response.content == (page_dir / press.notice_file(told.public_id)).read_bytes()


@pytest.mark.parametrize(
    "public_id", ["aaaaaaaaaaaa", "x", "AAAAAAAAAAAA", "..", "%2e%2e%2findex", "a" * 300, "%00", "é"]
)
def test_an_unknown_incident_is_a_real_404_in_the_same_design(client, public_id):
    brand()
    response = client.get(f"/status/incidents/{public_id}")
    assert response.status_code == 404
    found = outline(response.content)
    assert (found.all_faults(), found.headings) == ([], [(1, "This page does not exist")])


def test_any_other_unknown_address_is_a_404_in_the_same_design(client):
    response = client.get("/nothing/here")
    assert (response.status_code, outline(response.content).all_faults()) == (404, [])


@pytest.mark.parametrize("path", ["/status", "/status/", "/status/history", "/status/incidents/aaaaaaaaaaaa"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
def test_the_public_pages_are_only_read(path, method):
    response = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/status", "/status/history", "/status/incidents/aaaaaaaaaaaa"])
def test_no_public_page_sets_a_cookie_and_all_are_strict(client, path):
    response = client.get(path, {"utm_source": "mail"})
    assert not response.cookies
    assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert client.head(path).content == b""


def test_the_archive_walks_back_month_by_month(client):
    for number in range(30):
        over(
            f"INC-2026-{number:04}",
            at=NIGHT - timedelta(days=5 * number),
            title=f"No. {number}",
            levels={component(): Level.PARTIAL},
        )
    first = outline(client.get("/status/history").content)
    assert first.all_faults() == []
    assert [name for level, name in first.headings if level == 2] == [
        "November 2026",
        "October 2026",
        "September 2026",
        "August 2026",
        "July 2026",
    ]
    (following,) = [link for link in first.links if "before=" in link]
    second = outline(client.get(following).content)
    assert [name for level, name in second.headings if level == 3] == [f"No. {number}" for number in range(25, 30)]
    assert [link for link in second.links if "before=" in link] == []


def test_the_archive_costs_the_same_at_any_length(client, django_assert_num_queries):
    brand()
    over("INC-2026-0001", at=NIGHT, levels={component(): Level.PARTIAL})
    with django_assert_num_queries(3):
        client.get("/status/history")
    for number in range(2, 40):
        over(f"INC-2026-{number:04}", at=NIGHT, levels={component(): Level.PARTIAL})
    with django_assert_num_queries(3):
        client.get("/status/history")


def test_an_empty_archive_says_so(client):
    assert "No incidents yet" in outline(client.get("/status/history").content).words


@pytest.mark.parametrize("before", ["x", "1", "-", "1' OR 1=1--", "9" * 60])
def test_a_mistyped_place_in_the_archive_is_a_404(client, before):
    assert client.get("/status/history", {"before": before}).status_code == 404


def test_withdrawn_and_open_notices_are_not_in_the_archive(client):
    """R-203."""
    notice("INC-2026-0001", title="Still open")
    over("INC-2026-0002", at=NIGHT, title="False alarm")
    Notice.objects.filter(title="False alarm").update(withdrawn_at=NIGHT + minutes(9))
    assert "No incidents yet" in outline(client.get("/status/history").content).words


def test_without_its_database_the_archive_says_so_and_the_status_page_stands(client, page_dir, monkeypatch):
    def gone(*_):
        raise OperationalError("the server closed the connection")

    press.press()
    monkeypatch.setattr(views, "archive", gone)
    response = client.get("/status/history")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    assert outline(response.content).all_faults() == []
    assert client.get("/status").content == (page_dir / press.INDEX).read_bytes()


def test_an_unknown_address_without_a_database_is_an_apology_too(client, monkeypatch):
    def gone():
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(views, "default_brand", gone)
    assert client.get("/status/incidents/nothing").status_code == 503


def test_a_fault_of_ours_is_told_in_the_same_design(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr(views, "archive", lambda *_: 1 / 0)
    response = client.get("/status/history")
    assert (response.status_code, outline(response.content).all_faults()) == (500, [])
