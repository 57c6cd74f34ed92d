"""What a drill has happen inside a program: machines that lack something, and messages that kill.

Each function changes the program it is called in; ``tests.drills.rigged`` calls it before the
program begins. None of this is reachable from the product.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import requests
from django.contrib import messages
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from config.celery import app as celery
from incidents import timeline
from notifications import bell, book, closing, compiler, delivery, digests, egress, fanout, order, queue, states, texts
from notifications.book import AWAY, Book
from notifications.breaker import Breaker
from notifications.channels import registry, webhook
from notifications.channels.port import Answer, Mould
from notifications.enums import Channel
from notifications.fanout import _Chunk
from notifications.management.commands import dispatch
from notifications.models import Delivery
from notifications.queue import Item
from notifications.states import Leave
from postmortems.credits.book import moves
from postmortems.enums import CreditState
from postmortems.models import Credit

RIGS: dict[str, Callable[[str], None]] = {}


def _rig(function: Callable[[str], None]) -> Callable[[str], None]:
    """Named as it is on the command line: ``no_fence`` as ``no-fence``."""
    RIGS[function.__name__.strip("_").replace("_", "-")] = function
    return function


# --- machines that lack something ------------------------------------------------------


@_rig
def marks_by_the_batch(_: str) -> None:
    """Outcomes are written once per batch, as e-mail queues do."""
    here = threading.local()

    def turn(self: Book, left: Item | None, leaving: Item | None) -> bool:
        done: list[Item] = here.__dict__.setdefault("done", [])
        if left:
            done.append(left)
        if leaving is None and done:
            queue.turn([], done)
            queue.turn(done, [])
            done.clear()
        return leaving is not None

    _replace(Book, "turn", turn)


@_rig
def short_chunks(_: str) -> None:
    """A fan-out comes in more pieces: more places between them to be killed at."""
    _replace(fanout, "CHUNK", 1000)


@_rig
def cursor_first(_: str) -> None:
    """The cursor of a fan-out moves in one commit, the rows follow in another.

    They follow late, so that a kill most likely falls between the two.
    """
    insert = fanout._insert

    def later(chunk: _Chunk, older: list[int]) -> None:
        def write() -> None:
            time.sleep(0.3)
            insert(chunk, older)

        transaction.on_commit(write)

    _replace(fanout, "_insert", later)


@_rig
def posts_later(_: str) -> None:
    """Credits move in one commit, their postings follow in another, one by one."""
    post = moves._post

    def later(credits: Iterable[Credit], to: CreditState, *, at: datetime) -> None:
        def write() -> None:
            for credit in credits:
                post([credit], to, at=at)

        transaction.on_commit(write)

    _replace(moves, "_post", later)


@_rig
def outcome_forgotten(_: str) -> None:
    """What could not be written because the database was away is not written later."""

    def moved(self: Book, marks: list[Any]) -> set[int]:
        left = [mark.left for mark in marks if mark.left]
        try:
            return queue.turn(left, [mark.leaving for mark in marks if mark.leaving])
        except AWAY:
            connection.close()
            return {item.id for item in left}

    _replace(Book, "_moved", moved)
    _replace(book, "_recover", lambda left, leaving: None)


@_rig
def no_poller(_: str) -> None:
    """Nobody looks for what the bell did not reach."""
    _replace(dispatch, "_sweep", queue.reap)
    _replace(dispatch, "_fan_out", lambda patience: None)
    _replace(dispatch.Command, "_send", lambda self, pool: None)


@_rig
def rung_in_the_click(_: str) -> None:
    """The operator's own thread rings, and waits for the broker."""
    _replace(bell, "_ring", lambda task, *arguments, queue: bell._send(bell._Ring(task, arguments, queue)))
    _replace(bell, "SILENCE_SECONDS", 0.0)


@_rig
def no_guard(_: str) -> None:
    """Every refusal of a recipient is believed."""
    _replace(Breaker, "refused", lambda self, item, reason: [])


@_rig
def no_order(_: str) -> None:
    """A newer update does not wait for the older one."""
    _replace(fanout, "_waiting", lambda chunk, older: Q(pk__in=[]))
    _replace(fanout, "_overtake", lambda chunk, older: None)


@_rig
def no_fence(_: str) -> None:
    """A sender goes on with what it once took, whoever has it now, and however long ago it took it."""
    turn = Book.turn

    def anyway(self: Book, left: Item | None, leaving: Item | None) -> bool:
        turn(self, left, leaving)
        return leaving is not None

    _replace(Book, "turn", anyway)
    _replace(delivery, "BATCH_SHARE", 100.0)


@_rig
def promoted_in_one_statement(_: str) -> None:
    """Followers are let go only by the statement that ends their predecessor (trap 2 of reliability.md 2.0)."""
    _replace(order, "promote", lambda: 0)


@_rig
def no_last_words(_: str) -> None:
    """SIGTERM ends a program at once."""
    _replace(closing, "stop", lambda: os._exit(0))


@_rig
def texts_again(_: str) -> None:
    """A text that may have left is sent again, as most tools do after a time-out."""
    port = registry.PORTS[Channel.SMS]

    def repeats(news: int, language: str) -> Mould:
        return replace(texts.sms(news, language), repeats=True)

    registry.PORTS[Channel.SMS] = replace(port, mould=repeats)


@_rig
def no_turns(_: str) -> None:
    """What is for one endpoint goes out as it comes, several at once, each as long on its way as networks take."""
    send = webhook.Wire.send

    def on_its_way(self: webhook.Wire, item: Item, message: bytes, mould: Mould, *, deadline: float) -> Answer:
        time.sleep(random.uniform(0.0, 0.3))
        return send(self, item, message, mould, deadline=deadline)

    _replace(fanout, "_waiting", lambda chunk, older: Q(pk__in=[]))
    _replace(webhook.Wire, "send", on_its_way)


@_rig
def digests_unlocked(_: str) -> None:
    """Whoever looks for digests that are due believes to be the only one, and takes a moment to write them."""

    def alone(held: QuerySet[Delivery]) -> list[digests._Held]:
        columns = held.order_by("subscriber", "-announcement").values_list(
            "pk", "subscriber_id", "announcement_id", "announcement__brand_id"
        )
        found = [digests._Held(*row) for row in columns]
        if found:
            # Longer than from one beat to the next.
            time.sleep(2.0)
        return found

    _replace(digests, "_locked", alone)


@_rig
def forms_forgotten(_: str) -> None:
    """Nobody remembers which forms were received: each is acted upon."""
    record = timeline.record

    def forgetful(*who: Any, token: Any = None, **what: Any) -> Any:
        return record(*who, **what)

    _replace(timeline, "record", forgetful)


@_rig
def trusting(_: str) -> None:
    """Redirects are followed, wherever they lead."""
    _replace(egress, "may_call", lambda address: True)
    _replace(egress._Session, "get_redirect_target", requests.Session.get_redirect_target)
    _replace(egress._Session, "send", lambda self, request, **how: requests.Session.send(self, request, **how))


@_rig
def no_breaker(_: str) -> None:
    """Whoever finds the relay away tries it again at once."""
    _replace(Breaker, "resting", lambda self: False)
    each_for_itself(_)


@_rig
def each_for_itself(_: str) -> None:
    """Every process finds out alone whether the relay is back."""
    _replace(states, "leave", lambda channel, waits: Leave.FREE)


@_rig
def no_cap(_: str) -> None:
    """However many workers died over a message, the next one tries it."""
    _replace(queue, "MAX_CRASHES", 1_000_000)


# --- clocks ------------------------------------------------------------------------------


@_rig
def hasty(seconds: str) -> None:
    """The whole timetable, and the dispatcher's look for digests, every so many seconds."""
    for entry in celery.conf.beat_schedule.values():
        entry["schedule"] = float(seconds)
    _replace(dispatch, "DIGEST_SECONDS", float(seconds))


# --- messages and moments that kill ------------------------------------------------------


@_rig
def poison(address: str) -> None:
    """Whoever compiles the mail to this address is gone at once, as when the kernel wants its memory back."""
    fill = compiler.Mould.fill

    def deadly(self: compiler.Mould, item: Item) -> bytes:
        if item.address == address:
            os._exit(137)
        return fill(self, item)

    _replace(compiler.Mould, "fill", deadly)


@_rig
def dies_unsaid(file: str) -> None:
    """The web process that next takes ``file`` away dies: what it was asked for is committed, and nobody is told."""
    success = messages.success

    def dies(*who: Any, **how: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
            os._exit(1)
        success(*who, **how)

    _replace(messages, "success", dies)


# --- watching ----------------------------------------------------------------------------


@_rig
def watched(file: str) -> None:
    """Connections of this program to other machines are written down by address, and refused."""
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(where := arguments[1], tuple) and where[0] != "127.0.0.1":
            os.write(log, f"{where[0]}\n".encode())
            raise ConnectionRefusedError("Nothing leaves a drill.")

    sys.addaudithook(hook)


def _replace(owner: object, name: str, new: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, new)
