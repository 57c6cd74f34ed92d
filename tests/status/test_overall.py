"""The overall status by breadth (statuspage-v2.md 5.3, 5.12 no. 1)."""

import pytest

from status.enums import Level, Phase
from status.page.overall import Headline, headline, roll_up

FINE, BUSY, SLOW, PART, DOWN = (
    Level.OPERATIONAL,
    Level.MAINTENANCE,
    Level.DEGRADED,
    Level.PARTIAL,
    Level.MAJOR,
)


@pytest.mark.parametrize(
    ("levels", "indicator", "words"),
    [
        ([], "none", "All systems operational"),
        ([FINE, FINE], "none", "All systems operational"),
        ([FINE, BUSY], "maintenance", "Service under maintenance"),
        ([FINE, SLOW], "minor", "Partially degraded service"),
        ([SLOW, SLOW], "minor", "Partially degraded service"),
        ([PART, BUSY], "minor", "Minor service outage"),
        ([PART, PART, PART, FINE], "minor", "Minor service outage"),
        ([PART, PART], "minor", "Partial system outage"),
        ([DOWN, FINE, FINE], "major", "Partial system outage"),
        ([DOWN, DOWN, PART], "major", "Partial system outage"),
        ([DOWN, DOWN], "critical", "Major system outage"),
        # A page of one component (5.3).
        ([BUSY], "maintenance", "Service under maintenance"),
        ([SLOW], "minor", "Partially degraded service"),
        ([PART], "minor", "Partial system outage"),
        ([DOWN], "critical", "Major system outage"),
    ],
)
def test_the_roll_up_is_by_breadth(levels, indicator, words):
    overall = roll_up(levels)
    assert (overall.indicator, overall.words) == (indicator, words)


def named(*levels):
    return list(zip(["API", "Authentication", "Payments", "Search", "Web"], levels, strict=False))


@pytest.mark.parametrize(
    ("levels", "words", "colour"),
    [
        ([FINE, PART, FINE], "Partial outage: Authentication", "orange"),
        ([FINE, FINE, DOWN], "Major outage: Payments", "red"),
        ([SLOW, FINE], "Degraded performance: API", "yellow"),
        ([BUSY, FINE], "Under maintenance: API", "blue"),
        ([SLOW, PART, DOWN], "Major outage: Payments", "red"),
        ([PART, PART, FINE], "Partial outage: API and Authentication", "orange"),
        ([DOWN, DOWN, DOWN, FINE], "Major outage: API, Authentication and Payments", "red"),
        ([SLOW, SLOW, SLOW, SLOW, SLOW], "Degraded performance: API, Authentication and 3 more", "yellow"),
        ([DOWN, DOWN, DOWN], "Full outage", "red"),
        ([DOWN], "Full outage", "red"),
        ([FINE, FINE], "All systems operational", "green"),
    ],
)
def test_the_headline_says_what_is_wrong_with_what(levels, words, colour):
    """One component that is down is no "minor outage" to whoever needs it; the roll-up's words stay with tools."""
    assert headline(named(*levels), []) == Headline(words, colour)


def test_an_open_incident_never_stands_under_all_systems_operational():
    """R-1303: 27 % of recorded pages with an open incident said so."""
    assert headline(named(FINE), [Phase.INVESTIGATING]) == Headline("We are looking into a problem", "yellow")
    assert headline(named(FINE), [Phase.MONITORING]) == Headline("A fix is in place and being watched", "yellow")
    assert headline(named(FINE), [Phase.MONITORING, Phase.IDENTIFIED]).words == "We are looking into a problem"
    assert headline([], [Phase.IDENTIFIED]).words == "We are looking into a problem"
    assert headline(named(FINE), []) == Headline("All systems operational", "green")


def test_a_page_without_components_claims_nothing():
    assert headline([], []) == Headline("This page is being set up", "grey")


def test_the_colour_is_that_of_the_gravest_component():
    """R-601: green, yellow, orange, red, blue."""
    assert [headline(named(FINE, level), []).colour for level in (FINE, SLOW, PART, DOWN, BUSY)] == [
        "green",
        "yellow",
        "orange",
        "red",
        "blue",
    ]
