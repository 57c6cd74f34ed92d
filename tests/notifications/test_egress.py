"""Requests to strangers: no inner network is ever reached, and every wait and every answer has an end (S20, F06)."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ValidationError
from pytest_django import Settings

from notifications import destinations
from notifications.egress import ANSWER_BYTES, Client, Limits, Unreachable, is_public
from tests.notifications.receiver import Heard, Receiver, bomb, drip, endless, reset, say, silent

CORPUS = Path(__file__).parents[1] / "corpus" / "ssrf.txt"
PUBLIC = "93.184.215.14"
#: Where names of the corpus lead.
NAMES = {
    "public.example": [PUBLIC],
    "under_score.public.example": [PUBLIC],
    "xn--mnchen-3ya.example": [PUBLIC],
    "inner.example": ["10.1.2.3"],
    "metadata.example": ["169.254.169.254"],
    "metadata.google.internal": ["169.254.169.254"],
    "metadata": ["169.254.169.254"],
    "loopback.example": ["127.0.0.1"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "foo.localhost": ["127.0.0.1"],
    "localhost": ["::1", "127.0.0.1"],
    "printer.local": ["192.168.1.9"],
    "mapped.example": ["::ffff:169.254.169.254"],
    "nat64.example": ["64:ff9b::a9fe:a9fe"],
    "sixtofour.example": ["2002:a9fe:a9fe::1"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "mixed6.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "fd00:ec2::254"],
    "cgnat.example": ["100.100.100.200"],
    "ula.example": ["fd00::1"],
    "zero.example": ["0.0.0.0"],
    "multicast.example": ["224.0.0.1"],
}


def corpus() -> list[tuple[str, str]]:
    lines = [line for line in CORPUS.read_text().splitlines() if not line.startswith("#")]
    pairs = (line.split("\t", 1) for line in lines)
    return [(said, re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), url)) for said, url in pairs]


def post(url: str, *, seconds: float = 2.0, client: Client | None = None, **headers: str) -> int:
    client = client or Client(Limits(connect=1.0, total=seconds))
    return client.post(url, b'{"a":1}', headers, deadline=time.monotonic() + 30.0)


def why(url: str, **how: Any) -> str:
    with pytest.raises(Unreachable) as refusal:
        post(url, **how)
    return str(refusal.value)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that somebody tried to connect to; nothing is let out."""
    tried: list[str] = []

    def connect(_: socket.socket, address: Any) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError("Nothing leaves the tests.")

    monkeypatch.setattr(socket.socket, "connect", connect, raising=False)
    return tried


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names lead where NAMES says; numbers of all kinds where the C library says. Keeps who was asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **named: Any) -> list[Any]:
        asked.append(host)
        named |= {"flags": socket.AI_NUMERICHOST}
        return [answer for address in NAMES.get(host, [host]) for answer in real(address, port, *args, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


# --- which addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        # Python 3.11 calls the first nine public, or not private (reliability.md S20).
        ("100.64.0.1", False),
        ("100.100.100.200", False),
        ("192.0.0.192", False),
        ("192.88.99.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::1", False),
        ("::169.254.169.254", False),
        ("fec0::1", False),
        ("224.0.0.1", False),
        ("168.63.129.16", False),
        ("::ffff:8.8.8.8", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("2606:4700::5efe:8.8.8.8", False),
        ("240.0.0.1", False),
        ("0.0.0.0", False),
        ("8.8.8.8", True),
        ("192.0.1.1", True),
        ("192.88.98.255", True),
        ("100.63.255.255", True),
        ("100.128.0.1", True),
        ("2606:4700::1111", True),
        ("2a00:1450:4001::200e", True),
    ],
)
def test_public_is_what_leads_nowhere_else(address: str, answer: bool) -> None:
    assert is_public(ip_address(address)) is answer


def test_own_networks_may_be_named(settings: Settings) -> None:
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_networks": ["10.1.0.0/16", "fd00:1::/32"]}
    assert destinations.normal("https://10.1.2.3/hook") == "https://10.1.2.3/hook"
    assert destinations.normal("https://[fd00:1::2]/hook") == "https://[fd00:1::2]/hook"
    assert destinations.normal("https://receiver:8443/hook") == "https://receiver:8443/hook"
    for outside in ("https://10.2.0.1/", "https://[fd00:2::1]/"):
        with pytest.raises(ValidationError):
            destinations.normal(outside)


def test_the_corpus_is_large_enough() -> None:
    urls = [url for _, url in corpus()]
    assert (len(urls) >= 120, len(urls)) == (True, len(set(urls)))


def test_s20_the_corpus(connected: list[str], resolver: list[str]) -> None:
    client, wrong = Client(Limits(connect=1.0, total=2.0)), []
    for expected, url in corpus():
        connected.clear()
        resolver.clear()
        try:
            normal = destinations.normal(url)
        except ValidationError:
            # Nobody may use our form to learn which names exist.
            outcome, most = "refused", 0
        else:
            words, most = why(normal, client=client), 1
            outcome = "public" if connected else "inner"
            assert (url, words) == (url, "There was no connection to this address.")
        if outcome != expected or len(names(resolver)) > most or not all(map(public, connected)):
            wrong.append((url, outcome, connected.copy(), names(resolver)))
    assert wrong == []


def test_s20_the_wire_alone_reaches_nothing_inner(
    connected: list[str], resolver: list[str], settings: Settings
) -> None:
    """As if nobody had looked at the address when it was typed: http, any port, any spelling."""
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_http": True}
    client = Client(Limits(connect=1.0, total=2.0))
    for _, url in corpus():
        for spelled in (url, url.replace("https:", "http:", 1)):
            why(spelled, client=client)
    assert connected != []
    assert [address for address in connected if not public(address)] == []


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(
    connected: list[str], resolver: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: public when it is checked, the metadata service when it is asked again."""
    answers = iter([[PUBLIC], ["169.254.169.254"], ["169.254.169.254"]])
    monkeypatch.setattr(f"{__name__}.NAMES", Rebinding(answers))
    assert why("https://rebinding.example/") == "There was no connection to this address."
    assert (names(resolver), connected) == (["rebinding.example"], [PUBLIC])


def test_nobody_learns_what_is_open_inside(
    receiver: Receiver, resolver: list[str], free_tcp_port: int, settings: Settings
) -> None:
    """S20: an open inner port, a closed one, a name that leads inside and one that leads nowhere read the same."""
    closed, nowhere = f"http://127.0.0.1:{free_tcp_port}/", "http://nobody.example/"
    words = {why(closed), why(nowhere)}
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_networks": []}
    words |= {why(receiver.url), why(closed), why(nowhere), why("http://inner.example/")}
    assert (words, receiver.connections) == ({"There was no connection to this address."}, 0)


# --- how ------------------------------------------------------------------------------------


def test_what_arrives_is_what_was_sent_and_no_more(receiver: Receiver) -> None:
    assert post(receiver.url + "?a=1", **{"webhook-id": "msg_1"}) == 200
    (heard,) = receiver.heard
    assert (heard.path, heard.body) == ("/hook?a=1", b'{"a":1}')
    assert heard.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "Heliograph (+http://127.0.0.1:8000)",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
        "content-length": "7",
        "webhook-id": "msg_1",
    }


def test_receivers_on_one_host_are_strangers(receiver: Receiver) -> None:
    receiver.manner = say(200, Set_Cookie="session=1; Path=/")
    client = Client()
    assert [post(receiver.url, client=client), post(receiver.url, client=client)] == [200, 200]
    assert ["cookie" in heard.headers for heard in receiver.heard] == [False, False]


def test_no_connection_is_kept(receiver: Receiver) -> None:
    """A receiver that offers to go on and then hangs up would make the next message fail."""
    heard_on: list[bytes] = []

    def keep_open(connection: socket.socket, _: Heard) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
        heard_on.append(connection.recv(100))

    receiver.manner, client = keep_open, Client()
    assert [post(receiver.url, client=client) for _ in range(3)] == [200] * 3
    assert (receiver.connections, b"".join(heard_on)) == (3, b"")


def test_the_environment_sends_nobody_elsewhere(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(receiver.url) == 200
        assert (receiver.connections, proxy.connections) == (1, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_by_nobody(receiver: Receiver, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[Any] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        where.append(address)
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect, raising=False)
    receiver.manner = say(status, b"moved", Location="http://169.254.169.254/latest/meta-data/")
    assert post(receiver.url) == status
    assert where == [("127.0.0.1", receiver.port)]


@pytest.mark.parametrize(
    "manner",
    [
        endless(),
        endless(b"HTTP/1.1 302 Found\r\nLocation: https://public.example/\r\n\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"),
        bomb(200),
        bomb(302, Location="https://public.example/"),
        bomb(503),
    ],
    ids=[
        "endless",
        "endless redirect",
        "endless chunks",
        "ten gigabytes",
        "bomb",
        "bomb in a redirect",
        "bomb in an error",
    ],
)
def test_an_answer_is_read_so_far_and_never_unpacked(
    receiver: Receiver, manner: Callable[[socket.socket, Heard], None]
) -> None:
    receiver.manner, client = manner, Client(Limits(connect=1.0, total=5.0))
    began = time.monotonic()
    tracemalloc.start()
    try:
        assert post(receiver.url, client=client) in (200, 302, 503)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (peak < 10 * ANSWER_BYTES, time.monotonic() - began < 4.0) == (True, True)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"x" * 100_000,
        b"220 smtp.example ESMTP\r\n",
        b"HTTP/1.1 600 Six\r\n\r\n"[:9] + b"abc\r\n\r\n",
        b"",
    ],
    ids=["long header", "many headers", "continues", "no answer", "another protocol", "no number", "nothing"],
)
def test_what_is_no_answer_is_none(receiver: Receiver, head: bytes) -> None:
    receiver.manner = lambda connection, _: connection.sendall(head)
    assert why(receiver.url) in ("It gave no answer that could be understood.", "It hung up without an answer.")


@pytest.mark.parametrize(
    "manner",
    [drip(b"HTTP/1.1 200 OK\r\n\r\n"), drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 50, seconds=0.05), silent],
    ids=["a byte at a time", "continues at a byte a time", "silence"],
)
def test_f06_a_tarpit_is_cut_off(receiver: Receiver, manner: Callable[[socket.socket, Heard], None]) -> None:
    receiver.manner = manner
    began = time.monotonic()
    assert why(receiver.url, seconds=0.6) == "It did not answer in time."
    assert 0.5 < time.monotonic() - began < 1.2


def test_f06_who_reads_a_byte_at_a_time_is_cut_off_too(receiver: Receiver) -> None:
    receiver.eager = 65_536
    client = Client(Limits(connect=1.0, total=1.0))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"It did not answer in time\."):
        client.post(receiver.url, b"x" * 20_000_000, {}, deadline=began + 30.0)
    assert time.monotonic() - began < 2.0


def test_who_said_yes_is_heard_out_for_a_moment(receiver: Receiver) -> None:
    """The status counts; a body without end neither undoes it nor holds us up."""
    receiver.manner = lambda connection, heard: (
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
        drip(b"x" * 100)(connection, heard),
    )[0]
    began = time.monotonic()
    assert post(receiver.url, seconds=10.0) == 200
    assert time.monotonic() - began < 2.0


def test_the_callers_deadline_counts_as_well(receiver: Receiver) -> None:
    receiver.manner = silent
    began = time.monotonic()
    with pytest.raises(Unreachable):
        Client().post(receiver.url, b"{}", {}, deadline=began + 0.3)
    assert time.monotonic() - began < 1.0


def test_a_reset_is_a_failure(receiver: Receiver) -> None:
    receiver.manner = reset
    assert why(receiver.url) == "It hung up without an answer."


def test_a_name_server_that_takes_its_time_does_not_take_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(5.0) and [])
    began = time.monotonic()
    assert why("https://slow.example/", seconds=0.3) == "There was no connection to this address."
    answered.set()
    assert time.monotonic() - began < 1.0


# --- TLS ---------------------------------------------------------------------------------------


def test_the_certificate_is_of_the_name_not_of_the_number(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connected to the checked address, but greeted, addressed and verified by its name."""
    greeted: list[str | None] = []
    context = certified("receiver.example", tmp_path)
    context.sni_callback = lambda _, name, __: greeted.append(name)
    with Receiver(context=context) as server:
        settings.WEBHOOKS = settings.WEBHOOKS | {
            "allow_networks": ["127.0.0.0/8"],
            "ca_file": str(tmp_path / "ca.pem"),
        }
        monkeypatch.setitem(NAMES, "receiver.example", ["127.0.0.1"])
        monkeypatch.setitem(NAMES, "impostor.example", ["127.0.0.1"])
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, port, *a, **k: real(NAMES.get(host, [host])[0], port, *a, **k)
        )
        assert post(f"https://receiver.example:{server.port}/hook") == 200
        refused = "No secure connection: its certificate is not valid for this address."
        assert why(f"https://impostor.example:{server.port}/hook") == refused
        settings.WEBHOOKS = settings.WEBHOOKS | {"ca_file": ""}
        assert why(f"https://receiver.example:{server.port}/hook") == refused
    assert [heard.headers["host"] for heard in server.heard] == [f"receiver.example:{server.port}"]
    assert greeted == ["receiver.example", "impostor.example", "receiver.example"]


class Rebinding(dict[str, list[str]]):
    """A name server that changes its mind about one name."""

    def __init__(self, answers: Iterator[list[str]]) -> None:
        super().__init__(NAMES)
        self._answers = answers

    def get(self, name: str, default: Any = None) -> Any:
        return next(self._answers) if name == "rebinding.example" else super().get(name, default)


def names(asked: list[str]) -> list[str]:
    """Without numbers: the library passes those through the resolver, too."""
    return [name for name in asked if not is_number(name)]


def is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def public(address: str) -> bool:
    return is_public(ip_address(address))


def certified(name: str, folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate for ``name``; its authority lies in ``folder`` as ca.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context
