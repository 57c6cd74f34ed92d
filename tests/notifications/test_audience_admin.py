"""The audience's screens, as support staff use them (R-802, R-803, R-111, R-1201)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.test import Client

from notifications import subscriptions
from notifications.admin.audience import SubscriberAdmin
from notifications.enums import Channel, Fate, Kind, Pool, Tier
from notifications.models import Announcement, Brand, Contact, Customer, Delivery, Subscriber, Topic
from tests import scene

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIST = "/admin/notifications/subscriber/"
FACTS: dict[str, dict[str, datetime]] = {
    "active": {"confirmed_at": NOON},
    "unconfirmed": {},
    "left": {"confirmed_at": NOON, "bounced_at": NOON, "unsubscribed_at": NOON},
    "bounced": {"confirmed_at": NOON, "bounced_at": NOON},
}
BRAND = {
    "name": "Northwind",
    "slug": "northwind",
    "sender_name": "Northwind Status",
    "sender_email": "status@northwind.example",
    "subject_pattern": "[{{brand}}] {{phase}}: {{title}} ({{reference}})",
    "support_email": "support@northwind.example",
}


@pytest.fixture
def ann(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ann", "ann@x.example", "x"))
    return client


@pytest.fixture
def four() -> dict[str, Subscriber]:
    """One subscriber in each state."""
    return {
        name: Subscriber.objects.create(address=f"{name}@x.example", created_at=NOON, **facts)
        for name, facts in FACTS.items()
    }


@pytest.fixture
def northwind() -> Brand:
    return Brand.objects.create(**BRAND, is_default=True)


def shown(client: Client, **query: str) -> list[str]:
    return sorted(each.address for each in client.get(LIST, query).context["cl"].result_list)


def queue_something(subscriber: Subscriber, brand: Brand) -> Delivery:
    announcement = Announcement.objects.create(
        lane=f"n{subscriber.pk}", seq=1, kind=Kind.INCIDENT, brand=brand, subject="x", content={},
        published_at=NOON, expires_at=NOON,
    )  # fmt: skip
    return Delivery.objects.create(
        announcement=announcement, subscriber=subscriber, channel=Channel.EMAIL, pool=Pool.NEWS,
        next_at=NOON, created_at=NOON,
    )  # fmt: skip


# --- subscribers ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FACTS)
def test_everybody_stands_in_one_state(ann: Client, four: dict[str, Subscriber], name: str) -> None:
    """The filter, the label and the fan-out agree on who is active."""
    assert shown(ann, state=name) == [f"{name}@x.example"]
    assert four[name].is_active is (name == "active")


def test_a_subscriber_is_found(ann: Client, four: dict[str, Subscriber]) -> None:
    customer = Customer.objects.create(name="Acme", reference="C-1")
    Subscriber.objects.filter(address="left@x.example").update(customer=customer, least_rank=1)
    assert shown(ann, q="ACTIV") == ["active@x.example"]
    assert shown(ann, customer__id__exact=str(customer.pk)) == ["left@x.example"]
    assert shown(ann, least_rank="1") == ["left@x.example"]
    assert len(shown(ann, state="nonsense", least_rank="9")) == 4


def test_the_list_costs_the_same_for_two_and_for_fifty(
    ann: Client, django_assert_num_queries: Callable[..., object]
) -> None:
    topic = Topic.objects.create(key="component:1", name="API")
    customer = Customer.objects.create(name="Acme", reference="C-1")
    for number in range(50):
        subscriber = Subscriber.objects.create(
            address=f"n{number}@x.example", created_at=NOON, customer=customer, all_topics=False
        )
        subscriber.topics.add(topic)
        if number in (1, 49):
            # session, user, the side's numbers, count, rows, their components
            with django_assert_num_queries(6):
                ann.get(LIST)


def test_facts_are_read_and_only_the_customer_is_set(ann: Client, four: dict[str, Subscriber]) -> None:
    customer = Customer.objects.create(name="Acme", reference="C-1")
    address = f"{LIST}{four['active'].pk}/change/"
    assert list(ann.get(address).context["adminform"].form.fields) == ["customer"]
    tampered = {"customer": str(customer.pk), "address": "eve@x.example", "unsubscribed_at": "2026-01-01"}
    assert ann.post(address, tampered).status_code == 302
    changed = Subscriber.objects.get(pk=four["active"].pk)
    assert (changed.customer, changed.address, changed.unsubscribed_at) == (customer, "active@x.example", None)
    # What Enterprise customers were told, they may not have been told before.
    assert changed.changed_at is not None


def test_saving_does_not_undo_what_the_person_did_meanwhile(four: dict[str, Subscriber]) -> None:
    loaded = Subscriber.objects.get(pk=four["active"].pk)
    subscriptions.unsubscribe(four["active"], at=NOON)
    loaded.customer = Customer.objects.create(name="Acme", reference="C-1")
    SubscriberAdmin(Subscriber, site).save_model(HttpRequest(), loaded, None, change=True)
    saved = Subscriber.objects.get(pk=loaded.pk)
    assert (saved.customer, saved.unsubscribed_at) == (loaded.customer, NOON)


def test_nobody_is_subscribed_or_deleted_by_hand(ann: Client, four: dict[str, Subscriber]) -> None:
    """R-802: only the owner of a mailbox subscribes it."""
    assert ann.get(f"{LIST}add/").status_code == 403
    assert ann.post(f"{LIST}{four['active'].pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in ann.get(LIST).content.decode()
    assert Subscriber.objects.count() == 4


def test_unsubscribing_one_asks_first(ann: Client, four: dict[str, Subscriber], northwind: Brand) -> None:
    """A GET asks, a POST acts, and what was queued stays here (S17, A7)."""
    queued = queue_something(four["active"], northwind)
    address = f"{LIST}{four['active'].pk}/unsubscribe/"
    assert b"Unsubscribe this address?" in ann.get(address).content
    assert Subscriber.objects.get(pk=four["active"].pk).is_active is True

    done = ann.post(address, {"_form_submitted": "on"})
    assert (done.status_code, done.headers["HX-Redirect"]) == (200, f"{LIST}{four['active'].pk}/change/")
    assert Subscriber.objects.get(pk=four["active"].pk).is_active is False
    queued.refresh_from_db()
    assert (queued.fate, queued.reason) == (Fate.SUPPRESSED, "Unsubscribed")
    assert list(LogEntry.objects.values_list("object_repr", "change_message")) == [
        ("active@x.example", "Unsubscribed.")
    ]


def test_unsubscribing_many_asks_first(ann: Client, four: dict[str, Subscriber], northwind: Brand) -> None:
    queued = queue_something(four["active"], northwind)
    chosen = [str(four[name].pk) for name in ("active", "left", "bounced")]
    form = {"action": "unsubscribe_chosen", "_selected_action": chosen}
    asked = ann.post(LIST, form)
    assert (asked.status_code, asked.context["going"]) == (200, 2)
    assert asked.context["examples"] == ["active@x.example", "bounced@x.example"]
    assert Subscriber.objects.active().count() == 1

    assert ann.post(LIST, form | {"sure": "yes"}).status_code == 302
    assert Subscriber.objects.filter(unsubscribed_at=None).get().address == "unconfirmed@x.example"
    assert Subscriber.objects.get(address="left@x.example").unsubscribed_at == NOON
    queued.refresh_from_db()
    assert queued.fate == Fate.SUPPRESSED
    assert sorted(LogEntry.objects.values_list("object_repr", flat=True)) == ["active@x.example", "bounced@x.example"]


def test_all_across_pages_are_unsubscribed_when_asked(ann: Client, four: dict[str, Subscriber]) -> None:
    form = {"action": "unsubscribe_chosen", "_selected_action": [str(four["active"].pk)], "select_across": "1"}
    asked = ann.post(LIST, form)
    assert (asked.context["going"], asked.context["across"]) == (3, "1")
    ann.post(LIST, form | {"sure": "yes"})
    assert Subscriber.objects.filter(unsubscribed_at=None).count() == 0


def test_many_leave_in_a_handful_of_statements(django_assert_num_queries: Callable[..., object]) -> None:
    Subscriber.objects.bulk_create(
        Subscriber(address=f"n{number}@x.example", created_at=NOON, confirmed_at=NOON) for number in range(1500)
    )
    ids = list(Subscriber.objects.values_list("pk", flat=True))
    with django_assert_num_queries(2 + 2 * 4):  # a savepoint around two chunks: lock, leave, stop what is queued, calm
        assert subscriptions.unsubscribe_all(ids, at=NOON) == 1500
    assert subscriptions.unsubscribe_all(ids, at=NOON) == 0


def test_who_may_only_look_cannot_unsubscribe(client: Client, four: dict[str, Subscriber]) -> None:
    bob = User.objects.create_user("bob", is_staff=True)
    client.force_login(bob)
    assert client.get(LIST).status_code == 403
    assert client.post(f"{LIST}{four['active'].pk}/unsubscribe/", {"_form_submitted": "on"}).status_code == 403
    assert Subscriber.objects.active().count() == 1


# --- who need not know addresses ---------------------------------------------------------------


@pytest.fixture
def clerk(client: Client) -> Client:
    """Sees who subscribed, and no address whole (reliability.md 4.1)."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "view_delivery"]))
    client.force_login(user)
    return client


PEEK = "/admin/autocomplete/?app_label=notifications&model_name=delivery&field_name=subscriber&term="


def test_who_need_not_know_sees_masked_addresses(clerk: Client, four: dict[str, Subscriber]) -> None:
    page = f"{LIST}{four['active'].pk}/"
    for url in (LIST, f"{page}change/", f"{page}history/"):
        text = clerk.get(url).content.decode()
        assert "a…@x….example" in text, url
        assert "active@x.example" not in text, url
    user = User.objects.get(username="clerk")
    user.user_permissions.add(Permission.objects.get(codename="view_address"))
    assert "active@x.example" in clerk.get(f"{page}change/").content.decode()


def test_who_need_not_know_finds_only_whom_they_know(clerk: Client, four: dict[str, Subscriber]) -> None:
    """Letter by letter a search by parts would spell out every address."""
    assert shown(clerk, q="act") == shown(clerk, q="@x.example") == []
    assert shown(clerk, q=" Active@X.example ") == ["active@x.example"]
    assert "A whole address or number" in clerk.get(LIST).content.decode()
    for term in ("", "act"):
        assert clerk.get(PEEK + term).json()["results"] == []


@pytest.mark.parametrize("path", ["subscriber/?address__startswith=a", "delivery/?address__startswith=a"])
def test_nor_by_a_typed_url(clerk: Client, ann: Client, path: str) -> None:
    bob = Client()
    bob.force_login(User.objects.get(username="clerk"))
    assert bob.get(f"/admin/notifications/{path}").status_code == 400
    assert ann.get(f"/admin/notifications/{path}").status_code == 200


def test_masked_it_is_shown_and_never_saved(four: dict[str, Subscriber], client: Client) -> None:
    user = User.objects.create_user("bea", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "change_subscriber"]))
    client.force_login(user)
    customer = Customer.objects.create(name="Acme", reference="C-1")
    address = f"{LIST}{four['active'].pk}/change/"
    assert client.post(address, {"customer": str(customer.pk)}).status_code == 302
    assert Subscriber.objects.get(customer=customer).address == "active@x.example"
    assert LogEntry.objects.get().object_repr == "a…@x….example"
    asked = client.post(LIST, {"action": "unsubscribe_chosen", "_selected_action": [four["active"].pk]})
    assert list(asked.context["examples"]) == ["a…@x….example"]


def test_a_subscriber_leads_to_what_was_sent_to_them(
    clerk: Client, four: dict[str, Subscriber], northwind: Brand
) -> None:
    """R-804: per person."""
    link = f"/admin/notifications/delivery/?subscriber={four['active'].pk}"
    assert f'href="{link}"' in clerk.get(f"{LIST}{four['active'].pk}/change/").content.decode()
    queue_something(four["active"], northwind)
    queue_something(four["left"], northwind)
    page = clerk.get(link)
    assert [row.subscriber for row in page.context["cl"].result_list] == [four["active"]]
    assert "Shown: messages to a…@x….example." in page.content.decode()
    assert clerk.get("/admin/notifications/delivery/?subscriber=nonsense").status_code == 302
    User.objects.get().user_permissions.remove(Permission.objects.get(codename="view_delivery"))
    assert link not in clerk.get(f"{LIST}{four['active'].pk}/change/").content.decode()


# --- customers, contacts, topics -----------------------------------------------------------------


def test_a_customer_is_kept_with_its_contacts(ann: Client) -> None:
    topic = Topic.objects.create(key="component:1", name="API")
    form = {
        "name": "Acme", "reference": "C-1", "tier": Tier.ENTERPRISE, "topics": [topic.pk],
        "contacts-TOTAL_FORMS": "2", "contacts-INITIAL_FORMS": "0",
        "contacts-0-name": "Carla", "contacts-0-email": "cto@acme.example", "contacts-0-role": "CTO",
        "contacts-1-name": "Oscar", "contacts-1-email": "ops@acme.example",
    }  # fmt: skip
    assert ann.post("/admin/notifications/customer/add/", form).status_code == 302
    acme = Customer.objects.get()
    assert list(acme.topics.all()) == [topic]
    assert list(acme.contacts.values_list("name", "email", "role")) == [
        ("Carla", "cto@acme.example", "CTO"),
        ("Oscar", "ops@acme.example", ""),
    ]
    assert acme.history.count() == 1

    reader = scene.subscriber(customer=acme)
    kept = form | {"name": "Acme Inc"} | _contacts_of(acme)
    ann.post(f"/admin/notifications/customer/{acme.pk}/change/", kept)
    assert not Subscriber.objects.filter(changed_at__isnull=False).exists()
    ann.post(f"/admin/notifications/customer/{acme.pk}/change/", kept | {"tier": Tier.BUSINESS})
    reader.refresh_from_db()
    assert reader.changed_at is not None

    twice = form | {"reference": "C-2", "contacts-1-email": "cto@acme.example"}
    refused = ann.post("/admin/notifications/customer/add/", twice)
    assert (refused.status_code, Customer.objects.count()) == (200, 1)
    assert b"Please correct the duplicate" in refused.content


def _contacts_of(customer: Customer) -> dict[str, str]:
    rows = {"contacts-INITIAL_FORMS": "2"}
    for n, contact in enumerate(customer.contacts.order_by("name")):
        rows |= {f"contacts-{n}-id": str(contact.pk), f"contacts-{n}-customer": str(customer.pk)}
    return rows


@pytest.mark.parametrize("screen", ["customer", "contact", "topic", "brand"])
def test_the_lists_cost_the_same_for_any_number(
    ann: Client, django_assert_num_queries: Callable[..., object], screen: str
) -> None:
    for number in range(20):
        topic = Topic.objects.create(key=f"component:{number}", name="API")
        customer = Customer.objects.create(name="Acme", reference=f"C-{number}")
        customer.topics.add(topic)
        Contact.objects.create(customer=customer, name="Carla", email="cto@acme.example")
        Brand.objects.create(**BRAND | {"slug": f"b{number}"})
    with django_assert_num_queries(6):  # session, user, the side's numbers, two counts, rows
        ann.get(f"/admin/notifications/{screen}/")


def test_topics_are_only_looked_at(ann: Client, four: dict[str, Subscriber]) -> None:
    topic = Topic.objects.create(key="component:1", name="API")
    for subscriber in four.values():
        subscriber.topics.add(topic)
    rows = ann.get("/admin/notifications/topic/").context["cl"].result_list
    assert [(each.name, each.chosen_count) for each in rows] == [("API", 1)]
    change = f"/admin/notifications/topic/{topic.pk}/change/"
    assert (ann.get(change).status_code, ann.post(change, {"name": "x"}).status_code) == (200, 403)
    assert ann.get("/admin/notifications/topic/add/").status_code == 403
    assert ann.post(f"/admin/notifications/topic/{topic.pk}/delete/", {"post": "yes"}).status_code == 403


# --- brands -----------------------------------------------------------------------------------------


def save_brand(client: Client, brand: Brand | None = None, **changes: str) -> dict[str, list[str]]:
    """Send the brand's form; what it complains about, by field."""
    address = f"/admin/notifications/brand/{f'{brand.pk}/change' if brand else 'add'}/"
    answer = client.post(address, BRAND | changes)
    return {} if answer.status_code == 302 else dict(answer.context["adminform"].form.errors)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (
            "{{brand}}: {{titel}}",
            "There is no placeholder {{titel}}. Use {{brand}}, {{phase}}, {{title}}, {{reference}}.",
        ),
        ("{{ title }}", "There is no placeholder {{ title }}. Use {{brand}}, {{phase}}, {{title}}, {{reference}}."),
        ("{{title.__class__}}", "There is no placeholder {{title.__class__}}. Use "
                                "{{brand}}, {{phase}}, {{title}}, {{reference}}."),
        ("{title}", "A brace is left over. Placeholders are written {{brand}}, {{phase}}, {{title}}, {{reference}}."),
        ("{{title}", "A brace is left over. Placeholders are written {{brand}}, {{phase}}, {{title}}, {{reference}}."),
        ("{{title}}\nBcc: eve@x.example", "Please write this on one line."),
    ],
)  # fmt: skip
def test_a_subject_holds_only_known_placeholders(ann: Client, northwind: Brand, pattern: str, said: str) -> None:
    """R-111, S10, S25: the error names the unknown one."""
    assert save_brand(ann, northwind, is_default="on", subject_pattern=pattern) == {"subject_pattern": [said]}
    northwind.refresh_from_db()
    assert northwind.subject_pattern == BRAND["subject_pattern"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("sender_email", "status", "Enter a valid email address."),
        ("sender_email", "status@x.example\r\nBcc: eve@x.example", "Enter a valid email address."),
        ("sender_name", "Northwind\nBcc: eve@x.example", "Please write this on one line."),
        ("name", "North\x07wind", "Character 6 (U+0007) cannot be shown. Please remove it."),
        ("signature", "The \u202eteam", "Character 5 (U+202E) cannot be shown. Please remove it."),
        ("support_url", "javascript:alert(1)", "Enter a valid URL."),
    ],
)
def test_a_brand_cannot_hold_what_would_break_a_mail(
    ann: Client, northwind: Brand, field: str, value: str, said: str
) -> None:
    assert save_brand(ann, northwind, is_default="on", **{field: value}) == {field: [said]}


def test_one_brand_is_the_default_and_the_mark_moves(ann: Client, northwind: Brand) -> None:
    """R-805: choosing another default takes the mark from the first, and both histories tell it."""
    assert save_brand(ann, name="Southwind", slug="southwind", is_default="on") == {}
    assert list(Brand.objects.values_list("slug", "is_default").order_by("slug")) == [
        ("northwind", False),
        ("southwind", True),
    ]
    assert list(northwind.history.values_list("is_default", "history_user__username")) == [(False, "ann"), (True, None)]
    assert ann.get(f"/admin/notifications/brand/{northwind.pk}/history/").status_code == 200


def test_the_last_default_cannot_be_given_up(ann: Client, northwind: Brand) -> None:
    assert save_brand(ann, northwind) == {
        "is_default": ["One brand must be the default. Make another one the default instead."]
    }
    assert ann.post(f"/admin/notifications/brand/{northwind.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(northwind.pk)], "post": "yes"}
    ann.post("/admin/notifications/brand/", chosen)
    assert Brand.objects.default() == northwind
