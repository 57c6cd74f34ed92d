"""Whatever encoding a stranger names, no page breaks on it (F17)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from config.encoding import ReadAsUtf8

pytestmark = pytest.mark.django_db

FORM = "/subscriptions/subscribe"
ENCODINGS = ["unicode_escape", "raw_unicode_escape", "hex", "rot13", "undefined", "idna", "nobody-knows", "utf-16"]
POSTED = b'--x\r\nContent-Disposition: form-data; name="address"\r\n\r\n\\ud800@x.example\r\n--x--\r\n'


def answer(method: str, path: str, kind: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body as a web server gets them; what is raised before Django answers is raised here."""
    client: Any = Client(raise_request_exception=False)
    django = client.handler
    house: Any = ReadAsUtf8(lambda environ, start: django(environ))
    client.handler = lambda environ: house(environ, None)
    answered = client.generic(method, path, body, CONTENT_TYPE=kind)
    return answered.status_code, answered.content


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_form_is_read_as_utf8_and_shown_again(encoding: str) -> None:
    """One of these makes a character that no page can carry, the others raise."""
    for kind in (
        f"multipart/form-data; boundary=x; charset={encoding}",
        f'Multipart/Form-Data; CHARSET="{encoding}"; boundary="x"',
    ):
        status, page = answer("POST", FORM, kind, POSTED)
        assert (status, rb"\ud800@x.example" in page) == (422, True)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_question_is_read_as_utf8(encoding: str) -> None:
    assert answer("GET", f"{FORM}?a=%FF", f"text/html; charset={encoding}")[0] == 200


@pytest.mark.parametrize(
    "kind", ["text/html; charset*=hex''%41", "text/html; a*=nobody-knows''%41", "; charset=hex", ";"]
)
def test_what_cannot_be_read_is_nothing_we_know(kind: str) -> None:
    assert answer("GET", f"{FORM}?a=1", kind)[0] == 200
