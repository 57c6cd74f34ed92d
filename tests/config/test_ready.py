"""Ready bytes: the page in front of Django (performance.md A)."""

import gzip
import json
import os
import time

import pytest

from config import ready
from config.middleware import PUBLIC_POLICY

NOTICE = "/status/incidents/abcdefghijkl"


@pytest.fixture
def folder(tmp_path):
    put(tmp_path, "index.html", b"<h1>All systems operational</h1>" * 9)
    put(tmp_path, "pressed.json", json.dumps({"at": "2026-11-20T03:00:00+00:00"}).encode())
    (tmp_path / "incidents").mkdir()
    return tmp_path


def put(folder, name, content):
    draft = folder / ".draft"
    draft.write_bytes(content)
    draft.replace(folder / name)


def inner(environ, start_response):
    start_response("200 OK", [])
    return [b"Django"]


class Reader:
    """Asks a WSGI application and remembers what it said."""

    def __init__(self, application):
        self.application = application

    def get(self, path="/status", method="GET", **headers):
        environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "", "wsgi.url_scheme": "http"}
        environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        said = []
        body = b"".join(self.application(environ, lambda status, headers: said.append((status, dict(headers)))))
        return said[0][0], said[0][1], body


@pytest.fixture
def reader(folder):
    return Reader(ready.Ready(inner, folder))


def test_the_page_comes_with_everything_a_browser_and_a_cache_need(reader, folder):
    status, headers, body = reader.get()
    assert (status, body) == ("200 OK", (folder / "index.html").read_bytes())
    assert headers.pop("ETag").startswith('W/"')
    assert headers == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "public, max-age=5, stale-while-revalidate=30, stale-if-error=86400",
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": PUBLIC_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Pressed-At": "Fri, 20 Nov 2026 03:00:00 GMT",
    }
    assert reader.get("/status/")[2] == body


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("GZIP;q=0.5, gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("identity", False),
        ("", False),
    ],
)
def test_packed_bytes_go_to_whoever_takes_them(reader, folder, accepted, packed):
    _, headers, body = reader.get(accept_encoding=accepted)
    assert headers.get("Content-Encoding") == ("gzip" if packed else None)
    assert int(headers["Content-Length"]) == len(body)
    assert (gzip.decompress(body) if packed else body) == (folder / "index.html").read_bytes()


def test_who_has_it_already_is_told_so(reader):
    tag = reader.get()[1]["ETag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        status, headers, body = reader.get(if_none_match=known)
        assert (status, headers["ETag"], body) == ("304 Not Modified", tag, b"")
    assert reader.get(if_none_match='W/"other"')[0] == "200 OK"


def test_head_answers_like_get_without_the_body(reader):
    assert reader.get(method="HEAD") == (*reader.get()[:2], b"")
    assert reader.get(method="HEAD", accept_encoding="gzip")[2] == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_the_page_is_only_read(reader, method):
    status, headers, _ = reader.get(method=method)
    assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/", "/admin/", "/status/history", "/status/incidents/", "/status/incidents/../index",
        "/status/incidents/ABCDEFGHIJKL", "/status/incidents/abcdefghijk\n", f"{NOTICE}/", f"{NOTICE}.html", NOTICE,
    ],
)  # fmt: skip
def test_what_is_not_pressed_is_left_to_django(reader, path):
    assert reader.get(path)[2] == b"Django"


def test_before_the_first_pressing_django_answers(tmp_path):
    reader = Reader(ready.Ready(inner, tmp_path / "page"))
    assert reader.get()[2] == b"Django"
    (tmp_path / "page").mkdir()
    put(tmp_path / "page", "index.html", b"first")
    reader.application.look()
    assert reader.get()[2] == b"first"


def test_a_new_page_is_noticed_by_itself_within_a_second(reader, folder):
    put(folder, "index.html", b"<h1>Major system outage</h1>")
    end = time.monotonic() + 5
    while reader.get()[2] != b"<h1>Major system outage</h1>" and time.monotonic() < end:
        time.sleep(0.02)
    assert reader.get()[2] == b"<h1>Major system outage</h1>"
    assert ready.LOOK_EVERY <= 0.25


def test_incident_pages_are_read_when_asked_for_and_renewed_when_replaced(reader, folder):
    put(folder, "incidents/abcdefghijkl.html", b"Investigating")
    assert reader.get(NOTICE)[2] == b"Investigating"
    put(folder, "incidents/abcdefghijkl.html", b"Resolved")
    reader.application.look()
    assert reader.get(NOTICE)[2] == b"Resolved"


def test_an_incident_page_that_is_kept_for_hours_does_not_claim_an_hour(reader, folder):
    put(folder, "incidents/abcdefghijkl.html", b"Resolved")
    assert "X-Pressed-At" not in reader.get(NOTICE)[1]


def test_the_memory_for_incident_pages_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(ready, "KEPT", 5)
    reader = Reader(ready.Ready(inner, folder))
    for number in range(20):
        put(folder, f"incidents/{number:012}.html", b"%d" % number)
        assert reader.get(f"/status/incidents/{number:012}")[2] == b"%d" % number
    assert len(reader.application._pages) == 5
    assert reader.get()[0] == "200 OK"


def test_the_page_stays_when_its_files_are_lost(reader, folder):
    before = reader.get()
    for name in ("index.html", "pressed.json"):
        (folder / name).unlink()
    (folder / "incidents").rmdir()
    reader.application.look()
    assert (reader.get()[0], reader.get()[2]) == (before[0], before[2])


def test_freshness_moves_on_while_the_page_stays_the_same(reader, folder):
    """R-1309: the tag does not change, so that nobody loads the same page again."""
    before = reader.get()[1]
    put(folder, "pressed.json", json.dumps({"at": "2026-11-20T03:00:30+00:00"}).encode())
    reader.application.look()
    after = reader.get(if_none_match=before["ETag"])
    assert (after[0], after[1]["X-Pressed-At"]) == ("304 Not Modified", "Fri, 20 Nov 2026 03:00:30 GMT")


def test_with_tls_enforced_plain_readers_are_left_to_django(folder, settings):
    """Django's middleware redirects them; behind a proxy its header is believed if so configured."""
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    reader = Reader(ready.Ready(inner, folder))
    assert reader.get()[2] == b"Django"
    assert reader.get(x_forwarded_proto="https")[2] == b"Django"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    status, headers, _ = reader.get(x_forwarded_proto="https")
    assert (status, headers["Strict-Transport-Security"]) == ("200 OK", "max-age=31536000; includeSubDomains")


def test_a_fork_looks_for_itself(reader, folder):
    """A server that loads the application before it forks would leave the watching thread behind."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        put(folder, "index.html", b"after the fork")
        end = time.monotonic() + 5
        while reader.get()[2] != b"after the fork" and time.monotonic() < end:
            time.sleep(0.02)
        os.write(write, reader.get()[2])
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"after the fork"


@pytest.mark.parametrize("marker", [b"", b"{", b"[]", b'{"at": 5}', b"\xff"])
def test_a_broken_marker_only_costs_the_freshness(folder, marker):
    put(folder, "pressed.json", marker)
    status, headers, _ = Reader(ready.Ready(inner, folder)).get()
    assert (status, "X-Pressed-At" in headers) == ("200 OK", False)
