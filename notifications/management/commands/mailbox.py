"""``manage.py mailbox``: the local relay of demo and development."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from notifications.mailbox.sink import serve


class Command(BaseCommand):
    help = "Accept mail on 127.0.0.1:MAILBOX_PORT and keep it for the console. Delivers nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.MAILBOX_IN_USE:
            raise CommandError("SMTP_URL names a relay, or this is production: the local mailbox is not in use.")
        try:
            asyncio.run(serve(settings.MAILBOX_DIR, settings.MAILBOX_PORT))
        except OSError as error:
            raise CommandError(f"Cannot listen on 127.0.0.1:{settings.MAILBOX_PORT}: {error.strerror}.") from None
