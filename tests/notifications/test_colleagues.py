"""How people of our own are reached: each on their own channel (R-302)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from notifications import colleagues
from notifications.enums import Channel, Pool
from notifications.models import Colleague, Delivery
from notifications.stories import Letter
from tests import scene
from tests.notifications.texting import ANN

pytestmark = pytest.mark.django_db
LIST = "/admin/notifications/colleague/"
ADD = LIST + "add/"
MINE = "(212) 555-0101"


def sit(name: str, *rights: str) -> tuple[Client, User]:
    user = scene.operator(name, email=f"{name}@northwind.example")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client, user


def texted(user: User) -> Colleague:
    return Colleague.objects.create(user=user, channel=Channel.SMS, phone=ANN)


def test_r302_whoever_said_nothing_is_reached_by_the_address_of_their_login() -> None:
    ann = scene.operator(email="ann@northwind.example")
    assert colleagues.reach([ann.pk]) == {
        ann.pk: colleagues.Reach(ann.pk, "Ann", Channel.EMAIL, "ann@northwind.example")
    }


def test_r302_texts_go_to_the_number_and_mail_takes_their_place_while_they_cannot_leave(settings: Settings) -> None:
    ann = scene.operator(email="ann@northwind.example")
    texted(ann)
    assert colleagues.reach([ann.pk])[ann.pk].address == "ann@northwind.example"
    settings.SMS_PROVIDER = "sns"
    settings.SNS = settings.SNS | {"region": "us-east-1"}
    assert colleagues.reach([ann.pk])[ann.pk] == colleagues.Reach(ann.pk, "Ann", Channel.SMS, ANN)


def test_r302_who_cannot_be_reached_is_left_out() -> None:
    nobody = scene.operator("nobody")
    gone = scene.operator("gone", email="gone@northwind.example", is_active=False)
    assert colleagues.reach([nobody.pk, gone.pk, 0]) == {}


def test_a_letter_to_one_of_us_waits_for_no_other() -> None:
    ann = scene.operator(email="ann@northwind.example")
    to = colleagues.reach([ann.pk])[ann.pk]
    for _ in range(2):
        letter = Letter("Owed soon", ("The next public update.",), sms="Owed soon.")
        colleagues.write(to, letter, subject="Owed soon", brand=scene.brand(), at=timezone.now())
    lanes = set(Delivery.objects.values_list("announcement__lane", flat=True))
    assert len(lanes) == 2
    assert {lane.rpartition(":")[0] for lane in lanes} == {f"staff:{ann.pk}"}
    assert set(Delivery.objects.values_list("pool", "address")) == {(Pool.LETTERS, "ann@northwind.example")}


def test_the_database_texts_nobody_without_a_number() -> None:
    with pytest.raises(IntegrityError, match="who_is_texted_has_a_number"), transaction.atomic():
        Colleague.objects.create(user=scene.operator(), channel=Channel.SMS)


def test_everybody_says_for_themselves_how_they_are_reached() -> None:
    client, ann = sit("ann")
    assert client.get(LIST).headers["Location"] == ADD
    page = client.get(ADD)
    assert list(page.context["adminform"].form.fields) == ["channel", "phone"]
    wrong = client.post(ADD, {"channel": "sms", "phone": ""})
    assert wrong.context["adminform"].form.errors == {"phone": ["Say which number is texted."]}
    assert client.post(ADD, {"channel": "sms", "phone": MINE}).status_code == 302
    row = Colleague.objects.get()
    assert (row.user, row.channel, row.phone) == (ann, "sms", ANN)
    own = f"{LIST}{row.pk}/change/"
    assert client.get(LIST).headers["Location"] == own
    assert client.post(own, {"channel": "email", "phone": MINE}).status_code == 302
    row.refresh_from_db()
    assert row.channel == "email"
    # One row each.
    assert client.get(ADD).status_code == 403


def test_a_number_that_cannot_be_texted_is_refused_where_it_was_typed() -> None:
    client, _ = sit("ann")
    refused = client.post(ADD, {"channel": "sms", "phone": "112"})
    assert list(refused.context["adminform"].form.errors) == ["phone"]
    assert not Colleague.objects.exists()


def test_nobody_sees_or_changes_how_another_is_reached_but_administrators() -> None:
    row = texted(scene.operator("ben", email="ben@northwind.example"))
    own = f"{LIST}{row.pk}/change/"
    ann, _ = sit("ann")
    assert ann.get(own).status_code == 302
    assert ann.post(own, {"channel": "email", "phone": ""}).status_code == 302
    row.refresh_from_db()
    assert row.channel == "sms"
    root, _ = sit("root", "view_colleague", "change_colleague", "add_colleague", "view_user")
    assert "Ben" in root.get(LIST).content.decode()
    assert root.post(own, {"channel": "email", "phone": ""}).status_code == 302
    row.refresh_from_db()
    assert (row.user.username, row.channel) == ("ben", "email")
    cy = scene.operator("cy", email="cy@northwind.example")
    assert root.post(ADD, {"user": cy.pk, "channel": "sms", "phone": MINE}).status_code == 302
    assert Colleague.objects.get(user=cy).phone == ANN
