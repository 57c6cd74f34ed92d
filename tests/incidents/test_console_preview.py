"""The preview beside the form: as it will read, to how many, and not a row written (R-206)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.test import Client

from incidents.enums import Publicity
from incidents.forms import DeclareForm
from incidents.models import Severity
from notifications.models import Brand
from status.enums import Level
from status.models import Component
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import ADD
from tests.scene import NIGHT, minutes

#: Forms and what they draw: what they write is asked of both databases elsewhere.
pytestmark = [pytest.mark.django_db, pytest.mark.once]
LOOK = "/admin/incidents/incident/preview/"
NOW = NIGHT + minutes(12)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    scene.brand()
    scene.severity("P1", 2)
    scene.component("API")
    scene.component("Web app")
    desk.sit(client, *desk.ALL)
    return client


def typed(client: Client, *affected: Component, **changes: Any) -> dict[str, Any]:
    start = {"title": "API is slow", "body": "Calls are **slow**."}
    return desk.opened(client, ADD, **start) | {f"levels-{c.pk}": Level.MAJOR.value for c in affected} | changes


def rows() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


def test_it_shows_page_mail_and_text_message_and_writes_nothing(ann: Client) -> None:
    data = typed(ann, scene.component("API"))
    before = rows()
    response = ann.post(LOOK, data)
    shown = response.context["preview"]
    assert rows() == before
    assert shown.draft.words.html == "<p>Calls are <strong>slow</strong>.</p>"
    assert shown.levels == [("API", Level.MAJOR)]
    assert shown.mail.subject == "[Northwind] Investigating: API is slow"
    assert "Calls are slow." in shown.mail.text
    assert (shown.sms.text, shown.sms.segments) == (
        "Northwind: Investigating: API is slow. Calls are slow.\nReply STOP to end",
        1,
    )
    assert shown.warnings == shown.problems == []


def test_it_counts_whom_severity_and_components_reach(ann: Client) -> None:
    """Who chose another component, or only worse trouble, is not counted; who left is not either."""
    api, web = scene.component("API"), scene.component("Web app")
    scene.subscriber("all@example.com")
    scene.subscriber("api@example.com", topics=[api])
    scene.subscriber("web@example.com", topics=[web])
    scene.subscriber("worst-only@example.com", least_rank=1)
    scene.subscriber("left@example.com", unsubscribed_at=NIGHT)
    scene.subscriber("unconfirmed@example.com", confirmed_at=None)
    worst = scene.severity("P0", 1)

    def reach(*affected: Component, **changes: Any) -> int:
        answer = ann.post(LOOK, typed(ann, *affected, **changes))
        count: int = answer.context["preview"].count
        return count

    p1 = str(Severity.objects.get(code="P1").pk)
    assert reach(api, severity=p1) == 2
    assert reach(web, severity=p1) == 2
    assert reach(api, web, severity=p1) == 3
    assert reach(severity=p1) == 3
    assert reach(api, severity=str(worst.pk)) == 3
    assert reach(api, severity=p1, wires=[]) == 0


def test_beside_the_button_stands_how_many_it_reaches(ann: Client) -> None:
    """On a phone the preview is a long way from the button."""
    scene.subscriber()
    for changes, words in (
        ({}, "mails 1 person"),
        ({"wires": []}, "tells nobody"),
        ({"publish": "later"}, "tells nobody outside"),
    ):
        page = " ".join(
            ann.post(desk.ADD, desk.opened(ann, desk.ADD) | changes | {"_preview": "1"}).content.decode().split()
        )
        assert f"data-reach-here>{words} </p>" in page
        assert f'data-reach="{words} "' in page


def test_what_is_still_blank_is_shown_as_a_gap(ann: Client) -> None:
    shown = ann.post(LOOK, typed(ann, body="{{issue}}: {{cause}}", title="")).context["preview"]
    assert shown.draft.body == "[… title of the incident …]: [… what caused it …]"


def test_an_empty_post_is_answered_too(ann: Client) -> None:
    response = ann.post(LOOK, {})
    assert response.status_code == 200
    assert response.context["preview"].told is False


def test_what_is_allowed_and_perhaps_not_meant_is_said(ann: Client) -> None:
    inside = scene.severity("P3", 3, publicity=Publicity.INTERNAL)
    shown = ann.post(LOOK, typed(ann, severity=str(inside.pk), promise="none", publish="now")).context["preview"]
    assert shown.warnings == [
        "No component is marked: the page stays green, and every subscriber is told.",
        "The policy says for P3: internal only. You are about to publish.",
        "You promise no fixed time for the next update.",
    ]


def test_kept_internal_there_is_nothing_to_show(ann: Client) -> None:
    response = ann.post(LOOK, typed(ann, publish="later"))
    assert "Only colleagues" in response.content.decode()


def test_before_a_brand_is_set_up_it_says_so(client: Client) -> None:
    scene.severity("P1", 2)
    desk.sit(client, *desk.ALL)
    shown = client.post(LOOK, desk.opened(client, ADD, body="Words.")).context["preview"]
    assert shown.problems == ["No brand is set up yet: add one first."]


def test_words_that_may_not_go_out_are_named(ann: Client) -> None:
    Brand.objects.create(
        slug="acme", name="Acme", sender_name="Acme", sender_email="a@acme.example", support_email="a@acme.example"
    )
    shown = ann.post(LOOK, typed(ann, body="Acme is down.")).context["preview"]
    assert (shown.problems, shown.mail) == (["It names another brand: Acme."], None)


def test_an_update_shows_the_whole_story_and_reaches_all_who_were_concerned(ann: Client) -> None:
    api, web = scene.component("API"), scene.component("Web app")
    scene.subscriber("api@example.com", topics=[api], created_at=NIGHT)
    scene.subscriber("web@example.com", topics=[web])
    incident = scene.incident(levels={api: Level.MAJOR})
    url = desk.act_on(incident, "update")
    data = desk.opened(ann, url, body="Found it.", phase="identified") | {f"levels-{web.pk}": Level.DEGRADED.value}
    before = rows()
    shown = ann.post(url + "preview/", data).context["preview"]
    assert rows() == before
    assert shown.count == 2
    assert "Found it." in shown.mail.text
    assert "We are looking into it." in shown.mail.text


def test_a_text_that_needs_the_large_alphabet_says_because_of_what(ann: Client) -> None:
    """Whoever writes can save half of the cost by another word."""
    incident = scene.incident(levels={scene.component("API"): Level.MAJOR})
    url = desk.act_on(incident, "update")
    page = ann.post(url + "preview/", desk.opened(ann, url, body="Found it.", sms="Kraków: łączność."))
    words = "“ółąść” are outside the alphabet of plain text messages and halve the room (UCS-2)."
    assert words in " ".join(page.content.decode().split())
    page = ann.post(url + "preview/", desk.opened(ann, url, body="Found it.", sms="Plain."))
    assert "UCS-2" not in page.content.decode()


def test_resolving_shows_what_another_incident_still_holds_down(ann: Client) -> None:
    """R-207."""
    api = scene.component("API")
    scene.incident(levels={api: Level.PARTIAL})
    incident = scene.incident(levels={api: Level.MAJOR, scene.component("Web app"): Level.MAJOR})
    url = desk.act_on(incident, "resolve")
    shown = ann.post(url + "preview/", desk.opened(ann, url, body="Over.")).context["preview"]
    assert shown.levels == [("API", Level.PARTIAL), ("Web app", Level.OPERATIONAL)]


def test_it_is_asked_by_post_only(ann: Client) -> None:
    incident = scene.incident()
    for url in (LOOK, desk.act_on(incident, "update") + "preview/"):
        assert ann.get(url).status_code == 405


@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</textarea></iframe><script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "<!-- --><svg/onload=alert(1)>",
        "{% load x %}{{ request.user.password }}",
        "&lt;script&gt;",
    ],
)
def test_hostile_words_are_harmless_wherever_they_are_shown(ann: Client, evil: str) -> None:
    """S09: form, preview, screen, list and dashboard. A browser reads no element that we did not write."""
    data = typed(ann, scene.component("API"), title=evil[:120], body=evil + " ok", sms=evil)
    pages = [ann.post(LOOK, data), ann.post(ADD, data | {"_preview": "1"})]
    incident = scene.incident(title=evil[:120], draft=scene.draft(evil + " ok"), channels=())
    pages += [ann.get(url) for url in (desk.screen_of(incident), "/admin/incidents/incident/", "/admin/")]
    pages += [ann.get(desk.act_on(incident, slug)) for slug in ("update", "resolve", "note")]
    for page in pages:
        html = page.content.decode()
        for trace in ("<script>alert", "<img src=x", "<svg/onload", 'href="javascript:', "</iframe><script"):
            assert trace not in html


def test_the_mail_is_shown_in_a_frame_that_may_do_nothing(ann: Client) -> None:
    html = ann.post(LOOK, typed(ann)).content.decode()
    assert '<iframe class="hg-mail" sandbox="" referrerpolicy="no-referrer"' in html


def test_no_script_of_the_page_is_inline(ann: Client) -> None:
    """The console's policy is script-src 'self': an inline script would be dead words."""
    incident = scene.incident()
    urls = [ADD, "/admin/", "/admin/incidents/incident/", desk.screen_of(incident), desk.act_on(incident, "update")]
    for url in urls:
        response = ann.get(url)
        html = response.content.decode()
        assert "script-src 'self' 'unsafe-eval'" in response["Content-Security-Policy"]
        tags = [tag.split(">")[0] for tag in html.split("<script")[1:]]
        assert [tag for tag in tags if "src=" not in tag and 'type="application/json"' not in tag] == []
        assert " onclick=" not in html


def test_an_unsent_form_previews_nothing_by_itself(ann: Client) -> None:
    assert ann.get(ADD).context["preview"] is None
    assert DeclareForm(at=NOW).is_bound is False
