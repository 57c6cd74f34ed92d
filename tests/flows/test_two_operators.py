"""Two people at one incident, each in a browser of their own (F09): they see each other; nobody's words are lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.flows.conftest import PATIENCE, House, fetch, wait_for

pytestmark = pytest.mark.browser
TITLE = "Two people look at the same night"
MARCUS, INES = "Marcus Adeyemi", "Ines Carvalho"
HIS, HERS = "The primary database is slow; we are moving to the second one.", "We have found a slow disk."


@contextmanager
def at_the_desk(browser: Browser, house: House, login: str) -> Iterator[Page]:
    """A browser that shares nothing with others, signed in."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{house.url}/admin/")
    page.get_by_label("Username").fill(login)
    page.get_by_label("Password").fill(house.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Declare an incident").first).to_be_visible()
    yield page
    context.close()


def declare(page: Page, house: House) -> str:
    """Declared and published; answers the address of its screen."""
    page.goto(f"{house.url}/admin/incidents/incident/add/")
    page.get_by_label("What is wrong, in one line").fill(TITLE)
    page.get_by_role("group", name="Database").get_by_label("Degraded").check()
    page.get_by_label("Words for the public", exact=True).fill("Pages load slowly.")
    page.get_by_role("button", name="Declare and publish").click()
    page.wait_for_url(re.compile(r"/incident/\d+/change/"))
    return page.url


def words(page: Page) -> str:
    return page.get_by_label("Words for the public", exact=True).input_value()


def sees(page: Page, who: str, does: str) -> None:
    """Each page says every ten seconds that it is open."""
    here = page.locator("[data-here]").filter(has_text=who)
    expect(here).to_contain_text(f"{who} {does}", timeout=PATIENCE * 1000)


def test_f09_two_operators_see_each_other_and_overwrite_nothing(browser: Browser, house: House) -> None:
    with at_the_desk(browser, house, "commander") as his, at_the_desk(browser, house, "comms") as hers:
        incident = declare(his, house)
        hers.goto(incident)
        sees(hers, MARCUS, "is looking")
        sees(his, INES, "is looking")

        # Both begin to write.
        for page in (his, hers):
            page.get_by_role("link", name="Post update").first.click()
            expect(page.get_by_role("button", name="Publish update")).to_be_visible()
        sees(hers, MARCUS, "is writing an update")
        sees(his, INES, "is writing an update")
        his.get_by_label("Words for the public", exact=True).fill(HIS)
        his.get_by_label("Monitoring").check()
        hers.get_by_label("Words for the public", exact=True).fill(HERS)

        # She is first.
        hers.get_by_role("button", name="Publish update").click()
        hers.wait_for_url(incident)
        wait_for(lambda: HERS in fetch(f"{house.url}/status"), "Her words on the page", patience=2)

        # He is told what he had not seen; nothing was sent, and nothing he typed is lost.
        his.get_by_role("button", name="Publish update").click()
        told = his.get_by_role("alert").filter(has_text="changed")
        expect(told).to_contain_text(INES)
        expect(told).to_contain_text(HERS)
        assert words(his) == HIS
        expect(his.get_by_label("Monitoring")).to_be_checked()
        assert HIS not in fetch(f"{house.url}/status")

        # He reads it, and says it all the same: both are public, his above hers.
        his.get_by_role("button", name="Publish update anyway").click()
        his.wait_for_url(incident)
        wait_for(lambda: HIS in fetch(f"{house.url}/status"), "His words on the page", patience=2)
        page = fetch(f"{house.url}/status")
        assert page.index(HIS) < page.index(HERS)

        # Her screen, which nobody touched, shows it by itself.
        expect(hers.get_by_text(HIS).first).to_be_visible(timeout=PATIENCE * 1000)
