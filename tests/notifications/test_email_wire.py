"""The wire: every answer a relay can give, sorted by whose fault it is (F04)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from notifications.channels.email import Wire, sort
from notifications.channels.port import Outage, Verdict
from tests.notifications.relay import Relay

MESSAGE = b"Subject: x\r\n\r\nHello\r\n"


def send(
    wire: Wire, address: str = "ann@example.org", message: bytes = MESSAGE, seconds: float = 5.0
) -> tuple[Verdict, str]:
    answer = wire.hand_over("status@northwind.example", address, message, deadline=time.monotonic() + seconds)
    return answer.verdict, answer.reason


@pytest.fixture
def wire(relay: Relay) -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


@pytest.mark.parametrize("pipelining", [True, False])
def test_one_connection_carries_many(relay: Relay, wire: Wire, pipelining: bool) -> None:
    relay.pipelining = pipelining
    for name in ("ann", "bob", "eve"):
        assert send(wire, f"{name}@example.org") == (Verdict.ACCEPTED, "250 kept")
    assert [kept.to for kept in relay.kept] == ["ann@example.org", "bob@example.org", "eve@example.org"]
    assert {kept.content for kept in relay.kept} == {MESSAGE}
    assert relay.sessions == 1


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_after_a_refusal_the_connection_goes_on(relay: Relay, wire: Wire, pipelining: bool, verb: str) -> None:
    relay.pipelining = pipelining
    relay.say[verb] = "451 4.7.1 greylisted"
    assert send(wire) == (Verdict.LATER, "451 4.7.1 greylisted")
    relay.say.clear()
    assert send(wire)[0] is Verdict.ACCEPTED
    assert len(relay.kept) == 1
    assert relay.sessions == 1


@pytest.mark.parametrize(
    ("code", "words", "stage", "verdict"),
    [
        (550, "5.1.1 no such user", "RCPT", Verdict.BOUNCED),
        (550, "5.1.10 recipient not found", "RCPT", Verdict.BOUNCED),
        (550, "5.2.1 mailbox disabled", "RCPT", Verdict.BOUNCED),
        (553, "5.1.3 bad address syntax", "RCPT", Verdict.BOUNCED),
        (550, "no such user here", "RCPT", Verdict.BOUNCED),
        (551, "user not local", "RCPT", Verdict.BOUNCED),
        (550, "5.1.1 unknown after all", "DATA", Verdict.BOUNCED),
        (552, "5.2.2 mailbox full", "RCPT", Verdict.LATER),
        (552, "mailbox full", "RCPT", Verdict.LATER),
        (550, "5.4.4 no route", "RCPT", Verdict.LATER),
        (450, "4.2.1 busy", "RCPT", Verdict.LATER),
        (421, "4.3.2 closing", "DATA", Verdict.LATER),
        (452, "too many recipients", "RCPT", Verdict.LATER),
        (550, "5.1.8 bad sender address", "RCPT", Verdict.OURS),
        (550, "5.1.7 bad sender mailbox", "MAIL", Verdict.OURS),
        (553, "5.1.1 sender unknown", "MAIL", Verdict.OURS),
        (550, "5.7.1 relaying denied", "RCPT", Verdict.OURS),
        (550, "relay not permitted", "RCPT", Verdict.OURS),
        (550, "blocked by our block list", "RCPT", Verdict.OURS),
        (554, "transaction failed", "DATA", Verdict.OURS),
        (550, "5.7.26 unauthenticated", "DATA", Verdict.OURS),
        (535, "5.7.8 bad credentials", "MAIL", Verdict.OURS),
        (530, "must issue STARTTLS first", "MAIL", Verdict.OURS),
        (500, "what?", "DATA", Verdict.OURS),
    ],
)
def test_refusals_are_sorted(code: int, words: str, stage: str, verdict: Verdict) -> None:
    assert sort(code, words, stage) is verdict


def test_an_answer_lost_after_the_dot_is_doubt(relay: Relay, wire: Wire) -> None:
    """reliability.md 3.1: here, and only here, nobody can know."""
    relay.say["DATA"] = "hang up"
    assert send(wire)[0] is Verdict.DOUBT
    assert len(relay.kept) == 1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
def test_a_connection_lost_before_the_dot_is_no_doubt(relay: Relay, wire: Wire, verb: str) -> None:
    relay.say[verb] = "hang up"
    assert send(wire)[0] is Verdict.LATER
    assert relay.kept == []


def test_a_connection_that_idled_away_is_replaced(relay: Relay, wire: Wire) -> None:
    send(wire)
    gone = iter(["hang up"])
    relay.say["MAIL"] = lambda _: next(gone, None)
    assert send(wire)[0] is Verdict.ACCEPTED
    assert (len(relay.kept), relay.sessions) == (2, 2)


def test_a_relay_that_has_had_enough_is_asked_again(relay: Relay, wire: Wire) -> None:
    """421 after many messages on one connection is not the next message's failure."""
    send(wire)
    enough = iter(["421 4.7.0 too many messages"])
    relay.say["MAIL"] = lambda _: next(enough, None)
    assert send(wire)[0] is Verdict.ACCEPTED
    assert len(relay.kept) == 2


def test_dots_are_doubled_and_line_ends_cannot_end_a_message(relay: Relay, wire: Wire) -> None:
    """S25: the relay sees exactly one message whatever the body holds."""
    body = b"Subject: x\r\n\r\n.\r\n..\r\n.MAIL FROM:<evil@example.org>\r\nend\r\n"
    assert send(wire, message=body)[0] is Verdict.ACCEPTED
    assert [kept.content for kept in relay.kept] == [body]


@pytest.mark.parametrize("address", ["", "a b@example.org", "a@b>c", "a\r\nDATA@example.org", "a\0@example.org"])
def test_what_is_no_address_never_reaches_the_wire(relay: Relay, wire: Wire, address: str) -> None:
    assert send(wire, address)[0] is Verdict.NEVER
    assert relay.kept == []


def test_domains_beyond_ascii_are_spelled_out(relay: Relay, wire: Wire) -> None:
    assert send(wire, "ann@bücher.example")[0] is Verdict.ACCEPTED
    assert send(wire, "änn@bücher.example")[0] is Verdict.ACCEPTED
    assert [kept.to for kept in relay.kept] == ["ann@xn--bcher-kva.example", "änn@xn--bcher-kva.example"]


def test_local_parts_beyond_ascii_need_a_relay_that_can(talker: Talker) -> None:
    talker.script = [b"220 hi\r\n", b"250 old relay\r\n"]
    assert send(Wire(), "änn@example.org") == (Verdict.NEVER, "The relay cannot carry addresses beyond ASCII.")


def test_nobody_listens(settings: object, free_tcp_port: int) -> None:
    settings.SMTP = settings.SMTP | {"host": "127.0.0.1", "port": free_tcp_port}  # type: ignore[attr-defined]
    with pytest.raises(Outage) as outage:
        Wire().open()
    assert outage.value.ours is False


# --- relays that are no relays --------------------------------------------------------


class Talker:
    """Says its script, one entry per thing it hears; then hangs up, or stays silent."""

    def __init__(self) -> None:
        self.script: list[bytes] = []
        self.silent = False
        self.heard = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            with peer:
                self._talk(peer)

    def _talk(self, peer: socket.socket) -> None:
        peer.settimeout(5)
        for number, line in enumerate(self.script):
            if number:
                try:
                    heard = peer.recv(65536)
                except OSError:
                    return
                if not heard:
                    return
                self.heard += heard
            peer.sendall(line)
        if self.silent:
            self._over.wait(5)

    def close(self) -> None:
        self._over.set()
        self._server.close()


@pytest.fixture
def talker(settings: object) -> Iterator[Talker]:
    made = Talker()
    settings.SMTP = settings.SMTP | {  # type: ignore[attr-defined]
        "host": "127.0.0.1",
        "port": made.port,
        "user": "",
        "starttls": False,
        "tls": False,
        "connect_timeout": 0.5,
        "command_timeout": 0.5,
    }
    yield made
    made.close()


HELLO = [b"220 hi\r\n", b"250-relay\r\n250 PIPELINING\r\n"]


@pytest.mark.parametrize(
    ("script", "ours"),
    [([b"421 4.3.2 busy\r\n"], False), ([b"554 5.7.1 we do not like you\r\n"], True), ([], False), ([b""], False)],
)
def test_a_relay_that_does_not_want_to_talk(talker: Talker, script: list[bytes], ours: bool) -> None:
    talker.script = script
    with pytest.raises(Outage) as outage:
        Wire().open()
    assert outage.value.ours is ours


def test_a_relay_that_says_nothing_is_left_in_time(talker: Talker) -> None:
    """F04, F26: every wait has an end."""
    talker.script, talker.silent = [b""], True
    began = time.monotonic()
    with pytest.raises(Outage):
        Wire().open()
    assert time.monotonic() - began < 3


def test_a_bad_login_is_our_fault(talker: Talker, settings: object) -> None:
    """F28: nobody is punished for an expired password."""
    settings.SMTP = settings.SMTP | {"user": "u", "password": "p"}  # type: ignore[attr-defined]
    talker.script = [b"220 hi\r\n", b"250-relay\r\n250 AUTH PLAIN\r\n", b"535 5.7.8 bad credentials\r\n"]
    with pytest.raises(Outage, match="refuses our login: 535") as outage:
        Wire().open()
    assert outage.value.ours is True


def test_a_relay_without_encryption_is_refused(talker: Talker, settings: object) -> None:
    """F27: asked for STARTTLS, there is no going on without."""
    settings.SMTP = settings.SMTP | {"starttls": True}  # type: ignore[attr-defined]
    talker.script = [b"220 hi\r\n", b"250 relay\r\n"]
    with pytest.raises(Outage, match="No secure connection") as outage:
        Wire().open()
    assert outage.value.ours is True


@pytest.mark.parametrize(
    "reply",
    [b"hello?\r\n", b"25\r\n", b"x" * 20000, b"250-" + b"y\r\n250-" * 200, b"", b"999 what\r\n", b"150 wait\r\n"],
)
def test_garbage_after_the_dot_is_doubt(talker: Talker, reply: bytes) -> None:
    """Only a clear no is a no; only a clear yes is a yes."""
    talker.script = [*HELLO, b"250 a\r\n250 b\r\n354 go\r\n", reply]
    assert send(Wire())[0] is Verdict.DOUBT


def test_garbage_before_the_dot_is_no_doubt(talker: Talker) -> None:
    talker.script = [*HELLO, b"hello?\r\n"]
    assert send(Wire())[0] is Verdict.LATER
    assert b"Hello" not in talker.heard


def test_a_deadline_that_is_over_sends_nothing(talker: Talker) -> None:
    """F12: a sender that was frozen looks at the clock before it writes."""
    talker.script = [*HELLO, b"250 a\r\n250 b\r\n354 go\r\n", b"250 kept\r\n"]
    assert send(Wire(), seconds=-1)[0] is Verdict.LATER
    assert b"MAIL" not in talker.heard


def test_no_message_is_sent_to_nobody(talker: Talker) -> None:
    """RFC 2920: a relay that says 354 although the recipient was refused gets no message."""
    talker.script = [*HELLO, b"250 a\r\n550 5.1.1 unknown\r\n354 go\r\n", b"250 kept nothing\r\n"]
    assert send(Wire()) == (Verdict.BOUNCED, "550 5.1.1 unknown")
    assert b"Hello" not in talker.heard


def test_words_of_a_relay_are_one_harmless_line(relay: Relay, wire: Wire) -> None:
    relay.say["RCPT"] = "451 4.0.0 a\x07b" + "x" * 400
    verdict, reason = send(wire)
    assert verdict is Verdict.LATER
    assert reason.startswith("451 4.0.0 a bxxx")
    assert len(reason) == 300
