"""The others' ways to send the same mail, each a process: ``python -m tests.bench.rivals <way> <count>``.

Prints the CPU seconds it and its children took once they were warm.
"""

from __future__ import annotations

import multiprocessing
import os
import smtplib
import sys
import threading
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from post_office import mail  # noqa: E402
from post_office.models import PRIORITY  # noqa: E402

PROCESSES = 2


def smtplib_alone(count: int, message: bytes) -> None:
    """Ready bytes through plain smtplib: no database, no guarantee."""
    shares = [range(number, count, PROCESSES) for number in range(PROCESSES)]
    crew = [multiprocessing.get_context("fork").Process(target=_share, args=(share, message)) for share in shares]
    for process in crew:
        process.start()
    for process in crew:
        process.join()


def _share(share: Sequence[int], message: bytes) -> None:
    width = settings.DELIVERY_CONNECTIONS
    threads = [threading.Thread(target=_connection, args=(share[number::width], message)) for number in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _connection(share: Sequence[int], message: bytes) -> None:
    with smtplib.SMTP(settings.SMTP["host"], settings.SMTP["port"]) as relay:
        for number in share:
            relay.sendmail("status@northwind.example", [f"reader{number}@example.org"], message)


def post_office(count: int, message: bytes) -> None:
    """django-post_office: queued in bulk, sent by two processes with threads."""
    parsed = message_from_bytes(message)
    text, html = (part.get_payload(decode=True).decode() for part in parsed.get_payload())
    letter = {
        "sender": "Northwind <status@northwind.example>",
        "subject": parsed["Subject"],
        "message": text,
        "html_message": html,
        "priority": PRIORITY.medium,
    }
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        mail.send_many([{**letter, "recipients": [f"reader{number}@example.org"]} for number in numbers])
    connection.close()
    mail.send_queued_mail_until_done(processes=PROCESSES)


if __name__ == "__main__":
    way = {"smtplib": smtplib_alone, "post_office": post_office}[sys.argv[1]]
    body = Path(sys.argv[3]).read_bytes()
    print("ready", flush=True)
    sys.stdin.readline()
    before = os.times()
    way(int(sys.argv[2]), body)
    after = os.times()
    print(sum(after[:4]) - sum(before[:4]), flush=True)
