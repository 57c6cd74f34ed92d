"""The demo organisation: believable, told by the acts, silent, the same twice."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from config.demo import people
from config.demo.organisation import BRAND, COMPONENTS
from incidents.enums import State
from incidents.models import Incident, Obligation, Policy
from notifications.models import Announcement, Brand, Customer, Delivery, Subscriber
from status import ledger
from status.models import Component, Impact, Notice


@pytest.fixture(scope="module")
def story(django_db_setup, django_db_blocker) -> Iterator[None]:
    """The demo, loaded once for all tests of this module and undone after the last."""
    with django_db_blocker.unblock(), transaction.atomic():
        call_command("demo", stdout=StringIO())
        yield
        transaction.set_rollback(True)


@pytest.fixture
def loaded(story, db) -> None:
    """Each test plays on the same story; what it changes is undone."""


def test_the_organisation_of_the_requirements_is_there(loaded: None) -> None:
    """R-601, R-602, R-101, R-803."""
    names = [name for rows in COMPONENTS.values() for name, *_ in rows]
    assert list(Component.objects.order_by("position").values_list("name", flat=True)) == names
    targets = Component.objects.filter(uptime_target__isnull=False).values_list("name", "uptime_target")
    assert {name: f"{target:f}" for name, target in targets} == {
        "API": "99.900",
        "Database": "99.950",
        "Payments": "99.500",
        "Messaging": "99.000",
    }
    assert Policy.objects.count() == 5
    assert Brand.objects.default().slug == BRAND
    assert Customer.objects.count() == 12
    assert not Customer.objects.filter(contacts=None).exists()


def test_the_history_spans_90_days_and_is_over(loaded: None) -> None:
    """The newcomer declares the first trouble: everything is operational."""
    now = timezone.now()
    assert Incident.objects.count() == 15
    assert Incident.objects.filter(declared_at__lt=now - timedelta(days=90)).count() == 0
    assert Incident.objects.filter(declared_at__lt=now - timedelta(days=80)).count() == 1
    assert not Incident.objects.open().exists()
    assert Incident.objects.filter(state=State.FALSE_ALARM).count() == 1
    assert [notice.phase for notice in Notice.objects.open()] == ["scheduled"]
    assert not Impact.objects.open().exists()
    assert ledger.levels() == {}
    assert all(notice.updates.count() >= 2 for notice in Notice.objects.past())
    assert Notice.objects.filter(reference__startswith="MNT-").count() == 4


def test_references_rise_with_time(loaded: None) -> None:
    """R-202: the acts ran in the order in which things happened."""
    told = list(Incident.objects.order_by("declared_at").values_list("reference", flat=True))
    assert told == sorted(told)


def test_nothing_is_overdue_on_the_first_day(loaded: None) -> None:
    assert not Obligation.objects.overdue(timezone.now()).exists()


def test_history_is_written_without_a_word_to_anybody(loaded: None) -> None:
    assert Announcement.objects.count() == 0
    assert Delivery.objects.count() == 0


def test_subscribers_are_as_various_as_real_ones(loaded: None) -> None:
    assert Subscriber.objects.count() == 42
    assert 30 <= Subscriber.objects.active().count() < 42
    assert Subscriber.objects.filter(confirmed_at=None).exists()
    assert Subscriber.objects.exclude(unsubscribed_at=None).exists()
    choosy = Subscriber.objects.filter(all_topics=False)
    assert choosy.count() == 14
    assert all(one.topics.exists() for one in choosy)


def test_each_role_has_a_login_that_works(loaded: None, client) -> None:
    """R-1202. One password for all, kept in a file only its owner reads."""
    password = people.password_file().read_text().strip()
    assert people.password_file().stat().st_mode & 0o777 == 0o600
    for login, _, _, role in people.STAFF:
        assert client.login(username=login, password=password)
        assert User.objects.get(username=login).groups.get().name == role
        assert client.get("/admin/").status_code == 200
    assert Group.objects.count() == 6


def test_who_may_say_what(loaded: None) -> None:
    """The table of reliability.md 4.1, as far as it is built."""
    acts = ("declare", "publish", "command")
    may = {one.username: tuple(one.has_perm(f"incidents.{act}") for act in acts) for one in User.objects.all()}
    assert may == {
        "support": (True, False, False),
        "comms": (True, True, False),
        "commander": (True, True, True),
        "finance": (False, False, False),
        "controller": (False, False, False),
        "auditor": (False, False, False),
        "ciso": (False, False, False),
        "admin": (True, True, True),
    }


def test_loading_twice_changes_nothing(loaded: None, capsys) -> None:
    before = [model.objects.count() for model in (User, Component, Incident, Notice, Subscriber, Customer)]
    User.objects.filter(username="admin").update(password="chosen")
    call_command("demo")
    assert capsys.readouterr().out == "The demo organisation is there already; nothing was changed.\n"
    assert [model.objects.count() for model in (User, Component, Incident, Notice, Subscriber, Customer)] == before
    assert User.objects.get(username="admin").password == "chosen"
