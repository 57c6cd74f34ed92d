"""SMS by Amazon SNS, through boto3: against moto's server, and against one that fails on purpose (F05)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from moto.sns.models import sns_backends
from pytest_django import Settings

from notifications import suppression
from notifications.channels import registry, sns
from notifications.channels.port import Answer, Outage, Verdict
from notifications.enums import Channel, Fate
from notifications.models import Delivery
from tests.notifications.texting import ANN, BOB, hasten, item, mould, phone, rows, told, work

ERROR = """<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>
<RequestId>1</RequestId></ErrorResponse>"""


@pytest.fixture
def aws(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-real-key")
    settings.SMS_PROVIDER = "sns"
    settings.SNS = settings.SNS | {"region": "eu-west-1", "connect_timeout": 1.0, "read_timeout": 1.0}
    sns._client.cache_clear()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Amazon:
    """It keeps what it got before it answers; ``status`` 0: it hangs up."""

    url: str = ""
    status: int = 200
    body: str = ""
    seconds: float = 0.0
    got: list[str] = field(default_factory=list)


@pytest.fixture
def amazon(aws: None, settings: Settings) -> Iterator[Amazon]:
    far = Amazon()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            far.got.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            time.sleep(far.seconds)
            if not far.status:
                self.connection.close()
                return
            data = far.body.encode()
            self.send_response(far.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def finish(self) -> None:
            if far.status:
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    far.url = f"http://127.0.0.1:{server.server_port}"
    settings.SNS = settings.SNS | {"endpoint": far.url}
    yield far
    server.shutdown()
    server.server_close()


def send(text: str = "Northwind: all is well") -> Answer:
    wire, words = sns.Wire(), mould(text)
    wire.open()
    try:
        return wire.send(item(), words.fill(item()), words, deadline=time.monotonic() + 5)
    finally:
        wire.close()


@pytest.mark.django_db
class TestByMoto:
    def test_everybody_gets_one_text(self, aws: None, moto: str, settings: Settings) -> None:
        settings.SNS = settings.SNS | {"endpoint": moto, "sender_id": "NORTHWIND", "read_timeout": 10.0}
        phone(ANN), phone(BOB)
        told()
        assert work() == 2
        sent: dict[str, Any] = sns_backends["123456789012"]["eu-west-1"].sms_messages
        mine = {row.receipt: sent[row.receipt] for row in Delivery.objects.all()}
        assert sorted(number for number, *_ in mine.values()) == [ANN, BOB]
        assert {words for _, words, *_ in mine.values()} == {"Northwind: Card payments fail\nReply STOP to end"}
        assert rows() == {ANN: (Fate.ACCEPTED, ""), BOB: (Fate.ACCEPTED, "")}

    def test_what_it_refuses_has_failed_and_leaves_no_doubt(self, aws: None, moto: str, settings: Settings) -> None:
        settings.SNS = settings.SNS | {"endpoint": moto, "read_timeout": 10.0}
        phone("+0")
        told()
        work()
        assert rows()["+0"] == (
            Fate.DEAD,
            "400 Amazon SNS says: InvalidParameter: Phone number does not meet the E164 format",
        )


@pytest.mark.parametrize(
    ("status", "code", "words", "verdict"),
    [
        (400, "Throttling", "Rate exceeded", Verdict.LATER),
        (400, "ThrottledException", "Rate exceeded", Verdict.LATER),
        (429, "TooManyRequestsException", "Slow down", Verdict.LATER),
        (400, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: +1 is not valid", Verdict.BOUNCED),
        (400, "InvalidParameter", "Invalid parameter: Message too long", Verdict.NEVER),
        (400, "OptedOut", "The number has opted out", Verdict.BOUNCED),
        (403, "AuthorizationError", "Not allowed", Verdict.OURS),
        (403, "InvalidClientTokenId", "The token is invalid", Verdict.OURS),
        (403, "SignatureDoesNotMatch", "The signature differs", Verdict.OURS),
        (400, "ExpiredToken", "The token is over", Verdict.OURS),
        (500, "InternalFailure", "Sorry", Verdict.DOUBT),
        (503, "ServiceUnavailable", "Sorry", Verdict.DOUBT),
    ],
)  # fmt: skip
def test_every_answer_is_sorted(amazon: Amazon, status: int, code: str, words: str, verdict: Verdict) -> None:
    amazon.status, amazon.body = status, ERROR.format(code=code, words=words)
    assert send().verdict is verdict
    assert len(amazon.got) == 1, "boto3 must not try again by itself"


def test_a_text_is_transactional_and_says_who_sends_it(amazon: Amazon, settings: Settings) -> None:
    settings.SNS = settings.SNS | {"sender_id": "NORTHWIND"}
    amazon.body = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
    assert send() == Answer(Verdict.ACCEPTED, receipt="m-1")
    (asked,) = amazon.got
    assert "PhoneNumber=%2B12125550101" in asked
    assert "StringValue=Transactional" in asked
    assert "StringValue=NORTHWIND" in asked


class TestDoubt:
    def test_when_it_hangs_up(self, amazon: Amazon) -> None:
        amazon.status = 0
        assert send() == Answer(Verdict.DOUBT, "No answer from Amazon SNS; the text may have left.")
        assert len(amazon.got) == 1

    def test_when_it_never_answers(self, amazon: Amazon) -> None:
        amazon.seconds = 1.5
        assert send() == Answer(Verdict.DOUBT, "No answer from Amazon SNS; the text may have left.")
        assert len(amazon.got) == 1

    def test_when_its_answer_is_none(self, amazon: Amazon) -> None:
        amazon.body = "<html>"
        assert send().verdict is Verdict.DOUBT

    @pytest.mark.django_db
    def test_is_left_to_a_person(self, amazon: Amazon) -> None:
        amazon.status = 0
        phone(ANN)
        told()
        work()
        hasten()
        work()
        assert rows()[ANN] == (Fate.UNCERTAIN, "No answer from Amazon SNS; the text may have left.")
        assert len(amazon.got) == 1


class TestNothingLeft:
    def test_when_nobody_listens(self, aws: None, settings: Settings, free_tcp_port: int) -> None:
        settings.SNS = settings.SNS | {"endpoint": f"http://127.0.0.1:{free_tcp_port}"}
        with pytest.raises(Outage) as outage:
            send()
        assert (outage.value.reason, outage.value.ours) == (
            "No connection to Amazon SNS: EndpointConnectionError.",
            False,
        )

    def test_when_there_are_no_credentials(self, amazon: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        sns._client.cache_clear()
        with pytest.raises(Outage) as outage:
            send()
        assert (outage.value.reason, outage.value.ours) == ("Amazon SNS: there are no complete credentials.", True)
        assert amazon.got == []


@pytest.mark.django_db
def test_who_opted_out_at_amazon_did_so_here(amazon: Amazon) -> None:
    amazon.status, amazon.body = 400, ERROR.format(code="OptedOut", words="The number has opted out")
    phone(ANN)
    told()
    work()
    assert suppression.stopped(ANN)


class TestOff:
    def test_without_a_region(self, aws: None, settings: Settings) -> None:
        assert registry.off(Channel.SMS) == ""
        settings.SNS = settings.SNS | {"region": ""}
        assert registry.off(Channel.SMS) == "SMS through Amazon SNS is not complete: set SNS_REGION."

    def test_without_boto3(self, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
        # As the import system marks what is not there.
        monkeypatch.setitem(sys.modules, "boto3", None)
        assert registry.off(Channel.SMS) == "SMS through Amazon SNS needs boto3: install heliograph[aws]."
