"""The page in a real browser: local times, days by keyboard and touch, live refresh (R-701)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, sync_playwright

from config.middleware import PUBLIC_POLICY
from status.enums import Level, Phase
from status.page import press
from tests.scene import NIGHT, brand, component, minutes
from tests.status.stage import notice, over, post

pytestmark = [pytest.mark.django_db, pytest.mark.browser]

SITE = "http://status.test"
LATER = NIGHT + minutes(60)
CHROMIUM = "/usr/bin/chromium"


class House:
    """Answers like the web process, without one: a page that can change, with its tag and its freshness."""

    def __init__(self) -> None:
        self.page, self.version, self.asked, self.away = b"", 0, [], False
        self.pressed_at, self.date = "Fri, 20 Nov 2026 03:00:00 GMT", "Fri, 20 Nov 2026 03:00:01 GMT"

    def show(self, page: bytes) -> None:
        self.page, self.version = page, self.version + 1

    def answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(SITE).split("?")[0]
        if path.startswith("/static/"):
            found = settings.BASE_DIR / "config" / path.removeprefix("/")
            kind = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[path.rpartition(".")[2]]
            return route.fulfill(body=found.read_bytes(), content_type=kind)
        if self.away:
            return route.abort()
        tag = f'W/"{self.version}"'
        self.asked.append(route.request.headers.get("if-none-match"))
        told = {
            "ETag": tag,
            "X-Pressed-At": self.pressed_at,
            "Date": self.date,
            "Content-Security-Policy": PUBLIC_POLICY,
        }
        if self.asked[-1] == tag:
            return route.fulfill(status=304, headers=told)
        return route.fulfill(body=self.page, headers=told | {"Content-Type": "text/html; charset=utf-8"})


def pressed() -> bytes:
    return press.render_page(LATER)


@contextmanager
def reading(house: House, page: bytes) -> Iterator[Page]:
    """A tab in Berlin that shows ``page``, with a clock we can wind; a complaint in its console fails the test.

    What is to be shown is pressed beforehand: the browser's driver runs an event loop in this
    thread, inside of which Django would open another connection.
    """
    complaints: list[str] = []
    house.show(page)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(timezone_id="Europe/Berlin", locale="en-GB", has_touch=True)
        tab = context.new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda said: complaints.append(said.text) if "policy" in said.text.lower() else None)
        tab.route("**/*", house.answer)
        tab.clock.install(time=LATER)
        tab.goto(f"{SITE}/status")
        tab.wait_for_selector(".live")
        yield tab
        browser.close()
    assert complaints == []


def test_times_are_told_in_the_readers_zone():
    notice(next_update_by=NIGHT + minutes(90))
    with reading(House(), pressed()) as tab:
        assert tab.inner_text(".promise") == "Next update by 20 Nov, 05:30 CET"
        assert tab.get_attribute(".promise time", "title") == "20 Nov 2026, 04:30 UTC"


def test_an_update_appears_by_itself_and_is_said_aloud_once():
    told = notice(levels={component(): Level.DEGRADED})
    before = pressed()
    post(told, Phase.IDENTIFIED, "A disk is full.", at=NIGHT + minutes(5))
    house, after = House(), pressed()
    with reading(house, before) as tab:
        tab.focus(".told h3 a")
        house.show(after)
        tab.clock.run_for(20_000)
        tab.wait_for_selector("text=A disk is full.")
        assert tab.inner_text("[aria-live]") == "New update: Identified 20 Nov, 04:05 CET"
        assert tab.evaluate("document.activeElement.textContent") == "API is slow"


def test_the_last_look_is_told_with_its_zone():
    component()
    with reading(House(), pressed()) as tab:
        tab.wait_for_selector(".live")
        assert re.fullmatch(r"Live, checked at \d\d:\d\d:\d\d CET", tab.inner_text(".live"))


def test_a_change_of_the_headline_is_what_is_said():
    api = component()
    brand()
    before = pressed()
    notice(levels={api: Level.MAJOR})
    house, after = House(), pressed()
    with reading(house, before) as tab:
        house.show(after)
        tab.clock.run_for(20_000)
        tab.wait_for_selector("h1:has-text('Full outage')")
        assert tab.inner_text("[aria-live]") == "Status changed: Full outage"
        assert "mark-red" in tab.get_attribute("link[rel=icon]", "href")
        assert tab.title() == "Full outage – Northwind status"


def test_an_unchanged_page_is_not_exchanged():
    component()
    house = House()
    with reading(house, pressed()) as tab:
        tab.evaluate("document.querySelector('h1').dataset.mine = 'yes'")
        with tab.expect_response(lambda answer: answer.status == 304):
            tab.clock.run_for(20_000)
        assert tab.get_attribute("h1", "data-mine") == "yes"
        assert house.asked == [None, None, 'W/"1"']


def test_a_group_stays_as_the_reader_left_it():
    api = component("API", "Core")
    before = pressed()
    told = notice(levels={api: Level.PARTIAL})
    house, after = House(), pressed()
    with reading(house, before) as tab:
        tab.click("summary")
        house.show(after)
        tab.clock.run_for(20_000)
        tab.wait_for_selector(f"#n-{told.public_id}")
        assert tab.get_attribute("details", "open") is None


def test_the_reader_is_warned_when_the_page_grows_old():
    """R-1309."""
    component()
    house = House()
    with reading(house, pressed()) as tab:
        house.date = "Fri, 20 Nov 2026 03:09:00 GMT"
        tab.clock.run_for(20_000)
        tab.wait_for_selector(".live.stale")
        assert tab.inner_text(".live") == "This page was last renewed 9 min ago and may be out of date"


def test_the_reader_is_warned_when_the_connection_is_lost():
    component()
    house = House()
    with reading(house, pressed()) as tab:
        house.away = True
        for _ in range(11):
            tab.clock.run_for(20_000)
        tab.wait_for_selector(".live.stale")
        assert tab.inner_text(".live").startswith("No connection since ")
        assert tab.inner_text("h1") == "All systems operational"


def test_days_are_told_by_keyboard_and_by_touch():
    api = component(created_at=NIGHT - timedelta(days=40))
    over("INC-2026-0001", at=NIGHT - timedelta(days=1), lasting=minutes(42), levels={api: Level.MAJOR})
    with reading(House(), pressed()) as tab:
        bars = tab.locator(".bars")
        bars.focus()
        assert tab.inner_text(".tip") == "Fri 20 Nov\nNo trouble"
        tab.keyboard.press("ArrowLeft")
        assert tab.inner_text(".tip") == "Thu 19 Nov\nMajor outage: 42 min"
        assert bars.get_attribute("aria-valuetext") == "Thu 19 Nov, Major outage: 42 min"
        tab.keyboard.press("Home")
        assert tab.inner_text(".tip") == "Sun 23 Aug\nNot measured yet"
        tab.keyboard.press("Escape")
        assert tab.locator(".tip").count() == 0
        room = bars.bounding_box()
        tab.touchscreen.tap(room["x"] + room["width"] * 88.5 / 90, room["y"] + room["height"] / 2)
        assert tab.inner_text(".tip") == "Thu 19 Nov\nMajor outage: 42 min"


def test_nothing_is_wider_than_a_phone():
    component("API")  # not everything is down: the headline names what is
    long = component("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"[:68])
    notice(title="A" * 120, levels={long: Level.MAJOR}, body="x" * 500 + "\n\n```\n" + "y" * 300 + "\n```")
    with reading(House(), pressed()) as tab:
        tab.set_viewport_size({"width": 320, "height": 700})
        assert tab.evaluate("document.documentElement.scrollWidth") == 320
