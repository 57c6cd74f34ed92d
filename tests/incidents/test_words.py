"""Placeholders: filled from facts, named when they are left (R-206, S10)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from incidents import words
from notifications.models import Brand
from tests.scene import NIGHT


def test_facts_fill_what_they_know_and_leave_the_rest_to_be_seen() -> None:
    facts = words.Facts(
        title="API errors",
        levels=[("API", "Major outage"), ("E-mail", "Degraded performance")],
        started_at=NIGHT,
        at=NIGHT + timedelta(minutes=65),
        next_update_by=NIGHT + timedelta(minutes=95),
    )
    text = "{{issue}} hit {{ impact }} since {{started}} ({{duration}}). {{cause}}. Next: {{next_update}}."
    assert words.fill(text, facts.as_values()) == (
        "API errors hit API (major outage) and E-mail (degraded performance) since 03:00 UTC on 20 November 2026 "
        "(1 hour 5 minutes). {{cause}}. Next: 04:35 UTC on 20 November 2026."
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Cause: {{cause}}", "{{cause}}"),
        ("{{ resolution }} and {{cause}}", "{{cause}}, {{resolution}}"),
        ("{{}}", "{{}}"),
        ("{{cause", "{{ or }}"),
        ("cause}}", "{{ or }}"),
        ("{{a\nb}}", "{{a\nb}}"),
    ],
)
def test_r206_what_is_left_is_named(text: str, named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        words.check_filled(text)
    assert refused.value.messages == [f"Fill in or remove {named} before publishing."]


def test_an_unknown_placeholder_is_named_with_those_that_exist() -> None:
    words.check_known("{{issue}} {{ cause }}")
    with pytest.raises(ValidationError, match=r"Nothing fills \{\{cuase\}\}. Known are: \{\{issue\}\}"):
        words.check_known("{{cuase}}")


@pytest.mark.parametrize(
    "payload",
    ["{{ ''.__class__ }}", "{% load log %}", "{{issue|safe}}", "{{ settings.SECRET_KEY }}", "${7*7}", "{{ 7*7 }}"],
)
def test_s10_a_template_is_data(payload: str) -> None:
    assert words.fill(payload, {"issue": "x", "settings": "y"}) == payload


def test_values_are_not_looked_at_again() -> None:
    assert words.fill("{{issue}}", {"issue": "{{cause}}", "cause": "secret"}) == "{{cause}}"


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(seconds=5), "1 minute"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(days=2, hours=3, minutes=7), "2 days 3 hours"),
        (timedelta(days=1), "1 day"),
    ],
)
def test_elapsed_time_in_words(span: timedelta, told: str) -> None:
    assert words.elapsed(span) == told


@pytest.mark.parametrize(
    "text", ["We are sorry.", "SORRY for that", "We apologise.", "Our apologies to all", "apologize"]
)
def test_r111_a_brand_that_does_not_apologise_does_not(text: str) -> None:
    words.check_voice(text, Brand(name="Northwind", apologise=True))
    with pytest.raises(ValidationError, match="Northwind does not apologise"):
        words.check_voice(text, Brand(name="Northwind", apologise=False))


def test_r111_a_brand_that_keeps_causes_to_itself_does_not_ask_for_one() -> None:
    text = "Cause: {{cause}}. It is a lost cause."
    words.check_voice(text, Brand(name="Northwind", publish_causes=True))
    with pytest.raises(ValidationError, match="does not publish causes"):
        words.check_voice(text, Brand(name="Northwind", publish_causes=False))


# --- in German ---------------------------------------------------------------------------


def test_r206_the_same_facts_in_german() -> None:
    facts = words.Facts(
        title="API errors",
        levels=[("API", "Major outage"), ("Mail", "Degraded performance"), ("Web", "Under maintenance")],
        started_at=NIGHT,
        detected_at=NIGHT + timedelta(minutes=4),
        at=NIGHT + timedelta(minutes=65),
        resolved_at=NIGHT + timedelta(minutes=65),
        reference="INC-2026-0001",
        severity="Critical",
        brand="Northwind",
        support="help@northwind.example",
        status_page="https://status.example",
    )
    assert facts.as_values("de") == {
        "issue": "API errors",
        "impact": "API (ausgefallen), Mail (beeinträchtigt) und Web (in Wartung)",
        "started": "03:00 UTC am 20. November 2026",
        "detected": "03:04 UTC am 20. November 2026",
        "resolved": "04:05 UTC am 20. November 2026",
        "duration": "1 Stunde 5 Minuten",
        "reference": "INC-2026-0001",
        "severity": "Critical",
        "brand": "Northwind",
        "support": "help@northwind.example",
        "status_page": "https://status.example",
    }


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(seconds=5), "1 Minute"),
        (timedelta(hours=2), "2 Stunden"),
        (timedelta(days=2, hours=1), "2 Tage 1 Stunde"),
        (timedelta(days=1), "1 Tag"),
    ],
)
def test_elapsed_time_in_german(span: timedelta, told: str) -> None:
    assert words.elapsed(span, "de") == told


@pytest.mark.parametrize(
    "text",
    [
        "Wir bitten um Entschuldigung.",
        "Bitte entschuldigen Sie die Störung.",
        "Das tut uns leid.",
        "Es tut uns sehr leid, dass es so lange dauert.",
        "dass uns das leid tut",
        "Wir bedauern den Ausfall.",
        "Mit großem Bedauern",
        "Bitte verzeihen Sie.",
        "We regret the outage.",
    ],
)
def test_r111_an_apology_is_known_in_german_too(text: str) -> None:
    with pytest.raises(ValidationError):
        words.check_voice(text, Brand(name="Northwind", apologise=False))
    words.check_voice(text, Brand(name="Northwind", apologise=True))


@pytest.mark.parametrize("text", ["Mitleid tut gut.", "Was tut das Team? Es leidet nicht.", "bedarf der Prüfung"])
def test_what_is_no_apology_passes(text: str) -> None:
    words.check_voice(text, Brand(name="Northwind", apologise=False))
