"""The main story, end to end: a browser, the whole house, a real mail server.

A visitor subscribes; an operator declares, updates and resolves; the page and the mail say so;
the link in the mail ends it.
"""

from __future__ import annotations

import re
from email.message import EmailMessage
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.flows.conftest import PATIENCE, House, PostOffice, fetch, wait_for

pytestmark = pytest.mark.browser
READER = "nadia@readers.example"
TITLE = "Checkout answers with errors"


def link(mail: EmailMessage, path: str) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    found = re.search(rf"https?://\S+{path}\S+", part.get_content())
    assert found, part.get_content()
    return found[0]


def sign_in(page: Page, house: House) -> None:
    page.goto(f"{house.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(house.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Declare an incident").first).to_be_visible()


def headline(house: House) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", fetch(f"{house.url}/status"), re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[1])).strip()


def test_a_night_from_declaration_to_all_clear(page: Page, house: House, post_office: PostOffice) -> None:
    page.set_default_timeout(PATIENCE * 1000)
    assert headline(house) == "All systems operational"

    # A visitor subscribes; nothing counts before the button behind the mailed link is pressed.
    page.goto(f"{house.url}/status")
    page.get_by_role("link", name="Subscribe to updates").first.click()
    page.get_by_label("E-mail address").fill(READER)
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("inbox")
    page.goto(link(post_office.wait(READER, ""), "/subscriptions/confirm/"))
    page.get_by_role("button").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("subscribed")

    # The operator declares on one form and sees beforehand how it will read.
    sign_in(page, house)
    page.get_by_role("link", name="Declare an incident").first.click()
    page.get_by_label("What is wrong, in one line").fill(TITLE)
    page.get_by_role("group", name="Payments").get_by_label("Major").check()
    page.get_by_label("What users notice", exact=True).fill("Paying by card fails.")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Paying by card fails.")
    expect(preview).to_contain_text(re.compile(r"this mails \d+ people"))
    # What the policy says of each way to tell, and how many it reaches, is counted as the form is filled.
    expect(page.get_by_role("checkbox", name="E-mail", exact=True)).to_be_checked()
    expect(page.locator("[data-way=email]")).to_contain_text(re.compile(r"the policy says yes.*\d+ people", re.DOTALL))
    page.get_by_role("button", name="Declare and publish").click()
    expect(page.get_by_text(TITLE).first).to_be_visible()
    incident = page.url

    # The page shows it at once, with the promise; the permanent page answers.
    wait_for(lambda: TITLE in fetch(f"{house.url}/status"), "The incident on the page", patience=1.0)
    public = fetch(f"{house.url}/status")
    assert headline(house) != "All systems operational"
    assert "Paying by card fails." in public
    assert re.search(r"[Nn]ext update", public)
    permanent = re.search(r'href="(/status/incidents/[a-z0-9]{12})"', public)
    assert permanent
    assert TITLE in fetch(house.url + permanent[1])

    # The mail: text and HTML, the brand's sender, one-click unsubscribe (RFC 8058).
    mail = post_office.wait(READER, "Investigating")
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert "Larkfield" in str(mail["From"])
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text = mail.get_body(("plain",))
    assert text is not None
    assert "Paying by card fails." in text.get_content()

    # Post an update, then resolve: the page is green again, and the reader knows.
    page.goto(incident)
    page.get_by_role("link", name="Post update").first.click()
    page.get_by_label("Monitoring").check()
    page.get_by_label("Words for the public", exact=True).fill("A fix is in place; payments go through again.")
    page.get_by_role("button", name=re.compile("Post|Publish")).first.click()
    post_office.wait(READER, "Monitoring")
    page.get_by_role("link", name="Resolve").first.click()
    page.get_by_label("Words for the public", exact=True).fill("Payments work. A wrong certificate was the cause.")
    page.get_by_role("button", name=re.compile("Resolve")).first.click()
    wait_for(lambda: headline(house) == "All systems operational", "The all-clear on the page", patience=1.5)
    last = post_office.wait(READER, "Resolved")

    # The link in the mail ends it: looking changes nothing, pressing does; one click does too.
    page.goto(link(last, "/subscriptions/unsubscribe/"))
    page.get_by_role("button").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("unsubscribed")
    assert len(post_office.to(READER)) == 4


def test_one_click_unsubscribe_needs_no_browser(page: Page, house: House, post_office: PostOffice) -> None:
    reader = "omar@readers.example"
    page.goto(f"{house.url}/subscriptions/subscribe")
    page.get_by_label("E-mail address").fill(reader)
    page.get_by_role("button", name="Subscribe").click()
    page.goto(link(post_office.wait(reader, ""), "/subscriptions/confirm/"))
    page.get_by_role("button").first.click()
    sign_in(page, house)
    page.goto(f"{house.url}/admin/incidents/incident/add/")
    page.get_by_label("What is wrong, in one line").fill("Search is slow")
    page.get_by_role("group", name="Web app").get_by_label("Degraded").check()
    page.get_by_label("Words for the public", exact=True).fill("Search takes up to ten seconds.")
    page.get_by_role("button", name="Declare and publish").click()
    mail = post_office.wait(reader, "Search is slow")
    target = str(mail["List-Unsubscribe"]).strip("<>")
    with urlopen(Request(target, data=b"List-Unsubscribe=One-Click", method="POST"), timeout=10) as answer:
        assert answer.status == 200
    page.get_by_role("link", name="Resolve").first.click()
    page.get_by_label("Words for the public", exact=True).fill("Search is quick again.")
    page.get_by_role("button", name=re.compile("Resolve")).first.click()
    others = "resolved"
    wait_for(lambda: [m for m in post_office.letters if others in str(m["Subject"]).lower()], "The last mail to others")
    assert len(post_office.to(reader)) == 2
