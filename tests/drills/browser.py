"""An operator's browser, as far as a drill needs one: signs in, opens a form, and sends it, many times at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from threading import Barrier
from typing import NamedTuple

import requests

#: How long a browser, or the proxy before the console, goes on trying to get an answer.
PATIENCE_SECONDS = 30.0
_REDIRECT, _OK = 302, 200


class Answer(NamedTuple):
    """Of one click: the status, where it leads, and how often nobody answered before."""

    status: int
    leads_to: str
    unanswered: int


class Browser:
    """``site`` is the address of the web process. One session: its clicks are one person's."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._session = requests.Session()

    def sign_in(self, username: str, password: str) -> None:
        form = self.open("/admin/login/")
        self._session.post(f"{self.site}/admin/login/", data=form | {"username": username, "password": password})
        assert "sessionid" in self._session.cookies, "nobody was signed in"

    def open(self, path: str) -> dict[str, str]:
        """What the form of a page holds."""
        page = self._session.get(self.site + path, allow_redirects=False, timeout=PATIENCE_SECONDS)
        assert page.status_code == _OK, f"{path} answered {page.status_code}"
        return _Forms.read(page.text)

    def click(self, path: str, form: Mapping[str, str], *, times: int) -> list[Answer]:
        """Send the same form so many times at the same moment; each click is tried until somebody answers."""
        together = Barrier(times)

        def one(_: int) -> Answer:
            with requests.Session() as tab:
                tab.cookies.update(self._session.cookies)
                together.wait()
                return _insist(tab, self.site + path, form)

        with ThreadPoolExecutor(times) as hands:
            return list(hands.map(one, range(times)))


def _insist(tab: requests.Session, url: str, form: Mapping[str, str]) -> Answer:
    unanswered, end = 0, time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = tab.post(url, data=form, allow_redirects=False, timeout=PATIENCE_SECONDS)
        except requests.ConnectionError:
            unanswered += 1
            if time.monotonic() > end:
                return Answer(0, "", unanswered)
            time.sleep(0.2)
        else:
            place = answer.headers.get("Location", "") if answer.status_code == _REDIRECT else ""
            return Answer(answer.status_code, place, unanswered)


class _Forms(HTMLParser):
    """The fields of the page's forms, as they would be sent; the one with the most fields is what the page is for."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self._text = self._select = ""

    @classmethod
    def read(cls, page: str) -> dict[str, str]:
        parser = cls()
        parser.feed(page)
        return max(parser.forms, key=len)

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in pairs}
        if tag == "form":
            self.forms.append({})
        if not self.forms:
            return
        fields, name = self.forms[-1], known.get("name", "")
        match tag:
            case "input" if known.get("type") in ("radio", "checkbox"):
                if "checked" in known:
                    fields[name] = known.get("value", "on")
            case "input" if name and known.get("type") not in ("submit", "button"):
                fields[name] = known.get("value", "")
            case "textarea":
                fields[name], self._text = "", name
            case "select":
                self._select = name
            case "option" if self._select and ("selected" in known or self._select not in fields):
                fields[self._select] = known.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = ""
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            # The line break after the tag is not part of it.
            self.forms[-1][self._text] += data.removeprefix("\n") if not self.forms[-1][self._text] else data
