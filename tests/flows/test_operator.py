"""A stressed operator at 03:00: three clicks to the first words, then keys, one line, a tick, a level, a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.flows.conftest import PATIENCE, House, fetch, wait_for
from tests.flows.test_two_operators import at_the_desk

pytestmark = pytest.mark.browser
SCREEN = re.compile(r"/incident/\d+/change/$")


@pytest.fixture
def marcus(browser: Browser, house: House) -> Iterator[Page]:
    """The commander's browser; it ends clean: nothing failed, nothing was complained about."""
    wrong: list[str] = []
    with at_the_desk(browser, house, "commander") as page:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        yield page
        assert wrong == []


def entry(page: Page, verb: str, words: str) -> None:
    """The newest line of the timeline, which comes by itself."""
    line = page.locator("#lines > li").filter(has=page.locator("b", has_text=re.compile(f"^{verb}$"))).first
    expect(line).to_contain_text(words, timeout=PATIENCE * 1000)


def test_f01_a_night_by_keyboard_three_clicks_to_the_first_words(marcus: Page, house: House) -> None:
    page, title = marcus, "Card payments are refused"
    # One.
    page.get_by_role("link", name="Declare an incident").last.click()
    page.get_by_label("What is wrong, in one line").fill(title)
    page.get_by_label("Words for the public", exact=True).fill("Cards are refused.")
    # Two: what is affected. What is known of it already is found meanwhile (R-1311).
    page.get_by_role("group", name="Payments").get_by_label("Major").check()
    expect(page.locator("#alike")).to_contain_text("Card payments declined")
    # Three.
    page.get_by_role("button", name="Declare and publish").click()
    page.wait_for_url(SCREEN)
    wait_for(lambda: title in fetch(f"{house.url}/status"), "The page", patience=3)

    # Acknowledged by key: whoever does it commands it.
    page.keyboard.press("a")
    entry(page, "Acknowledged", "Marcus Adeyemi")
    entry(page, "Role changed", "nobody → Marcus Adeyemi")

    # The scribe's line: a mistake is said beside it, and the words stay.
    page.keyboard.press("n")
    page.keyboard.type("25:00 the bank is slow")
    page.keyboard.press("Enter")
    expect(page.locator("#quick-error")).to_contain_text("25:00 is no time of day")
    page.locator("#quick-line").fill("! we ask the bank to fail over")
    page.keyboard.press("Enter")
    entry(page, "Decision", "we ask the bank to fail over")
    expect(page.locator("#quick-line")).to_have_value("")
    page.keyboard.press("Escape")

    # One tick of the runbook.
    page.get_by_role("checkbox", name="Error logs").click()
    entry(page, "Checklist", "Error logs: looked at")

    # Another level, in a dialog: first what would become of the clocks.
    page.get_by_role("link", name="Change severity").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name=re.compile("Major")).first.check()
    dialog.get_by_label("Why?").fill("Nobody can pay.")
    dialog.get_by_role("button", name="Show what would change").click()
    expect(dialog).to_contain_text("Next public update")
    dialog.get_by_role("button", name="Change Minor to Major").click()
    expect(dialog).to_have_count(0)
    entry(page, "Severity changed", "Minor → Major")
    assert SCREEN.search(page.url)


def test_r213_a_restricted_incident_is_unseen_by_another_login(marcus: Page, browser: Browser, house: House) -> None:
    page, title = marcus, "A key was copied"
    page.goto(f"{house.url}/admin/incidents/incident/add/")
    page.get_by_label("What is wrong, in one line").fill(title)
    page.get_by_label("Keep internal").check()
    page.get_by_text("Is it a security incident?").click()
    page.locator("input[name=restricted]").check()
    page.get_by_role("button", name="Declare, keep internal").click()
    page.wait_for_url(SCREEN)
    entry(page, "Restricted", "May know: Marcus Adeyemi")
    with at_the_desk(browser, house, "comms") as ines:
        assert title not in ines.content()
        ines.goto(f"{house.url}/admin/incidents/incident/")
        assert title not in ines.content()
        answer = ines.goto(page.url)
        assert answer is not None
        assert answer.status == 404
    assert title not in fetch(f"{house.url}/status")
