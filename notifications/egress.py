"""Requests to addresses that other people chose: never to an inner network, never without an end (S20, F06).

``requests-hardened`` brings the session that follows no redirect. What it leaves open is closed
here: it looks at the first answer of the resolver only, by ``is_private`` alone; it believes proxies
and passwords of the environment; it reads the body of a redirect whole and unpacked; and its
timeouts start anew with every byte.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import certifi
import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

Address = IPv4Address | IPv6Address

#: Bytes read of one answer, headers and all that follows; nothing is ever unpacked.
ANSWER_BYTES = 65_536
#: Once it has said yes, it may finish its sentence for this long.
COURTESY_SECONDS = 1.0
_PIECE = 16_384

#: Global to Python 3.11, but leading to machines near us, into tunnels, or nowhere.
_INNER = tuple(
    map(
        ip_network,
        (
            "100.64.0.0/10",  # carrier-grade NAT; metadata of one cloud
            "168.63.129.16/32",  # the host of another cloud's machines
            "192.0.0.0/24",  # protocol assignments; metadata of a third
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.175.48.0/24",  # AS112
            "2001::/23",  # protocol assignments: Teredo, ORCHID and others
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
#: IPv6 is public here and nowhere else: mapped, translated (NAT64), site-local and local ones lie outside.
_GLOBAL_UNICAST = ip_network("2000::/3")


class Unreachable(Exception):
    """No answer was had; ``str()`` says so to strangers, and never why a connection was not made (S20).

    ``arrived``: what was asked may have been heard all the same.
    """

    def __init__(self, words: str, *, arrived: bool = False) -> None:
        super().__init__(words)
        self.arrived = arrived


@dataclass(frozen=True)
class Limits:
    """Seconds for connecting, and for everything together."""

    connect: float = 5.0
    total: float = 15.0


def may_call(address: Address) -> bool:
    """Whether requests may go to an address: a public one, or one of ``settings.WEBHOOKS["allow_networks"]``."""
    return any(address in ip_network(own) for own in settings.WEBHOOKS["allow_networks"]) or is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, and to nothing hidden in it."""
    if address.version == 6 and (address not in _GLOBAL_UNICAST or _is_tunnelled(address)):
        return False
    special = address.is_multicast or address.is_reserved or address.is_private or not address.is_global
    return not special and not any(address in inner for inner in _INNER if inner.version == address.version)


def _is_tunnelled(address: Address) -> bool:
    """ISATAP: an IPv4 address in the lower half (RFC 5214)."""
    return (int(address) >> 32) & 0xFFFF_FFFF in (0x0000_5EFE, 0x0200_5EFE)


class Client:
    """Posts to strangers; for one thread at a time. Nothing of one exchange is remembered in the next."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._session = _Session()

    def post(self, url: str, body: bytes, headers: dict[str, str], *, deadline: float) -> int:
        """The status of the answer. Raises Unreachable, at ``deadline`` (``time.monotonic``) at the latest."""
        ends = min(deadline, time.monotonic() + self._limits.total)
        with _until(ends), _in_words():
            patience = min(self._limits.connect, _left())
            answer = self._session.post(
                url, data=body, headers=_HEADERS | headers, timeout=(patience, self._limits.total), stream=True
            )
            with answer:
                if 200 <= answer.status_code <= 299:
                    _hear_out(answer)
                return int(answer.status_code)

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        deadline: float,
        data: Any = None,
        params: Any = None,
        auth: Any = None,
    ) -> requests.Response:
        """An answer with its body, which is empty where it is too long or has no end. Otherwise as ``post``."""
        with _until(min(deadline, time.monotonic() + self._limits.total)), _in_words():
            answer: requests.Response = self._session.request(
                method,
                url,
                data=data,
                params=params,
                auth=auth,
                headers=_HEADERS | headers,
                timeout=(min(self._limits.connect, _left()), self._limits.total),
                stream=True,
            )
            with answer:
                body = b""
                with suppress(Exception):
                    body = answer.raw.read(ANSWER_BYTES, decode_content=False)
                # Asked for it, the library would unpack it.
                vars(answer).update(_content=body, _content_consumed=True)
            return answer

    def close(self) -> None:
        self._session.close()


#: Over what the library would say by itself.
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}


def _hear_out(answer: requests.Response) -> None:
    """Let a receiver that said yes finish; what it says, and whether it ever ends, changes nothing."""
    with suppress(Exception), _until(min(_exchange.deadline, time.monotonic() + COURTESY_SECONDS)):
        answer.raw.read(ANSWER_BYTES, decode_content=False)


@contextmanager
def _in_words() -> Iterator[None]:
    """What went wrong, sorted as far as strangers may know: one sentence for all that happens before a connection."""
    try:
        yield
    except (requests.exceptions.ConnectTimeout, _NoWay) as error:
        raise Unreachable("There was no connection to this address.") from error
    except requests.exceptions.SSLError as error:
        raise Unreachable("No secure connection: its certificate is not valid for this address.") from error
    except (requests.exceptions.Timeout, TimeoutError) as error:
        raise Unreachable("It did not answer in time.", arrived=True) from error
    except requests.exceptions.ConnectionError as error:
        connected = "NewConnectionError" not in repr(error)
        words = "It hung up without an answer." if connected else "There was no connection to this address."
        if connected and time.monotonic() >= _exchange.deadline:
            words = "It did not answer in time."
        raise Unreachable(words, arrived=connected) from error
    except (requests.exceptions.RequestException, OSError, ValueError) as error:
        raise Unreachable("It gave no answer that could be understood.", arrived=True) from error


class _Exchange(threading.local):
    """When the exchange of this thread ends."""

    deadline = float("inf")


_exchange = _Exchange()


@contextmanager
def _until(deadline: float) -> Iterator[None]:
    before, _exchange.deadline = _exchange.deadline, deadline
    try:
        yield
    finally:
        _exchange.deadline = before


def _left() -> float:
    """Seconds until the end. Raises TimeoutError."""
    left = _exchange.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("Out of time.")
    return left


# --- where to: one look-up, every answer checked, one of them connected to ---------------------


class _NoWay(Exception):
    """The name has no address, takes too long to say, or leads where nobody may go: told apart in no word."""


def resolve(host: str, port: int) -> str:
    """The one address to connect to; if any answer is forbidden, none is used. Raises _NoWay."""
    found = _number(host) or [ip_address(answer[4][0].partition("%")[0]) for answer in _look_up(host, port)]
    if not found or not all(map(may_call, found)):
        raise _NoWay
    return f"[{found[0]}]" if found[0].version == 6 else str(found[0])


def _number(host: str) -> list[Address]:
    """An address needs no look-up; what only the C library takes for one does."""
    try:
        return [ip_address(host)]
    except ValueError:
        return []


def _look_up(host: str, port: int) -> list[Any]:
    """In a thread of its own: a name server that takes its time must not take ours."""
    answers: list[Any] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            answers.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    asking = threading.Thread(target=ask, daemon=True, name="resolver")
    asking.start()
    asking.join(min(_left(), Limits.connect))
    return [] if asking.is_alive() else list(answers)


# --- how: an end to every wait, and to every answer ---------------------------------------------


class _Bounded(io.RawIOBase):
    """The bytes of one answer, until the deadline and up to ANSWER_BYTES."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw, self._sock, self._room = raw, sock, ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._room <= 0:
            raise ConnectionAbortedError("The answer is too long.")
        self._sock.settimeout(_left())
        with memoryview(buffer) as view, view[: self._room] as room:
            count: int = self._raw.readinto(room)
        self._room -= count
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp = io.BufferedReader(_Bounded(self.fp.detach(), sock))

    def begin(self) -> None:
        super().begin()
        # No connection is kept, whatever it offers: its end would be the failure of another message.
        self.will_close = True


def _send(connection: Any, data: Any, send: Any) -> None:
    """In pieces: a receiver that takes a byte at a time is cut off as one that says a byte at a time."""
    if not isinstance(data, bytes):
        send(data)
        return
    for start in range(0, len(data), _PIECE):
        left = _left()
        if connection.sock is not None:
            connection.sock.settimeout(left)
        send(data[start : start + _PIECE])


class _Plain(HTTPConnection):
    response_class = _Answer

    def send(self, data: Any) -> None:
        _send(self, data, super().send)


class _Secure(HTTPSConnection):
    response_class = _Answer

    def send(self, data: Any) -> None:
        _send(self, data, super().send)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(IPFilterAdapter):
    """Connects to the address that was checked, speaks to it by its name."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(is_https_proto=context is not None)

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        super().init_poolmanager(*args, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> Any:
        # In place of the library's: that one looks up the name again, or checks less.
        pool: Any
        host, pool = HTTPAdapter.build_connection_pool_key_attributes(self, request, verify, cert)
        name = host["host"]
        if self._context is not None:
            pool["ssl_context"], pool["server_hostname"] = self._context, name
        request.headers["Host"] = _host_header(name, host["port"], host["scheme"])
        host["host"] = resolve(name, host["port"] or {"https": 443, "http": 80}[host["scheme"]])
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context knows its authorities: the library would load them again for each connection."""


class _Session(HTTPSession):
    def __init__(self) -> None:
        limits = Limits()
        super().__init__(
            Config(
                ip_filter_enable=False,
                ip_filter_allow_loopback_ips=False,
                never_redirect=True,
                default_timeout=(limits.connect, limits.total),
                user_agent_override=f"Heliograph (+{settings.SITE_URL})",
            )
        )
        self.trust_env = False
        # Two receivers on one host are two strangers.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.adapters.clear()
        self.mount("https://", _Adapter(_context(settings.WEBHOOKS["ca_file"])))
        if settings.WEBHOOKS["allow_http"]:
            self.mount("http://", _Adapter(None))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nobody is sent elsewhere; asked about it, the library would read the body whole and unpack it."""


@lru_cache(maxsize=4)
def _context(own: str) -> ssl.SSLContext:
    """One for all connections: each copy of the authorities takes a megabyte. ``own``: a file with more of them."""
    context = ssl.create_default_context(cafile=certifi.where())
    if own:
        context.load_verify_locations(own)
    return context


def _host_header(name: str, port: int | None, scheme: str) -> str:
    named = f"[{name}]" if ":" in name else name
    return named if port in (None, {"https": 443, "http": 80}[scheme]) else f"{named}:{port}"
