"""The chat and social services we post to (R-801): a closed list.

Apprise knows 140 ways to send, among them files, programs and any host. Here a service is one
plugin class that posts one message over HTTP to one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apprise.plugins import (
    bluesky,
    discord,
    google_chat,
    mastodon,
    mattermost,
    ntfy,
    opsgenie,
    pagerduty,
    pushover,
    rocketchat,
    slack,
    telegram,
    twitter,
    webexteams,
    workflows,
)
from apprise.plugins.matrix import base as matrix
from django.conf import settings

from notifications.channels.plugins import Bluesky, Opsgenie, Webex
from notifications.enums import Channel


@dataclass(frozen=True)
class Service:
    """How one service is called, addressed and written to."""

    key: str
    name: str
    plugin: type[Any]
    #: Where the plugin looks for ``requests``.
    module: Any
    #: How its address is written, for people.
    shape: str
    #: Characters that one message holds, its title included.
    room: int
    channel: Channel = Channel.CHAT
    #: What an address may say after its "?"; anything else is refused.
    options: frozenset[str] = frozenset()
    #: What is always said to the plugin.
    forced: tuple[tuple[str, Any], ...] = ()
    #: Where in the service it goes, without anything secret.
    place: Callable[[Any], str] = lambda plugin: ""
    #: What is missing or too much, in words; "" when nothing is.
    lacks: Callable[[Any], str] = lambda plugin: ""
    #: The server that the address itself names, with its port; "" where the service has one of its own.
    server: Callable[[Any], str] = lambda plugin: ""
    #: How a title is set off, where there is no field for it.
    bold: str = "{}"
    #: "text": title and words; "plain": one text of both; "html": the same, escaped; "cards": blank lines part
    #: lines; "alert": a title alone.
    markup: str = "text"
    #: The plugin escapes what the service would read as more than text.
    escapes: bool = False
    #: Requests that post nothing yet (log in, join): losing their answer leaves no doubt.
    quiet: re.Pattern[str] | None = None

    @property
    def schemes(self) -> tuple[str, ...]:
        named = (self.plugin.protocol, self.plugin.secure_protocol)
        return tuple(name for names in named if names for name in ((names,) if isinstance(names, str) else names))

    @property
    def is_allowed(self) -> bool:
        """Whether CHAT_SERVICES or SOCIAL_SERVICES names it."""
        chosen = settings.CHAT_SERVICES if self.channel == Channel.CHAT else settings.SOCIAL_SERVICES
        return self.key in chosen


def _one(names: str, what: str) -> Callable[[Any], str]:
    """Exactly one of what the plugin keeps in these lists: half a success could be neither repeated nor left."""

    def lacks(plugin: Any) -> str:
        count = sum(len(getattr(plugin, name) or ()) for name in names.split())
        if count == 0:
            return f"It does not say to which {what}."
        return "" if count == 1 else f"It names more than one {what}. Add each as a target of its own."

    return lacks


def _none(name: str, what: str) -> Callable[[Any], str]:
    return lambda plugin: f"Leave the {what} out: it posts for everybody." if getattr(plugin, name) else ""


def _at_most_one(names: str, what: str) -> Callable[[Any], str]:
    one = _one(names, what)
    return lambda plugin: one(plugin) if any(getattr(plugin, name) for name in names.split()) else ""


def _server(plugin: Any) -> str:
    return f"{plugin.host}:{plugin.port}" if plugin.port else str(plugin.host)


def _slack_lacks(plugin: Any) -> str:
    if any("@" in (channel or "")[1:] for channel in plugin.channels):
        return "Name a channel, not somebody's e-mail address."
    return _one("channels", "channel")(plugin)


def _telegram_place(plugin: Any) -> str:
    chat, topic = plugin.targets[0]
    return f"{chat}:{topic}" if topic else str(chat)


def _mattermost_place(plugin: Any) -> str:
    return " ".join([_server(plugin), *(f"{kind}{name}" for kind, name in plugin.targets)])


def _rocket_lacks(plugin: Any) -> str:
    if plugin.mode == "basic":
        return "Use an incoming webhook, or a personal access token with mode=token, instead of a password."
    return _at_most_one("channels rooms users", "room")(plugin)


def _rocket_place(plugin: Any) -> str:
    rooms = [*(f"#{name}" for name in plugin.channels), *plugin.rooms, *(f"@{name}" for name in plugin.users)]
    return " ".join([_server(plugin), *rooms])


def _matrix_lacks(plugin: Any) -> str:
    if plugin.mode != "off":
        return ""
    if plugin.user:
        return "Use an access token instead of a password."
    return _one("rooms", "room")(plugin) if not plugin.users else "Name a room, not a person."


def _matrix_server(plugin: Any) -> str:
    # There the token stands in the host's place.
    return "" if plugin.mode == "t2bot" else _server(plugin)


def _matrix_place(plugin: Any) -> str:
    return " ".join([_matrix_server(plugin) or "t2bot.io", *plugin.rooms])


def _ntfy_server(plugin: Any) -> str:
    return "" if plugin.mode == "cloud" else _server(plugin)


def _ntfy_place(plugin: Any) -> str:
    # Whoever knows a topic of the public server reads it: it is not shown.
    return _ntfy_server(plugin) or "ntfy.sh"


def _bluesky_place(plugin: Any) -> str:
    return f"{plugin.user}.{plugin.host}" if "." not in plugin.user else str(plugin.user)


SERVICES = (
    Service(
        "slack", "Slack", slack.NotifySlack, slack,
        "https://hooks.slack.com/services/…, or slack://bot-token/#channel", 4000,
        options=frozenset({"mode", "to"}), forced=(("include_timestamp", False), ("include_image", False)),
        place=lambda plugin: plugin.channels[0] or "", lacks=_slack_lacks, escapes=True,
    ),
    Service(
        "teams", "Microsoft Teams", workflows.NotifyWorkflows, workflows,
        "the https:// address that a Teams workflow shows", 3000,
        options=frozenset({"api-version", "ver", "sp", "sv", "sig", "signature", "pa", "powerautomate", "route"}),
        forced=(("include_image", False),), place=_server, server=_server, markup="cards",
    ),
    Service(
        "discord", "Discord", discord.NotifyDiscord, discord, "https://discord.com/api/webhooks/…", 1900,
        options=frozenset({"thread"}), forced=(("avatar", False), ("include_image", False)),
        place=lambda plugin: f"thread {plugin.thread_id}" if plugin.thread_id else "", bold="**{}**",
    ),
    Service(
        "telegram", "Telegram", telegram.NotifyTelegram, telegram, "tgram://bot-token/chat-id", 4000,
        options=frozenset({"topic", "thread", "silent", "to"}), place=_telegram_place,
        forced=(("detect_owner", False),), lacks=_one("targets", "chat"), markup="html",
    ),
    Service(
        "mattermost", "Mattermost", mattermost.NotifyMattermost, mattermost,
        "https://your-server/hooks/…, or mmosts://your-server/token", 4000,
        options=frozenset({"to", "channel", "channels", "mode", "team", "botname"}), forced=(("include_image", False),),
        place=_mattermost_place, lacks=_at_most_one("targets", "channel"), server=_server, bold="**{}**",
    ),
    Service(
        "rocketchat", "Rocket.Chat", rocketchat.NotifyRocketChat, rocketchat,
        "https://your-server/hooks/…/…, or rockets://user-id:token@your-server/#room?mode=token", 3000,
        options=frozenset({"mode", "to"}), forced=(("avatar", False),), place=_rocket_place, lacks=_rocket_lacks,
        server=_server, bold="*{}*",
    ),
    Service(
        "googlechat", "Google Chat", google_chat.NotifyGoogleChat, google_chat,
        "https://chat.googleapis.com/v1/spaces/…", 4000, options=frozenset({"key", "token", "thread", "threadkey"}),
        bold="*{}*",
    ),
    Service(
        "matrix", "Matrix", matrix.NotifyMatrix, matrix, "matrixs://access-token@your-server/!room:your-server", 4000,
        options=frozenset({"mode", "path", "msgtype", "version", "v", "to", "token"}),
        forced=(("e2ee", False), ("discovery", False), ("include_image", False)), place=_matrix_place,
        lacks=_matrix_lacks, server=_matrix_server, escapes=True, markup="plain",
        quiet=re.compile(r"/(join|login|whoami)\b"),
    ),
    Service(
        "webex", "Webex", Webex, webexteams,
        "https://webexapis.com/v1/webhooks/incoming/…, or webex://bot-token/room-id", 1000,
        options=frozenset({"mode", "to", "token"}), lacks=_at_most_one("targets", "room"), bold="**{}**",
    ),
    Service(
        "pagerduty", "PagerDuty", pagerduty.NotifyPagerDuty, pagerduty,
        "pagerduty://integration-key@api-key/source/component", 1024, markup="alert",
        options=frozenset({"region", "severity", "group", "class", "source", "component", "integrationkey", "apikey"}),
        forced=(("include_image", False), ("action", "map")), place=lambda plugin: str(plugin.source or ""),
    ),
    Service(
        "opsgenie", "Opsgenie", Opsgenie, opsgenie, "opsgenie://api-key/#team", 4000,
        options=frozenset({"region", "priority", "entity", "tags", "to"}), lacks=_at_most_one("targets", "team"),
        forced=(("action", "new"), ("mapping", None)),
    ),
    Service(
        "pushover", "Pushover", pushover.NotifyPushover, pushover, "pover://user-key@app-token", 1024,
        options=frozenset({"sound", "to"}), lacks=lambda plugin: _at_most_one("devices groups", "device")(plugin),
    ),
    Service(
        "ntfy", "ntfy", ntfy.NotifyNtfy, ntfy, "ntfys://topic, or ntfys://your-server/topic", 3000,
        options=frozenset({"mode", "priority", "tags", "auth", "token", "to"}), forced=(("include_image", False),),
        place=_ntfy_place, lacks=_one("topics", "topic"), server=_ntfy_server,
    ),
    Service(
        "x", "X", twitter.NotifyTwitter, twitter,
        "x://consumer-key/consumer-secret/access-token/access-secret", 280, Channel.SOCIAL,
        options=frozenset({"mode"}), forced=(("mode", "tweet"),), lacks=_none("targets", "name"),
    ),
    Service(
        "mastodon", "Mastodon", mastodon.NotifyMastodon, mastodon, "mastodons://access-token@your-server", 500,
        Channel.SOCIAL, options=frozenset({"visibility", "language", "token"}), place=_server, server=_server,
        lacks=_none("targets", "name"),
    ),
    Service(
        "bluesky", "Bluesky", Bluesky, bluesky, "bluesky://handle@app-password", 280, Channel.SOCIAL,
        place=_bluesky_place, quiet=re.compile(r"createSession$"),
    ),
)  # fmt: skip
BY_SCHEME = {scheme: service for service in SERVICES for scheme in service.schemes}
BY_KEY = {service.key: service for service in SERVICES}
