"""What to look at, what to try, where to look (R-208, R-1204)."""

from __future__ import annotations

from io import StringIO
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from incidents import lifecycle, runbook
from incidents.enums import Risk, StepKind, ToolKind, Verb
from incidents.lifecycle import Ask, NotAllowed
from incidents.models import RunbookStep, Tool
from status.enums import Level
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines() -> dict[str, RunbookStep]:
    runbook.load()
    return {step.slug: step for step in RunbookStep.objects.all()}


def test_r208_the_runbook_has_the_lines_of_the_requirements(lines) -> None:
    checks = RunbookStep.objects.filter(kind=StepKind.CHECK)
    assert [step.name for step in checks] == [
        "Alert details and metrics",
        "Deployments of the last 24 h",
        "Configuration and infrastructure changes",
        "External dependencies",
        "Error logs",
        "Affected users, tenants, features",
        "Traffic spike",
    ]
    ways = RunbookStep.objects.filter(kind=StepKind.MITIGATION)
    assert [(step.name, step.risk, step.minutes) for step in ways] == [
        ("Roll back", Risk.LOW, 5),
        ("Scale up", Risk.LOW, 10),
        ("Circuit breaker", Risk.MEDIUM, 2),
        ("Feature flag off", Risk.LOW, 1),
        ("Database failover", Risk.MEDIUM, 15),
        ("Redirect traffic", "", None),
    ]
    assert all(step.hint for step in lines.values())
    assert [name for name, _ in runbook.PRIORITIES] == ["Restore", "Contain", "Prevent more damage", "Root cause"]


def test_r208_loading_twice_keeps_every_edit(lines) -> None:
    lines["logs"].name = "Logs in Loki"
    lines["logs"].save()
    told = StringIO()
    call_command("load_policies", stdout=told)
    assert "runbook: unchanged" in told.getvalue()
    assert RunbookStep.objects.get(slug="logs").name == "Logs in Loki"


def test_r208_ticking_writes_the_timeline_and_unticking_is_a_new_entry(lines) -> None:
    incident, ann = scene.incident(), scene.operator()
    lifecycle.check(incident, lines["logs"], done=True, words="Nothing new.", by=ann, at=NIGHT + minutes(1))
    entry = desk.last(incident)
    assert (entry.verb, entry.words) == (Verb.CHECKED, "Nothing new.")
    assert entry.facts == {"step": "logs", "name": "Error logs", "done": True}
    assert runbook.state(incident).done == 1

    lifecycle.check(incident, lines["logs"], done=False, by=ann, at=NIGHT + minutes(2))
    assert runbook.state(incident).done == 0
    assert incident.timeline.filter(verb=Verb.CHECKED).count() == 2


def test_r208_a_mitigation_is_tried_and_then_known_to_work(lines) -> None:
    incident = scene.incident()
    lifecycle.try_mitigation(incident, lines["roll-back"], worked=None, by=None, at=NIGHT + minutes(1))

    def way() -> runbook.Line:
        return next(line for line in runbook.state(incident).mitigations if line.step.slug == "roll-back")

    assert (way().tried, way().worked) == (True, None)
    lifecycle.try_mitigation(
        incident, lines["roll-back"], worked=True, by=None, at=NIGHT + minutes(9), happened_at=NIGHT + minutes(6)
    )
    assert (way().tried, way().worked) == (True, True)
    said = desk.last(incident)
    assert (said.verb, said.at, said.recorded_at) == (Verb.TRIED, NIGHT + minutes(6), NIGHT + minutes(9))


def test_r208_what_was_ticked_stays_in_sight_when_its_line_is_taken_out_of_use(lines) -> None:
    incident = scene.incident()
    lifecycle.check(incident, lines["logs"], done=True, by=None, at=NIGHT)
    RunbookStep.objects.filter(slug__in=["logs", "alerts"]).update(is_active=False)
    slugs = [line.step.slug for line in runbook.state(incident).checks]
    assert "logs" in slugs
    assert "alerts" not in slugs


def test_f09_a_tick_overwrites_nothing_so_it_is_never_refused_for_being_late(lines) -> None:
    incident = scene.incident()
    lifecycle.note(incident, "Meanwhile.", by=None, at=NIGHT)
    lifecycle.check(incident, lines["logs"], done=True, by=None, at=NIGHT, ask=Ask(version=1))
    assert runbook.state(incident).done == 1


def test_a_check_is_no_mitigation(lines) -> None:
    with pytest.raises(NotAllowed):
        lifecycle.try_mitigation(scene.incident(), lines["logs"], worked=None, by=None, at=NIGHT)


def test_the_state_of_the_runbook_costs_two_queries_however_much_was_ticked(lines, django_assert_num_queries) -> None:
    incident = scene.incident()
    for n in range(12):
        lifecycle.check(incident, lines["logs"], done=bool(n % 2), by=None, at=NIGHT + minutes(n))
    with django_assert_num_queries(2):
        assert runbook.state(incident).done == 1


# --- tools -------------------------------------------------------------------------


def tool(url: str, name: str = "Dashboard", **changes) -> Tool:
    return Tool.objects.create(name=name, url=url, **changes)


def test_r1204_a_tool_opens_at_the_time_the_incident_concerns() -> None:
    tool("https://grafana.example/d/api?from={from}&to={to}&var-part={component}", "Metrics")
    tool("https://logs.example/?since={from_iso}&until={to_iso}&q={reference}", "Logs", kind=ToolKind.LOKI)
    incident = scene.incident(levels={scene.component("Käse & API/v2"): Level.MAJOR})
    now = NIGHT + minutes(10)
    logs, metrics = runbook.tool_links(incident, now)
    start = NIGHT - minutes(30)
    assert parse_qs(urlsplit(metrics.url).query) == {
        "from": [str(int(start.timestamp() * 1000))],
        "to": [str(int(now.timestamp() * 1000))],
        "var-part": ["Käse & API/v2"],
    }
    assert (logs.name, logs.kind) == ("Logs", ToolKind.LOKI)
    assert parse_qs(urlsplit(logs.url).query) == {
        "since": ["2026-11-20T02:30:00Z"],
        "until": ["2026-11-20T03:10:00Z"],
        "q": ["INC-2026-0001"],
    }


def test_r1204_once_it_is_over_a_tool_shows_until_it_ended() -> None:
    tool("https://grafana.example/?to={to_iso}")
    incident = lifecycle.resolve(
        scene.incident(), body="Fixed.", by=None, at=NIGHT + minutes(60), ended_at=NIGHT + minutes(45)
    )
    (link,) = runbook.tool_links(incident, NIGHT + minutes(600))
    assert link.url == "https://grafana.example/?to=2026-11-20T03%3A45%3A00Z"


def test_r1204_a_tool_of_one_component_is_offered_where_that_is_affected() -> None:
    api, mail = scene.component("API"), scene.component("E-mail")
    tool("https://a.example/{component}", "Of the API", component=api)
    tool("https://m.example/{component}", "Of mail", component=mail)
    tool("https://x.example/{component}", "Out of use", is_active=False)
    found = [link.url for link in runbook.tool_links(scene.incident(levels={api: Level.MAJOR}), NIGHT)]
    assert found == ["https://a.example/API"]
    assert runbook.tool_links(scene.incident(public=False), NIGHT) == []


def test_what_got_around_the_form_is_no_link() -> None:
    tool("javascript:alert(1)")
    assert runbook.tool_links(scene.incident(), NIGHT) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://grafana.example/d/x?from={from}&to={to}",
        "http://10.0.0.7:3000/explore",
        'https://loki.example/?q={app="checkout"}&since={from_iso}',
    ],
)
def test_r1204_addresses_of_the_web_with_known_placeholders_are_taken(url: str) -> None:
    runbook.check_address(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://x.example/?q={service}", "Nothing fills {service}. Known are {from}, {to}, {from_iso}"),
        ("javascript:alert(1)", "Write an address that begins with https://"),
        ("//x.example/", "Write an address"),
        ("https:///only/a/path", "Write an address"),
        ("https://[", "Write an address"),
        ("https://{component}.example/", "Write an address"),
    ],
)
def test_r1204_other_addresses_are_refused_with_words(url: str, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        runbook.check_address(url)
    assert words in refused.value.messages[0]
