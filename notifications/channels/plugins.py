"""Apprise's plugins, tamed: what we add to them, and what they may not do (S20).

They are used as classes, one by one: nothing here loads plugins, configuration, templates or
attachments from anywhere, nothing is stored, and what they log is not heard (it names secrets).
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import quote

from apprise import AppriseAsset, NotifyType
from apprise.plugins import opsgenie
from apprise.plugins.bluesky import NotifyBlueSky
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP, NotifyOpsgenie
from apprise.plugins.webexteams import NotifyWebexTeams

# Its lines tell URLs, tokens and messages; what went wrong we read from the answers themselves (S30).
logging.getLogger("apprise").disabled = True
_LINK = re.compile(rb"https?://[^\s]+")


def asset(sender: str = "Status updates") -> AppriseAsset:
    """What a plugin may know of the world: who speaks, no files, no pictures, no redirects."""
    return AppriseAsset(
        app_id=sender,
        app_desc=sender,
        app_url="",
        image_url_mask="",
        image_url_logo="",
        storage_mode="memory",
        http_redirects=False,
        allow_templates=False,
        interpret_emojis=False,
        timezone="UTC",
    )


class Bluesky(NotifyBlueSky):
    """With links that can be followed: a post marks them by their bytes."""

    def _fetch(self, url: str, payload: Any = None, **options: Any) -> Any:
        if url.endswith(self.xrpc_suffix_record):
            post = json.loads(payload)
            post["record"]["facets"] = [
                {
                    "index": {"byteStart": found.start(), "byteEnd": found.end()},
                    "features": [{"$type": "app.bsky.richtext.facet#link", "uri": found.group().decode()}],
                }
                for found in _LINK.finditer(post["record"]["text"].encode())
            ]
            payload = json.dumps(post)
        return super()._fetch(url, payload=payload, **options)


class Webex(NotifyWebexTeams):
    """Apprise writes two slashes before the token."""

    notify_url = NotifyWebexTeams.notify_url.rstrip("/")


class Opsgenie(NotifyOpsgenie):
    """One alert per incident, found again by its alias: Apprise itself would remember ids in a file."""

    def send(self, body: str, title: str = "", notify_type: Any = NotifyType.INFO, **options: Any) -> bool:
        if notify_type != NotifyType.SUCCESS:
            return bool(super().send(body, title, notify_type, **options))
        url = f"{OPSGENIE_API_LOOKUP[self.region_name]}/{quote(self.alias, safe='')}/close"
        note = {"source": self.app_desc, "note": body}
        done, _ = self._fetch(opsgenie.requests.post, url, note, {"identifierType": "alias"})
        return bool(done)
