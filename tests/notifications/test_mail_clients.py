"""What readers see: the same in plain text and in HTML, in mail programs that strip, clip, darken and guess."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from notifications import compiler
from notifications.compiler import LANGUAGES, Preview
from notifications.models import Brand
from notifications.stories import Letter
from tests.notifications.news import story

pytestmark = pytest.mark.django_db

LINKS = {
    "unsubscribe_url": "https://status.example/subscriptions/unsubscribe/x",
    "manage_url": "https://status.example/subscriptions/manage/x",
}
PROMISE = "2026-11-20T15:40:00+00:00"
LETTER = Letter(
    "Confirm your subscription",
    ("Somebody, perhaps you, asked for news of Northwind.", "If that was not you, ignore this letter."),
    "Yes, send me updates",
    "https://status.example/subscriptions/confirm/x",
)
VOID = {"meta", "br", "img", "hr", "input", "link"}


@pytest.fixture
def signed(brand: Brand) -> Brand:
    brand.signature = "The Northwind team\nReliability engineering"
    brand.save()
    return brand


@pytest.fixture(params=["first", "promised", "later", "resolved", "no components", "letter", "bare letter", "digest"])
def content(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """A template and what is said by it."""
    first = story()
    later = story("Investigating", "Identified", "Monitoring", next_update_by=PROMISE)
    corrected = replace(later.lines[0], corrected_at="2026-11-20T14:20:00+00:00")
    later = replace(later, lines=(corrected, *later.lines[1:]))
    told: dict[str, tuple[str, dict[str, Any]]] = {
        "first": ("story", first.as_json()),
        "promised": ("story", replace(first, next_update_by=PROMISE).as_json()),
        "later": ("story", later.as_json()),
        "resolved": ("story", story("Investigating", "Resolved").as_json()),
        "no components": ("story", replace(first, components=(), url="").as_json()),
        "letter": ("letter", LETTER.as_json()),
        "bare letter": ("letter", replace(LETTER, button="", url="").as_json()),
        "digest": ("digest", {"stories": [first.as_json(), story("Resolved", title="Webhooks were late").as_json()]}),
    }
    return told[request.param]


def written(content: tuple[str, dict[str, Any]], brand: Brand, language: str = "en") -> Preview:
    name, said = content
    return compiler._words(name, said, brand, "[Northwind] News", language, LINKS)


class Page(HTMLParser):
    """The visible words by block, the addresses behind links, and every tag that was left open."""

    BLOCKS = ("td", "p", "h1", "h2", "li", "div", "a", "br", "table")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.blocks: list[str] = [""]
        self.links: list[str] = []
        self.open: list[str] = []
        self.hidden = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "a":
            self.links.append(known["href"] or "")
        if tag in self.BLOCKS:
            self.blocks.append("")
        if tag not in VOID:
            self.open.append(tag)
            self.hidden += tag in ("style", "title") or "glance" in (known.get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        opened = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        if self.hidden and (tag in ("style", "title") or not set(self.open) & {"div", "td"}):
            self.hidden -= 1
        if tag in self.BLOCKS:
            self.blocks.append("")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.blocks[-1] += data


def plain(words: str) -> str:
    """Words alone: no case, no bullets, no colons before an address, one kind of space."""
    return " ".join(re.sub(r"[·:]", " ", words).casefold().split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_text_says_the_html_says(signed: Brand, content: tuple[str, dict[str, Any]], language: str) -> None:
    """Line by line; an address of the text is behind a link of the HTML."""
    mail = written(content, signed, language)
    page = Page(mail.html)
    shown = plain(" ".join(page.blocks))
    for line in filter(None, map(str.strip, mail.text.splitlines())):
        if line.startswith("https://"):
            assert line in page.links
        elif line != "--":
            assert plain(line.removeprefix("- ")) in shown, line


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_html_says_the_text_says(signed: Brand, content: tuple[str, dict[str, Any]], language: str) -> None:
    mail = written(content, signed, language)
    page = Page(mail.html)
    said = plain(mail.text)
    for block in filter(None, map(plain, page.blocks)):
        assert block in said, block
    for link in page.links:
        assert link.removeprefix("mailto:") in mail.text


# --- mail programs -----------------------------------------------------------------------------------


def as_outlook_sees_it(html: str) -> str:
    return re.sub(r"<!--\[if mso\]>(.*?)<!\[endif\]-->", r"\1", html, flags=re.S)


@pytest.mark.parametrize("seen", [str, as_outlook_sees_it], ids=["everybody", "outlook"])
def test_every_tag_is_closed(signed: Brand, content: tuple[str, dict[str, Any]], seen: Any) -> None:
    """Outlook reads what stands in comments for the others."""
    assert Page(seen(written(content, signed).html)).open == []


def test_outlook_is_told_a_width_in_numbers(signed: Brand) -> None:
    """It knows no max-width: the sheet would be as wide as the window."""
    html = written(("letter", LETTER.as_json()), signed).html
    assert "max-width:600px" in html
    assert re.findall(r'<table[^>]* width="600"', re.sub(r"<!--.*?-->", "", html, flags=re.S)) == []
    assert len(re.findall(r'<table[^>]* width="600"', as_outlook_sees_it(html))) == 1


def test_nothing_is_loaded_from_anywhere(signed: Brand, content: tuple[str, dict[str, Any]]) -> None:
    """No pixel that tells who reads, nothing that a mail program would block and show a gap for."""
    html = written(content, signed).html
    assert re.findall(r"<(?:img|link|script|iframe|form|object)|url\(|@import|\bon\w+=", html) == []


def test_it_is_readable_where_styles_are_stripped(signed: Brand, content: tuple[str, dict[str, Any]]) -> None:
    """Then only what stands in the tags is left: every cell with words has its colour there, or above it."""
    html = re.sub(r"<style>.*?</style>", "", as_outlook_sees_it(written(content, signed).html), flags=re.S)
    for tag in re.findall(r"<(?:h1|h2|a)\b[^>]*>", html):
        assert re.search(r'style="[^"]*\bcolor:#', tag), tag
    for tag in re.findall(r'<\w+[^>]*class="[^"]*\b(?:ink|soft|words)\b[^>]*>', html):
        assert re.search(r'style="[^"]*\bcolor:#', tag), tag


def test_styles_are_short_enough_for_gmail(signed: Brand, content: tuple[str, dict[str, Any]]) -> None:
    """It ignores a style element of more than 8,192 letters as a whole."""
    for style in re.findall(r"<style>(.*?)</style>", written(content, signed).html, flags=re.S):
        assert len(style) < 8192


def test_dark_and_light_are_both_told(signed: Brand) -> None:
    html = written(("letter", LETTER.as_json()), signed).html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "@media (prefers-color-scheme: dark)" in html


def test_a_list_of_mails_shows_the_news_and_no_more(signed: Brand) -> None:
    html = written(("story", story(text="Cards fail.").as_json()), signed).html
    [glance] = re.findall(r'<div class="glance"[^>]*>(.*?)</div>', html)
    words, filler = glance.split("&#847;", 1)
    assert words == "Cards fail. (0)"
    assert filler.count("&#847;") == 29


def test_a_long_incident_is_not_clipped(signed: Brand) -> None:
    """Gmail cuts off what is longer than 102 kB, and the way to unsubscribe with it."""
    phases = ["Investigating", *["Monitoring"] * 38, "Resolved"]
    told = story(*phases, text="We keep looking into it and will post again when there is more to say. " * 6)
    assert len(written(("story", told.as_json()), signed).html.encode()) < 102 * 1024
