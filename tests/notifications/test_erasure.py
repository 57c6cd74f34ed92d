"""Forgetting people, and that nobody brings them back but themselves (R-807, S29)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from notifications import codes, subscriptions, suppression, tokens
from notifications.enums import Channel, Fate, Silence
from notifications.models import Announcement, Brand, Code, Delivery, ImportFile, SignUp, Subscriber, Suppression, Topic
from notifications.subscriptions import Choice, NotAllowed
from tests.notifications.news import letter, news

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ADA = "ada@analytical.example"
LIST = "/admin/notifications/subscriber/"


def everywhere(needle: str) -> list[str]:
    """Every column of every table in which the words stand, in whatever capitals."""
    found, quoted = [], connection.ops.quote_name
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for column in connection.introspection.get_table_description(cursor, table):
                name = quoted(column.name)
                cursor.execute(
                    f"SELECT COUNT(*) FROM {quoted(table)} WHERE LOWER(CAST({name} AS text)) LIKE %s",
                    [f"%{needle.lower()}%"],
                )
                if cursor.fetchone()[0]:
                    found.append(f"{table}.{column.name}")
    return found


def known_everywhere(ada: Subscriber, topics: list[Topic], root: User) -> dict[str, Delivery]:
    """Everything the product may come to hold about her."""
    subscriptions.choose(ada, Choice(all_topics=False, topics=(topics[0].pk,)), at=NOON)
    Subscriber.objects.filter(pk=ada.pk).update(consent_source=f"Signed by {ADA} at the fair")
    SignUp.objects.create(address=ADA, choice=Choice().as_json(), asked_at=NOON, asked_from="203.0.113.0/24")
    ImportFile.objects.create(owner=root, name=f"{ADA}.csv", packed=ADA.encode(), uploaded_at=NOON)
    rows = {}
    for fate in (Fate.PENDING, Fate.SENDING, Fate.ACCEPTED, Fate.BOUNCED):
        row = Delivery(subscriber=ada, announcement=news(lane=fate), channel=Channel.EMAIL, pool="news", fate=fate)
        row.next_at = row.created_at = NOON
        row.reason = f"550 5.1.1 <{ADA.upper()}>: user unknown" if fate == Fate.BOUNCED else ""
        row.save()
        rows[fate.value] = row
    rows["letter"] = letter(ADA, lane=f"subscriber:{ada.public_id}").deliveries.get()
    return rows


def test_after_an_erasure_the_address_stands_nowhere(ada: Subscriber, topics: list[Topic], client: Client) -> None:
    """S29: the whole database is searched, the books of delivery still add up, links answer calmly."""
    root = User.objects.create_superuser("root", "root@x.example", "x")
    client.force_login(root)
    rows = known_everywhere(ada, topics, root)
    client.post(f"{LIST}{ada.pk}/unsubscribe/", {"_form_submitted": "on"})
    old = {purpose: tokens.make(ada, purpose) for purpose in tokens.PURPOSES}
    assert set(everywhere(ADA)) >= {
        "notifications_subscriber.address",
        "notifications_subscriber.consent_source",
        "notifications_signup.address",
        "notifications_delivery.address",
        "notifications_delivery.reason",
    }

    subscriptions.erase(ada, by=root, at=NOON)
    assert everywhere(ADA) == []
    assert everywhere(str(ada.public_id)) == everywhere(ada.public_id.hex) == []
    assert all(everywhere(token) == [] for token in old.values())
    left = Subscriber.objects.get(pk=ada.pk)
    assert (left.address, left.is_active, left.topics.count()) == (f"erased-{ada.pk}", False, 0)
    assert (left.consent_source, left.signed_up_from, left.consent_at, left.customer_id) == ("", "", None, None)
    fates = {name: Delivery.objects.get(pk=row.pk).fate for name, row in rows.items()}
    assert (fates["accepted"], fates["bounced"], fates["sending"]) == (Fate.ACCEPTED, Fate.BOUNCED, Fate.UNCERTAIN)
    assert fates["letter"] == Fate.SUPPRESSED
    assert Delivery.objects.filter(subscriber=ada.pk).count() == 4
    assert client.post(f"/subscriptions/unsubscribe/{old['unsubscribe']}").status_code == 200
    assert client.get(f"/subscriptions/manage/{old['manage']}").status_code == 404


def test_erasing_twice_is_erasing_once(ada: Subscriber) -> None:
    first = subscriptions.erase(ada, by=None, at=NOON)
    again = subscriptions.erase(ada, by=None, at=NOON + timedelta(days=1))
    assert (again.erased_at, again.public_id, Suppression.objects.count()) == (NOON, first.public_id, 1)


def test_every_spelling_of_an_address_is_erased(ada: Subscriber) -> None:
    """R-807: from before capitals made no difference there may be two; whoever is forgotten means both."""
    Subscriber.objects.create(address=ada.address.upper(), created_at=NOON, confirmed_at=NOON)
    subscriptions.erase(ada, by=None, at=NOON)
    assert everywhere(ada.address) == []
    assert (Subscriber.objects.filter(erased_at=NOON).count(), Suppression.objects.count()) == (2, 1)


def test_the_codes_of_a_number_go_with_it_whatever_they_travelled_by(brand: Brand) -> None:
    """S29: codes for the settings of WhatsApp are texted, and kept under that."""
    ann = Subscriber.objects.create(
        channel=Channel.WHATSAPP, address="+12125550101", created_at=NOON, confirmed_at=NOON
    )
    for channel, purpose in ((Channel.SMS, codes.MANAGE), (Channel.WHATSAPP, codes.CONFIRM)):
        codes.make(channel, ann.address, purpose, at=NOON)
    subscriptions.erase(ann, by=None, at=NOON)
    assert Code.objects.count() == 0


def test_the_list_holds_no_address(ada: Subscriber, settings: Settings) -> None:
    """A hash under a key: the same address under another key is another hash, and capitals make none."""
    subscriptions.erase(ada, by=None, at=NOON)
    entry = Suppression.objects.get()
    assert (entry.reason, entry.since, len(entry.digest)) == (Silence.ERASED, NOON, 64)
    assert suppression.among(Channel.EMAIL, [ADA.upper(), "bob@x.example"]) == {ADA.upper()}
    settings.SUPPRESSION_KEY = "a new key"
    assert suppression.digest(Channel.EMAIL, ADA) != entry.digest
    assert suppression.holds(Channel.EMAIL, ADA)
    settings.SECRET_KEY = "and the old one forgotten"
    assert not suppression.holds(Channel.EMAIL, ADA)


def test_erased_outweighs_bounced(brand: Brand) -> None:
    suppression.add(Channel.EMAIL, ADA, Silence.BOUNCED, at=NOON)
    suppression.add(Channel.EMAIL, ADA, Silence.ERASED, at=NOON)
    suppression.add(Channel.EMAIL, ADA, Silence.COMPLAINED, at=NOON)
    assert list(Suppression.objects.values_list("reason", flat=True)) == [Silence.ERASED]


def test_only_a_confirmed_sign_up_of_their_own_brings_them_back(ada: Subscriber) -> None:
    """S29: asking is not enough, the link in the letter is."""
    subscriptions.erase(ada, by=None, at=NOON)
    subscriptions.ask(ADA, Choice(), at=NOON, network="203.0.113.0/24")
    subscriptions.answer(at=NOON)
    assert suppression.holds(Channel.EMAIL, ADA)
    token = Announcement.objects.latest("pk").content["url"].rsplit("/", 1)[1]
    back = subscriptions.confirm(subscriptions.holder(token, tokens.CONFIRM, at=NOON), at=NOON)
    assert (back.pk == ada.pk, back.is_active, back.consent_at) == (False, True, NOON)
    assert (back.signed_up_from, suppression.holds(Channel.EMAIL, ADA)) == ("203.0.113.0/24", False)


def test_who_complained_comes_back_by_a_new_confirmation_only(ada: Subscriber) -> None:
    subscriptions.unsubscribe(ada, at=NOON)
    suppression.add(Channel.EMAIL, ADA, Silence.COMPLAINED, at=NOON)
    with pytest.raises(NotAllowed):
        subscriptions.rejoin(ada, at=NOON)


def test_people_erase_themselves_in_two_presses(visitor: Client, ada: Subscriber) -> None:
    """The first press only explains; opening the page does nothing (S17)."""
    page = f"/subscriptions/manage/{tokens.make(ada, tokens.MANAGE)}"
    assert b"Erase my data" in visitor.get(page).content
    assert b"Erase for good" in visitor.post(page, {"act": "erase"}).content
    assert Subscriber.objects.active().count() == 1
    done = visitor.post(page, {"act": "erase for good"})
    assert (done.status_code, b"Your data is erased" in done.content, everywhere(ADA)) == (200, True, [])
    assert visitor.post(page, {"act": "erase for good"}).status_code == 404


def test_who_left_may_still_be_erased(visitor: Client, ada: Subscriber) -> None:
    page = f"/subscriptions/manage/{tokens.make(ada, tokens.MANAGE)}"
    assert b"Erase my data" in visitor.post(page, {"act": "leave"}).content
    visitor.post(page, {"act": "erase for good"})
    assert everywhere(ADA) == []


def test_the_console_erases_by_post_and_by_permission(client: Client, ada: Subscriber) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "change_subscriber"]))
    client.force_login(clerk)
    assert client.post(f"{LIST}{ada.pk}/erase/", {"_form_submitted": "on"}).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="erase_subscriber"))
    client.get(f"{LIST}{ada.pk}/erase/")
    assert Subscriber.objects.filter(erased_at=None).count() == 1
    done = client.post(f"{LIST}{ada.pk}/erase/", {"_form_submitted": "on"})
    assert (done.headers["HX-Redirect"], everywhere(ADA)) == (LIST, [])
    assert list(client.get(LIST).context["cl"].result_list) == []


def test_the_command_erases(ada: Subscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_subscriber", ADA)
    call_command("erase_subscriber", ADA.upper(), "--yes")
    assert everywhere(ADA) == []
    with pytest.raises(CommandError, match="Nobody is subscribed"):
        call_command("erase_subscriber", ADA, "--yes")
