"""Apprise's own plugins posting to a real server: what each service gets, and what its answers mean (R-801, S20)."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from html import escape
from typing import Any

import pytest
import requests
from pytest_django import Settings

from notifications.channels import chat, chat_urls, registry, talk
from notifications.channels.port import Answer, Verdict
from notifications.channels.services import SERVICES
from notifications.channels.wording import Note
from notifications.egress import Client
from notifications.enums import Channel
from tests.notifications.receiver import drip, endless, reset, say, silent
from tests.notifications.rooms import (
    BLUESKY,
    DISCORD,
    GOOGLE,
    MASTODON,
    MATRIX,
    MATTERMOST,
    NTFY,
    OPSGENIE,
    PAGERDUTY,
    PUSHOVER,
    ROCKET,
    SLACK,
    SLACK_BOT,
    TEAMS,
    TELEGRAM,
    WEBEX,
    Rooms,
    X,
)

KEY = "0123456789abcdef" * 2
LINK = "https://status.example/i/abc?a=1&b=2"
WORDS = "Cards of <some> banks & others are *declined*.\n\nWe look into it."
NEXT = "Next update by 15:30 UTC."


def note(**changes: str) -> Note:
    told = {
        "brand": "Nørthwind ☃",
        "subject": "[Nørthwind ☃] Investigating: Payments <fail>",
        "title": "Investigating: Payments <fail>",
        "text": WORDS,
        "promise": NEXT,
        "link": LINK,
        "severity": "failure",
        "lane": "notice:7",
        "news": "ab" * 16,
    }
    return Note(**(told | changes))


def post(rooms: Rooms, url: str, told: Note | None = None, *, seconds: float = 5.0) -> Answer:
    told = told or note()
    client = rooms.client()()
    try:
        target = chat_urls.parse(url, sender=told.brand)
        return chat.post(target, told, key=KEY, client=client, deadline=time.monotonic() + seconds)
    finally:
        client.close()


# In text that room software reads as more than text, what could be a command is cut in two by nothing.
CUT = WORDS.replace("<some>", "<\u200bsome>")


def test_slack(rooms: Rooms) -> None:
    assert post(rooms, SLACK) == Answer(Verdict.DELIVERED, "Slack answered 200 OK.")
    [(where, _, body)] = rooms.asked
    assert where == "hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert body == {
        "mrkdwn": False,
        "attachments": [
            {
                "title": "[Nørthwind ☃] Investigating: Payments &lt;\u200bfail&gt;",
                "text": f"{escape(CUT, quote=False)}\n\n{NEXT}\n{escape(LINK)}",
                "color": "#A32037",
                "footer": "Nørthwind ☃",
            }
        ],
    }


def test_discord(rooms: Rooms) -> None:
    rooms.otherwise = say(204)
    assert post(rooms, DISCORD).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == "discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    words = f"**[Nørthwind ☃] Investigating: Payments <\u200bfail>**\r\n{CUT}\n\n{NEXT}\n{LINK}"
    assert body == {"tts": False, "wait": True, "content": words}


def test_teams(rooms: Rooms) -> None:
    """A workflow only says that it will: 202."""
    rooms.otherwise = say(202)
    assert post(rooms, TEAMS) == Answer(Verdict.ACCEPTED, "Microsoft Teams answered 202 Accepted.")
    [(where, query, body)] = rooms.asked
    assert where.startswith("prod-12.westus.logic.azure.com/workflows/643e69f83c8944438d68119179a10a64/")
    assert query == {
        "api-version": "2016-06-01", "sp": "/triggers/manual/run", "sv": "1.0", "sig": "GODuqXbdVTNpk_b1CeJ",
    }  # fmt: skip
    card = body["attachments"][0]["content"]
    assert [block["text"] for block in card["body"]] == [
        "[Nørthwind ☃] Investigating: Payments <\u200bfail>",
        f"{CUT}\n\n{NEXT}\n\n{LINK}",
    ]
    assert card["msteams"] == {"width": "full"}, "nobody is mentioned"


def test_mattermost(rooms: Rooms) -> None:
    assert post(rooms, MATTERMOST).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == "chat.example.org/hooks/abcdefghijklmnopqrstuvwxyz"
    words = f"**[Nørthwind ☃] Investigating: Payments <\u200bfail>**\r\n{CUT}\n\n{NEXT}\n{LINK}"
    assert body == {"text": words, "username": "Nørthwind ☃"}


def test_rocket_chat(rooms: Rooms) -> None:
    assert post(rooms, ROCKET).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == "rocket.example.org/hooks/5d6e7f/abcDEFghi"
    assert body == {"text": f"*[Nørthwind ☃] Investigating: Payments <\u200bfail>*\r\n{CUT}\n\n{NEXT}\n{LINK}"}


def test_google_chat(rooms: Rooms) -> None:
    assert post(rooms, GOOGLE).verdict is Verdict.DELIVERED
    [(where, query, body)] = rooms.asked
    assert where == "chat.googleapis.com/v1/spaces/AAAAsp4ce/messages"
    assert query == {"key": "AIzaKey-x", "token": "tok_en1"}
    assert body == {"text": f"*[Nørthwind ☃] Investigating: Payments <\u200bfail>*\r\n{CUT}\n\n{NEXT}\n{LINK}"}


def test_telegram(rooms: Rooms) -> None:
    assert post(rooms, TELEGRAM).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == "api.telegram.org/bot123456789:abcdefghijklmnopqrstuvwxyz_ABCDE-12/sendMessage"
    title = "<b>[Nørthwind ☃] Investigating: Payments &lt;fail&gt;</b>"
    words = escape(WORDS, quote=False).replace("\n\n", "\n\u200b\n")
    assert body == {
        "disable_notification": False,
        "disable_web_page_preview": True,
        "parse_mode": "HTML",
        "text": f"{title}\r\n{words}\n\u200b\n{NEXT}\n{escape(LINK)}",
        "chat_id": -100123,
    }


def test_webex(rooms: Rooms) -> None:
    rooms.otherwise = say(204)
    assert post(rooms, WEBEX).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == f"api.ciscospark.com/v1/webhooks/incoming/{'a1' * 40}"
    assert body == {"markdown": f"**[Nørthwind ☃] Investigating: Payments <\u200bfail>**\r\n{CUT}\n\n{NEXT}\n{LINK}"}


def test_matrix_knows_a_message_by_its_key(rooms: Rooms) -> None:
    base = "matrix.example.org/_matrix/client/v3"
    room = "%21room%3Amatrix.example.org"
    rooms.says(f"{base}/account/whoami", body={"user_id": "@bot:matrix.example.org"})
    rooms.says(f"{base}/join/{room}", body={"room_id": "!room:matrix.example.org"})
    rooms.says(f"{base}/rooms/{room}/send/m.room.message/{KEY}", body={"event_id": "$1"})
    assert post(rooms, MATRIX).verdict is Verdict.DELIVERED
    where, _, body = rooms.asked[-1]
    assert where == f"{base}/rooms/{room}/send/m.room.message/{KEY}"
    words = f"[Nørthwind ☃] Investigating: Payments <\u200bfail>\n\n{CUT}\n\n{NEXT}\n{LINK}"
    assert body == {"msgtype": "m.text", "body": words}
    assert rooms.heard[-1].headers["authorization"] == "Bearer syt_t0ken"


def test_pagerduty_opens_and_closes_one_alert_per_incident(rooms: Rooms) -> None:
    rooms.otherwise = say(202)
    assert post(rooms, PAGERDUTY).verdict is Verdict.ACCEPTED
    assert post(rooms, PAGERDUTY, note(severity="success")).verdict is Verdict.ACCEPTED
    opened, closed = (body for _, _, body in rooms.asked)
    assert opened == {
        "routing_key": "integrati0nkey",
        "payload": {
            "summary": "[Nørthwind ☃] Investigating: Payments <\u200bfail>",
            "severity": "critical",
            "source": "status",
            "component": "page",
            "custom_details": {"Update": WORDS, "Next update": NEXT},
        },
        "client": "Nørthwind ☃",
        "event_action": "trigger",
        "dedup_key": "notice:7",
        "links": [{"href": LINK}],
    }
    assert closed == {"routing_key": "integrati0nkey", "event_action": "resolve", "dedup_key": "notice:7"}


def test_opsgenie_opens_and_closes_one_alert_per_incident(rooms: Rooms) -> None:
    rooms.otherwise = say(202, b'{"requestId": "r-1"}')
    assert post(rooms, OPSGENIE).verdict is Verdict.ACCEPTED
    assert post(rooms, OPSGENIE, note(severity="success")).verdict is Verdict.ACCEPTED
    opened, closed = rooms.asked
    assert opened[0] == "api.opsgenie.com/v2/alerts"
    assert {name: opened[2][name] for name in ("message", "alias", "responders")} == {
        "message": "[Nørthwind ☃] Investigating: Payments <\u200bfail>",
        "alias": "notice:7",
        "responders": [{"type": "team", "name": "status"}],
    }
    assert closed[:2] == ("api.opsgenie.com/v2/alerts/notice%3A7/close", {"identifierType": "alias"})
    assert rooms.heard[0].headers["authorization"] == "GenieKey apik3y-0ps"


def test_pushover_and_ntfy(rooms: Rooms) -> None:
    assert post(rooms, PUSHOVER).verdict is Verdict.DELIVERED
    assert post(rooms, NTFY).verdict is Verdict.DELIVERED
    (pushed, _, form), (told, _, body) = rooms.asked
    assert (pushed, told) == ("api.pushover.net/1/messages.json", "ntfy.sh")
    assert "title=%5BN%C3%B8rthwind" in form
    words = f"{CUT}\n\n{NEXT}\n{LINK}"
    assert body == {
        "topic": "acme-status-topic",
        "title": "[Nørthwind ☃] Investigating: Payments <\u200bfail>",
        "message": words,
    }


def test_x_says_it_for_everybody(rooms: Rooms) -> None:
    rooms.otherwise = say(201, b'{"data": {"id": "1"}}')
    assert post(rooms, X).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == "api.twitter.com/2/tweets"
    assert body == {"text": f"Investigating: Payments <fail>\r\n{WORDS}\n\n{NEXT}\n{LINK}"}
    assert rooms.heard[0].headers["authorization"].startswith("OAuth oauth_nonce=")


def test_mastodon_knows_a_message_by_its_key(rooms: Rooms) -> None:
    rooms.otherwise = say(200, b"{}")
    assert post(rooms, MASTODON).verdict is Verdict.DELIVERED
    [(where, _, body)] = rooms.asked
    assert where == "mastodon.example.org/api/v1/statuses"
    assert body == {"status": f"Investigating: Payments <fail>\r\n{WORDS}\n\n{NEXT}\n{LINK}", "sensitive": False}
    assert rooms.heard[0].headers["idempotency-key"] == KEY


def _bluesky(rooms: Rooms) -> None:
    rooms.says("public.api.bsky.app/xrpc/com.atproto.identity.resolveHandle", body={"did": "did:plc:abc"})
    server = {"type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example.org"}
    rooms.says("plc.directory/did:plc:abc", body={"service": [server]})
    session = {"accessJwt": "access", "refreshJwt": "refresh"}
    rooms.says("pds.example.org/xrpc/com.atproto.server.createSession", body=session)


def test_bluesky_links_can_be_followed(rooms: Rooms) -> None:
    _bluesky(rooms)
    assert post(rooms, BLUESKY).verdict is Verdict.DELIVERED
    where, _, body = rooms.asked[-1]
    assert where == "pds.example.org/xrpc/com.atproto.repo.createRecord"
    text = body["record"]["text"]
    assert text == f"Investigating: Payments <fail>\r\n{WORDS}\n\n{NEXT}\n{LINK}"
    [facet] = body["record"]["facets"]
    first, last = facet["index"]["byteStart"], facet["index"]["byteEnd"]
    assert text.encode()[first:last].decode() == facet["features"][0]["uri"] == LINK


def test_every_service_has_been_posted_to() -> None:
    """A service that is added is added here."""
    here = [SLACK, DISCORD, TEAMS, MATTERMOST, ROCKET, GOOGLE, TELEGRAM, WEBEX, MATRIX, PAGERDUTY, OPSGENIE, PUSHOVER]
    here += [NTFY, X, MASTODON, BLUESKY]
    assert {chat_urls.parse(url).service.key for url in here} == {service.key for service in SERVICES}


# --- what answers mean -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (401, b"", Verdict.OURS, "Discord answered 401 Unauthorized."),
        (403, b'{"message": "No access", "code": 50001}', Verdict.OURS, "Discord answered 403 Forbidden: No access."),
        (404, b'{"message": "Unknown Webhook"}', Verdict.BOUNCED, "Discord answered 404 Not Found: Unknown Webhook."),
        (410, b"", Verdict.BOUNCED, "Discord answered 410 Gone."),
        (400, b'{"errors": ["It is empty."]}', Verdict.NEVER, "Discord answered 400 Bad Request: It is empty."),
        (413, b"<html>too large</html>", Verdict.NEVER, "Discord answered 413 Request Entity Too Large."),
        (302, b"", Verdict.OURS, "Discord answered 302 Found."),
        (500, b"", Verdict.LATER, "Discord answered 500 Internal Server Error."),
        (502, b"<html>", Verdict.LATER, "Discord answered 502 Bad Gateway."),
        (503, b"", Verdict.LATER, "Discord answered 503 Service Unavailable."),
        (429, b"", Verdict.LATER, "Discord answered 429 Too Many Requests."),
        (999, b"what", Verdict.LATER, "Discord answered 999: what."),
    ],
)  # fmt: skip
def test_an_answer_is_sorted_by_whose_fault_it_is(
    rooms: Rooms, status: int, body: bytes, verdict: Verdict, reason: str
) -> None:
    rooms.otherwise = say(status, body, Location="http://127.0.0.1/elsewhere")
    answer = post(rooms, DISCORD)
    assert (answer.verdict, answer.reason) == (verdict, reason)
    assert len(rooms.heard) == 1, "nobody is sent elsewhere, and no plugin tries again by itself"


@pytest.mark.parametrize(
    ("url", "body", "headers", "wait"),
    [
        (SLACK, {}, {"Retry-After": "30"}, 30.0),
        (DISCORD, {"retry_after": 64.57, "message": "You are being rate limited."}, {}, 64.57),
        (TELEGRAM, {"ok": False, "parameters": {"retry_after": 14}}, {}, 14.0),
        (MATTERMOST, {}, {"Retry-After": "90000"}, 3_600.0),
        (SLACK, {}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (SLACK, [], {}, None),
    ],
)
def test_a_service_says_how_long_to_wait(rooms: Rooms, url: str, body: Any, headers: Any, wait: float | None) -> None:
    rooms.otherwise = say(429, json.dumps(body).encode(), **headers)
    begun = time.monotonic()
    answer = post(rooms, url)
    assert (answer.verdict, answer.wait) == (Verdict.LATER, wait)
    assert time.monotonic() - begun < 3.0, "the courier waits, not the plugin"


def test_a_wait_may_be_told_as_a_moment(rooms: Rooms) -> None:
    rooms.otherwise = say(429, **{"x-rate-limit-reset": str(int(time.time()) + 600)})
    answer = post(rooms, X)
    assert answer.wait is not None
    assert 590 < answer.wait <= 600


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("invalid_auth", Verdict.OURS),
        ("channel_not_found", Verdict.OURS),
        ("ratelimited", Verdict.LATER),
        ("internal_error", Verdict.LATER),
    ],
)
def test_slack_says_ok_to_everything_and_the_truth_in_a_word(rooms: Rooms, word: str, verdict: Verdict) -> None:
    rooms.otherwise = say(200, json.dumps({"ok": False, "error": word}).encode())
    answer = post(rooms, f"{SLACK_BOT}/#general")
    assert answer == Answer(verdict, f"Slack answered 200 OK: {word}.")


def test_an_answer_that_is_none_leaves_a_doubt(rooms: Rooms) -> None:
    rooms.otherwise = say(200, b"<html>Welcome to the hotel</html>")
    assert post(rooms, SLACK) == Answer(Verdict.DOUBT, "Slack answered 200 OK.")


def test_a_post_that_stands_there_already_is_there(rooms: Rooms) -> None:
    """After a doubt X refuses the copy: the first one had arrived."""
    rooms.otherwise = say(403, b'{"detail": "You are not allowed to create a Tweet with duplicate content."}')
    assert post(rooms, X) == Answer(Verdict.DELIVERED, "X has it already.")


def test_a_page_missing_on_somebodys_own_server_may_come_back(rooms: Rooms) -> None:
    rooms.otherwise = say(404)
    assert post(rooms, MATTERMOST).verdict is Verdict.OURS
    rooms.otherwise = say(410)
    assert post(rooms, MATTERMOST).verdict is Verdict.BOUNCED


def test_nobody_listening_is_no_doubt(rooms: Rooms) -> None:
    client = rooms.client()
    rooms.__exit__()
    target = chat_urls.parse(SLACK)
    answer = chat.post(target, note(), key=KEY, client=client(), deadline=time.monotonic() + 5)
    assert answer == Answer(Verdict.LATER, "Slack: There was no connection to this address.")


@pytest.mark.parametrize(
    ("manner", "words"), [(silent, "It did not answer in time."), (reset, "It hung up without an answer.")]
)
def test_an_answer_lost_on_the_way_is_a_doubt(rooms: Rooms, manner: Any, words: str) -> None:
    rooms.otherwise = manner
    begun = time.monotonic()
    assert post(rooms, SLACK, seconds=1.0) == Answer(Verdict.DOUBT, f"Slack: {words}", wait=30.0)
    assert time.monotonic() - begun < 3.0


def test_a_log_in_that_is_lost_is_no_doubt(rooms: Rooms) -> None:
    """Nothing was posted yet."""
    _bluesky(rooms)
    rooms._said["pds.example.org/xrpc/com.atproto.server.createSession"] = silent
    assert post(rooms, BLUESKY, seconds=1.0) == Answer(Verdict.LATER, "Bluesky: It did not answer in time.")
    rooms.says(
        "pds.example.org/xrpc/com.atproto.server.createSession", 401, {"message": "Invalid identifier or password"}
    )
    refused = Answer(Verdict.OURS, "Bluesky answered 401 Unauthorized: Invalid identifier or password.")
    assert post(rooms, BLUESKY) == refused


@pytest.mark.parametrize("manner", [endless(), drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000, seconds=0.01)])
def test_an_answer_without_end_is_cut(rooms: Rooms, manner: Any) -> None:
    rooms.otherwise = manner
    begun = time.monotonic()
    assert post(rooms, DISCORD, seconds=1.0).verdict is Verdict.DELIVERED, "its first line said yes"
    assert time.monotonic() - begun < 3.0


def test_what_the_plugin_cannot_read_is_not_a_crash(rooms: Rooms) -> None:
    rooms.otherwise = say(200, b'{"id": ' + b"[" * 30_000)
    assert post(rooms, "mmosts://team@chat.example.org/abcdefghijklmnopqrstuvwxyz?mode=bot&to=%23town") == Answer(
        Verdict.OURS, "Mattermost answered 200 OK."
    ), "asked for the room, it said nothing one can read"


# --- never to an inner network, never by another way -------------------------------------------


def test_an_inner_address_is_never_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """S20: the guard of webhooks, on every host, also those of the services."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    for url in (SLACK, MATTERMOST, ROCKET, MATRIX, MASTODON, "ntfys://ntfy.example.org/topic", TEAMS):
        target = chat_urls.parse(url)
        answer = chat.post(target, note(), key=KEY, client=Client(), deadline=time.monotonic() + 5)
        assert answer.verdict is Verdict.LATER, url
        assert answer.reason.endswith(": There was no connection to this address.")
    assert len(asked) == 7


def test_plugins_speak_through_us_alone() -> None:
    for service in SERVICES:
        assert isinstance(service.module.requests, talk._Requests), service.key
        with pytest.raises(requests.RequestException, match="outside of a talk"):
            service.module.requests.post("https://example.org")
    assert not isinstance(requests, talk._Requests), "nobody else's is touched"


def test_no_secret_in_words_or_logs(rooms: Rooms, caplog: pytest.LogCaptureFixture) -> None:
    """S30: whatever goes wrong, with the loudest logs there are."""
    caplog.set_level(logging.DEBUG)
    secrets = re.compile(
        "TIiajkdnlazkcOXrIdevi7FQ|JHMHI8qBe7bk2ZwO5U711o3dV_js|GODuqXbdVTNpk_b1CeJ|abcdefghijklmnop|tok_en1|consumers3cret"
        "|accesss3cret|app-pass-w0rd|integrati0nkey|apik3y|syt_t0ken|t0ken-of-acme|abcDEFghi"
    )
    urls = [SLACK, DISCORD, TEAMS, MATTERMOST, ROCKET, GOOGLE, TELEGRAM, MATRIX, PAGERDUTY, OPSGENIE, X, MASTODON]
    said = []
    for url in urls:
        for manner in (say(200), say(500, url.encode()), say(403, json.dumps({"error": f"no {url}"}).encode()), reset):
            rooms.otherwise = manner
            said.append(post(rooms, url).reason)
        target = chat_urls.parse(url)
        said += [repr(target), target.label]
    said += [record.getMessage() for record in caplog.records if not record.name.startswith("tests")]
    assert [words for words in said if secrets.search(words)] == []


# --- as one of delivery's channels --------------------------------------------------------------


def test_both_channels_are_known_to_delivery(settings: Settings) -> None:
    assert registry.PORTS[Channel.CHAT] is chat.CHAT
    assert registry.PORTS[Channel.SOCIAL] is chat.SOCIAL
    assert chat.CHAT.many_ends
    assert not chat.CHAT.knows_copies
    settings.SOCIAL_SERVICES = []
    assert registry.off(Channel.SOCIAL) == "No service is allowed: SOCIAL_SERVICES names none."
    assert registry.off(Channel.CHAT) == ""


def test_tries_end_after_some_hours() -> None:
    waits = [chat.backoff(attempts) for attempts in range(9)]
    assert waits[-1] is None
    total = sum(wait or 0.0 for wait in waits)
    assert 0.8 * 14_400 <= total <= 1.2 * 14_400


def test_a_service_that_was_switched_off_is_said_so(settings: Settings) -> None:
    settings.CHAT_SERVICES = ["teams"]
    message = json.dumps({"url": SLACK, "note": note().as_json()}).encode()
    item: Any = type("Row", (), {"person": b"p"})
    answer = chat.Wire().send(item, message, chat.Mould(note(), repeats=True), deadline=time.monotonic())
    assert answer == Answer(Verdict.OURS, "Slack is switched off here.")
