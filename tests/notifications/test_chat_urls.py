"""Addresses of rooms and accounts: what is taken, what is refused and in which words (S20, S27)."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from notifications.channels import chat_urls
from notifications.channels.services import SERVICES
from notifications.enums import Channel
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
    X,
)


def refused(url: str) -> str:
    with pytest.raises(ValidationError) as error:
        chat_urls.parse(url)
    return str(error.value.message)


@pytest.mark.parametrize(
    ("url", "label"),
    [
        (SLACK, "Slack"),
        (f"{SLACK_BOT}/#general", "Slack #general"),
        (TEAMS, "Microsoft Teams prod-12.westus.logic.azure.com"),
        (DISCORD, "Discord"),
        (DISCORD.replace("discord.com", "canary.discord.com"), "Discord"),
        (f"{DISCORD}?thread=991", "Discord thread 991"),
        (TELEGRAM, "Telegram -100123"),
        (MATTERMOST, "Mattermost chat.example.org"),
        ("https://chat.example.org:8443/team/hooks/abcdefghijklmnopqrstuvwxyz", "Mattermost chat.example.org:8443"),
        (ROCKET, "Rocket.Chat rocket.example.org"),
        ("rockets://uid:t0ken@rocket.example.org/#status?mode=token", "Rocket.Chat rocket.example.org #status"),
        (GOOGLE, "Google Chat"),
        (MATRIX, "Matrix matrix.example.org !room:matrix.example.org"),
        (WEBEX, "Webex"),
        (PAGERDUTY, "PagerDuty status"),
        (OPSGENIE, "Opsgenie"),
        (PUSHOVER, "Pushover"),
        (NTFY, "ntfy ntfy.sh"),
        ("https://ntfy.sh/acme-status-topic", "ntfy ntfy.sh"),
        ("ntfys://ntfy.example.org/acme", "ntfy ntfy.example.org"),
        (X, "X"),
        (MASTODON, "Mastodon mastodon.example.org"),
        (BLUESKY, "Bluesky acme.bsky.social"),
    ],
)
def test_a_label_says_where_and_tells_nothing(url: str, label: str) -> None:
    target = chat_urls.parse(f"  {url}\n")
    assert target.label == f"{label} {target.fingerprint}"
    assert len(target.fingerprint) == 16
    assert target.url == url
    assert url not in repr(target)


def test_one_place_has_one_fingerprint() -> None:
    """However it is written; another room of the same bot is another place."""
    slack = SLACK.removeprefix("https://hooks.slack.com/services/")
    same = [SLACK, f"{SLACK}/", f"slack://{slack}", f"slack://{slack}/?mode=hook"]
    assert len({chat_urls.parse(url).fingerprint for url in same}) == 1
    assert chat_urls.parse(NTFY).fingerprint == chat_urls.parse("https://ntfy.sh/acme-status-topic").fingerprint
    rooms = [f"{SLACK_BOT}/#general", f"{SLACK_BOT}/#status", f"{SLACK_BOT}?to=%23random"]
    assert len({chat_urls.parse(url).fingerprint for url in rooms}) == 3


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "exec://rm", "syslog://", "dbus://", "json://example.org", "xml://example.org",
        "form://example.org", "gotify://10.0.0.1/token", "mailto://user:pass@example.org", "apprise://example.org/token",
        "smtp://example.org", "windows://", "macosx://", "gnome://", "mqtt://example.org/topic", "rsyslog://10.0.0.1",
        "kodi://10.0.0.1", "irc://example.org", "glib://", "smpp://u:p@example.org/1/2", "nctalk://u:p@example.org/room",
        "ftp://example.org", "javascript://x", "data://x", "slackhook://x",
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_does_not_exist(url: str) -> None:
    scheme = url.partition(":")[0]
    assert refused(url).startswith(f"“{scheme}” is no service known here. These are: Slack, Microsoft Teams, ")


@pytest.mark.parametrize(
    "option",
    [
        "verify=no", "redirect=yes", "rto=600", "cto=600", "retry=9", "wait=60", "store=yes", "overflow=split",
        "template=file:///etc/passwd", "format=html", "tz=UTC", "tag=x", "emojis=yes", "+X-Header=1", ":app_body=x",
        "-x=1", "optional=yes", "avatar_url=http://10.0.0.1/", "mode=hook&template=http://10.0.0.1/", "image=yes",
        "mode=hook;verify=no", "%76erify=no",
    ],
)  # fmt: skip
@pytest.mark.parametrize("url", [f"{SLACK_BOT}/#general", DISCORD, MATTERMOST, MASTODON, f"{SLACK_BOT}/general"])
def test_an_address_cannot_loosen_the_reins(url: str, option: str) -> None:
    """Also behind a “#”, which browsers cut off and Apprise does not."""
    words = refused(f"{url}?{option}")
    assert "cannot be set in an address of" in words or "not a complete address" in words
    assert option.partition("=")[2][:8] not in words or len(option.partition("=")[2]) < 4


def test_whatever_it_says_it_is_checked_and_bounded() -> None:
    for url in (SLACK, DISCORD, MATTERMOST, MASTODON, MATRIX):
        plugin = chat_urls.parse(url).plugin
        assert plugin.verify_certificate is True
        assert plugin.redirects is False
        assert plugin.retry == 0
        assert plugin.persistent_storage is False
        assert plugin.asset.storage_path is None
        assert plugin.image_url("info") is None or plugin.image_url("info") == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "Paste the address of a chat room."),
        ("hello", "An address begins with https:// or with the service, like slack://."),
        ("slack:T1/B1/x", "An address begins with https:// or with the service, like slack://."),
        (f"{SLACK}\nhttps://evil.example", "Please write this on one line."),
        ("https://hooks.slack.com/services/T1/B1/\u202eabc", "Character"),
        (f"slack://{'a' * 1_001}", "This is not an address: too long, or with letters that none has."),
        ("https://hooks.slack.cöm/services/T1/B1/x", "This is not an address: too long, or with letters "),
        ("http://hooks.slack.com/services/T1/B1/x", "This address is not encrypted: it must begin with https://."),
        ("https://example.org/anything", "This address belongs to no service known here."),
        ("https://hooks.slack.com:99999/services/T1/B1/x", "This is not an address that can be read."),
        ("https://hooks.slack.com/services/T1/B1", "This address belongs to no service known here."),
        ("https://hooks.slack.com@evil.example/services/T1/B1/x", "An address with a name or password before the @"),
        ("https://evil.example/workflows/643e69f8/triggers/manual/paths/invoke?sig=abc", "This address belongs to no"),
        ("https://evil-logic.azure.com.evil.example/workflows/6/triggers/manual/paths/invoke?sig=a", "This address b"),
        ("https://x.webhook.office.com/webhookb2/abc@def/IncomingWebhook/1", "Microsoft has switched these connectors"),
        ("slack://abc", "This is not a complete address of Slack. It is written like https://hooks.slack.com/services/…"),
        ("tgram://123456789:abcdefghijklmnopqrstuvwxyz_ABCDE-12/", "It does not say to which chat."),
        (f"{TELEGRAM}/-200", "It names more than one chat. Add each as a target of its own."),
        (f"{SLACK_BOT}/#a/#b", "It names more than one channel. Add each as a target of its own."),
        (f"{SLACK_BOT}/somebody@example.org", "Name a channel, not somebody's e-mail address."),
        ("rockets://u:pass@rocket.example.org/#status", "Use an incoming webhook, or a personal access token"),
        ("matrixs://bot:pass@matrix.example.org/!r:matrix.example.org", "Use an access token instead of a password."),
        ("matrixs://t0ken@matrix.example.org/", "This is not a complete address of Matrix."),
        (f"{X}/@somebody", "Leave the name out: it posts for everybody."),
        (f"{MASTODON}/@somebody", "Leave the name out: it posts for everybody."),
        ("x://only/two", "This is not a complete address of X."),
        ("mmost://chat.example.org/abcdefghijklmnopqrstuvwxyz", "This connection is not encrypted: write mmosts://"),
        ("ntfy://ntfy.example.org/topic", "This connection is not encrypted: write ntfys:// instead."),
        ("mmosts://10.0.0.7/abcdefghijklmnopqrstuvwxyz", "This address is not on the public internet."),
        ("mmosts://127.0.0.1/abcdefghijklmnopqrstuvwxyz", "This address is not on the public internet."),
        ("ntfys://169.254.169.254/topic", "This address is not on the public internet."),
        ("mmosts://localhost/abcdefghijklmnopqrstuvwxyz", "This is not the name of a server on the internet."),
        ("mmosts://chat.example.org:22/abcdefghijklmnopqrstuvwxyz", "This port cannot be used; please use 443"),
        ("mmosts://2130706433/abcdefghijklmnopqrstuvwxyz", "Please write this number as a name, or as four numbers."),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_words(url: str, words: str) -> None:
    if words == "Character":
        with pytest.raises(ValidationError):
            chat_urls.parse(url)
    else:
        assert refused(url).startswith(words)


def test_no_refusal_repeats_what_was_typed() -> None:
    for service in SERVICES:
        words = refused(f"{service.schemes[-1]}://s3cr3t-but-not-enough?nonsense=s3cr3t-too")
        assert "s3cr3t" not in words


def test_a_server_of_ones_own_may_be_an_inner_one_where_the_setting_names_it(settings: Settings) -> None:
    """The same setting as for webhooks (S20)."""
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_networks": ["10.0.0.0/8"]}
    assert chat_urls.parse("mmosts://10.0.0.7/abcdefghijklmnopqrstuvwxyz").place == "10.0.0.7"
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_http": True, "ports": [80, 443]}
    assert chat_urls.parse("mmost://10.0.0.7/abcdefghijklmnopqrstuvwxyz").place == "10.0.0.7"


def test_a_service_can_be_switched_off(settings: Settings) -> None:
    settings.CHAT_SERVICES = ["teams"]
    assert refused(SLACK) == "Slack is switched off here."
    assert refused("gopher://x").endswith("These are: Microsoft Teams, X, Mastodon, Bluesky.")


@pytest.mark.parametrize("url", [SLACK, TEAMS, DISCORD, MATTERMOST, GOOGLE])
def test_customers_paste_what_their_service_shows_them(url: str) -> None:
    target = chat_urls.parse_pasted(url)
    assert target.url == url
    assert target.service.channel == Channel.CHAT


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            f"{SLACK_BOT}/#general",
            "Paste the https:// address of an incoming webhook: Slack, Microsoft Teams, Discord, ",
        ),
        (MASTODON, "Paste the https:// address of an incoming webhook: "),
        (ROCKET, "Here you can add: Slack, Microsoft Teams, Discord, Mattermost, Google Chat."),
        ("https://ntfy.sh/acme", "Here you can add: Slack, "),
        ("https://example.org/hook", "This address belongs to no service known here."),
    ],
)
def test_nothing_else_is_theirs_to_add(url: str, words: str) -> None:
    with pytest.raises(ValidationError) as error:
        chat_urls.parse_pasted(url)
    assert str(error.value.message).startswith(words)
