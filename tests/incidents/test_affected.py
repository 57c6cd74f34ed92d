"""Is customer X affected? From a name to what hurts, what was said, and a reply ready to paste (R-1305)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from incidents import answers, lifecycle
from incidents.affected import Affected, affected, find
from incidents.enums import MaintenanceState
from incidents.models import Incident, Maintenance
from notifications.enums import Channel, Fate, Kind, Pool, Tier
from notifications.models import Announcement, Contact, Customer, Delivery
from status.enums import Level, NoticeKind, Phase
from status.models import Component, Notice
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
LATER = NIGHT + minutes(20)


def customer(name: str = "Acme", *uses: Component, tier: Tier = Tier.ENTERPRISE, **changes: Any) -> Customer:
    made = Customer.objects.create(**({"name": name, "reference": f"C-{name}", "tier": tier} | changes))
    made.topics.set(component.topic for component in uses)
    Contact.objects.create(customer=made, name="Jo", email=f"jo@{name.lower()}.example")
    return made


def ask(who: Customer, user: User | None = None, at: Any = LATER) -> Affected:
    return affected(who, user=user or scene.operator(), at=at)


def support(client: Client, *rights: str) -> User:
    """Somebody of the support team, with these rights."""
    user = scene.operator("sue")
    named = rights or ("view_customer", "view_incident")
    user.user_permissions.set(Permission.objects.filter(codename__in=named))
    client.force_login(user)
    return User.objects.get(pk=user.pk)


# --- finding -----------------------------------------------------------------------------------


def test_r1305_a_customer_is_found_by_name_reference_or_the_address_somebody_wrote_from() -> None:
    acme, bits = customer("Acme"), customer("Bits & Acme Sons", reference="B-77")
    Contact.objects.create(customer=bits, name="Al", email="al@mail.bits.example")
    for typed, found in {
        "acme": [acme, bits],
        "C-acme": [acme],
        "b-7": [bits],
        "jo@acme.example": [acme],
        "anybody@ACME.example": [acme],
        "bits.example": [bits],
        "  bits   & ": [bits],
        "nobody": [],
        "a": [],
        "": [],
        "%%": [],
        "__": [],
    }.items():
        assert find(typed) == (found, False), typed


def test_a_search_shows_twenty_and_says_that_there_are_more() -> None:
    for n in range(21):
        customer(f"Acme {n:02}")
    found, more = find("acme")
    assert (len(found), more) == (20, True)


# --- the answer --------------------------------------------------------------------------------


def test_r1305_what_they_use_what_hurts_and_what_we_said() -> None:
    api, shop = scene.component("API"), scene.component("Shop")
    incident = scene.incident(
        levels={api: Level.MAJOR}, draft=scene.draft("We **look** into it.", next_update_by=NIGHT + minutes(30))
    )
    found = ask(customer("Acme", api, shop))
    assert found.components == [(api, Level.MAJOR), (shop, Level.OPERATIONAL)]
    (trouble,) = found.open
    assert (trouble.incident, trouble.levels) == (incident, [(api, Level.MAJOR)])
    assert trouble.words is not None
    assert trouble.words.text.strip() == "We look into it."
    assert trouble.notice.next_update_by == NIGHT + minutes(30)
    assert (found.is_affected, found.assumed) == (True, False)


def test_a_group_that_is_used_counts_for_its_members() -> None:
    card = scene.component("Cards", "Billing")
    who = customer("Acme")
    assert card.group is not None
    card.group.topic = scene.component("Dummy").topic
    card.group.save()
    who.topics.set([card.group.topic])
    scene.incident(levels={card: Level.DEGRADED})
    assert [component.name for component, _ in ask(who).hurt] == ["Cards"]


def test_who_uses_something_else_is_not_affected() -> None:
    api, shop = scene.component("API"), scene.component("Shop")
    scene.incident(levels={api: Level.MAJOR})
    found = ask(customer("Acme", shop))
    assert (found.is_affected, found.open, found.hurt) == (False, [], [])


def test_where_nobody_wrote_down_what_they_use_everything_counts() -> None:
    scene.incident(levels={scene.component("API"): Level.MAJOR})
    found = ask(customer("Acme"))
    assert (found.assumed, found.is_affected) == (True, True)
    assert "we have an open incident that may concern you: API (major outage)." in answers.reply(found)


def test_what_is_internal_or_a_false_alarm_is_no_answer() -> None:
    api = scene.component("API")
    who = customer("Acme", api)
    scene.incident(levels={}, public=False)
    alarm = scene.incident(levels={api: Level.MAJOR})
    lifecycle.mark_false_alarm(alarm, body="Nothing was wrong.", by=scene.operator(), at=NIGHT + minutes(5))
    assert ask(who).is_affected is False


def test_what_ended_less_than_a_day_ago_is_still_told() -> None:
    api = scene.component("API")
    who = customer("Acme", api)
    incident = scene.incident(levels={api: Level.MAJOR})
    Notice.objects.update(resolved_at=NIGHT + minutes(10), ended_at=NIGHT + minutes(8), phase=Phase.RESOLVED)
    api.impacts.update(ended_at=NIGHT + minutes(10))
    found = ask(who)
    assert ([one.incident for one in found.lately], found.is_affected) == ([incident], False)
    assert "“API is not answering” was resolved at 03:08 UTC on 20 November 2026." in answers.reply(found)
    assert ask(who, at=NIGHT + timedelta(days=2)).lately == []


def test_r213_of_a_restricted_incident_only_the_public_words_are_there() -> None:
    api = scene.component("API")
    who = customer("Acme", api)
    incident = scene.incident(levels={api: Level.PARTIAL}, title="Attacker has the signing key")
    Incident.objects.update(is_restricted=True, public_title="Trouble with the API")
    Notice.objects.update(title="Trouble with the API")
    (trouble,) = ask(who, scene.operator("eve")).open
    assert (trouble.incident, trouble.notice.title) == (None, "Trouble with the API")
    assert affected(who, user=AnonymousUser(), at=LATER).open[0].incident is None

    incident.insiders.create(user=scene.operator("ivy"), granted_at=NIGHT)
    assert ask(who, scene.operator("ivy")).open[0].incident == incident
    for language in answers.LANGUAGES:
        assert "signing key" not in answers.reply(ask(who, scene.operator("ivy")), language)


def test_maintenance_ahead_is_told_once_it_is_announced() -> None:
    api = scene.component("API")
    who = customer("Acme", api)
    notice = Notice.objects.create(
        kind=NoticeKind.MAINTENANCE,
        brand=scene.brand(),
        reference="MNT-2026-0001",
        title="Bigger disks",
        phase=Phase.SCHEDULED,
        started_at=NIGHT + timedelta(days=2),
        published_at=NIGHT,
        updated_at=NIGHT,
    )
    work = Maintenance.objects.create(
        reference="MNT-2026-0001",
        title="Bigger disks",
        brand=scene.brand(),
        planned_start_at=NIGHT + timedelta(days=2),
        planned_end_at=NIGHT + timedelta(days=2, hours=1),
        scheduled_at=NIGHT,
    )
    work.components.set([api])
    assert ask(who).ahead == []
    Maintenance.objects.update(notice=notice)
    found = ask(who)
    assert found.ahead == [work]
    assert (
        "Planned maintenance ahead: “Bigger disks”, from 03:00 UTC on 22 November 2026 until "
        "04:00 UTC on 22 November 2026." in answers.reply(found)
    )
    Maintenance.objects.update(state=MaintenanceState.CANCELLED)
    assert ask(who).ahead == []


def test_r1305_when_they_were_last_told_and_whether_letters_went_out() -> None:
    api = scene.component("API")
    who = customer("Acme", api)
    scene.subscriber("ops@acme.example", customer=who)
    incident = scene.incident(levels={api: Level.MAJOR}, letter="")
    assert incident.notice is not None
    told = ask(who)
    assert (told.heard, told.open[0].heard, told.open[0].letters) == ([], [], 0)

    news = Announcement.objects.get(lane=incident.notice.lane)
    _delivered(news, NIGHT + minutes(1), subscriber=who.subscribers.get())
    letter = Announcement.objects.create(
        lane=f"letters:{incident.notice.public_id}",
        seq=1,
        kind=Kind.DIRECT,
        brand=scene.brand(),
        subject="About your API",
        content={},
        published_at=NIGHT,
        expires_at=NIGHT + timedelta(days=1),
    )
    _delivered(letter, NIGHT + minutes(2), address="jo@acme.example")
    _delivered(letter, NIGHT + minutes(3), address="someone@else.example")
    found = ask(who)
    assert [(heard.by, heard.at, heard.messages) for heard in found.heard] == [
        ("Letter by e-mail", NIGHT + minutes(2), 1),
        ("E-mail", NIGHT + minutes(1), 1),
    ]
    assert found.open[0].heard == found.heard
    assert found.open[0].letters == 1


def _delivered(news: Announcement, at: Any, **whom: Any) -> None:
    Delivery.objects.create(
        announcement=news,
        channel=Channel.EMAIL,
        pool=Pool.NEWS,
        fate=Fate.ACCEPTED,
        next_at=NIGHT,
        created_at=NIGHT,
        sent_at=at,
        **whom,
    )


# --- the reply ---------------------------------------------------------------------------------


def test_r1305_the_reply_of_an_affected_customer(settings: Any) -> None:
    settings.SITE_URL = "https://status.northwind.example"
    api = scene.component("API")
    incident = scene.incident(
        levels={api: Level.MAJOR}, draft=scene.draft("We look into it.\n\nSorry.", next_update_by=NIGHT + minutes(30))
    )
    assert incident.notice is not None
    found = ask(customer("Acme", api))
    assert answers.reply(found) == (
        "Hello,\n\n"
        "yes, there is a problem with something you use: API (major outage).\n\n"
        "What we last said about “API is not answering” (Investigating, 03:00 UTC on 20 November 2026):\n\n"
        "> We look into it.\n>\n> Sorry.\n\n"
        "We will post the next update by 03:30 UTC on 20 November 2026.\n\n"
        f"You can follow it here: https://status.northwind.example/status/incidents/{incident.notice.public_id}\n\n"
        "Kind regards\n"
        "The Northwind team\n\n"
        "You can reach us at support@northwind.example.\n"
        "https://status.northwind.example/status"
    )
    assert answers.reply(found, "de").startswith(
        "Guten Tag,\n\n"
        "ja, etwas, das Sie nutzen, ist gestört: API (ausgefallen).\n\n"
        "Unsere letzte Nachricht zu „API is not answering“ (Wird untersucht, 03:00 UTC am 20. November 2026):\n\n"
        "> We look into it."
    )


def test_a_promise_that_ran_out_is_not_repeated_as_if_it_stood() -> None:
    api = scene.component("API")
    scene.incident(levels={api: Level.MAJOR}, draft=scene.draft(next_update_by=NIGHT + minutes(15)))
    late = ask(customer("Acme", api), at=NIGHT + minutes(16))
    assert "Our next update was due by 03:15 UTC on 20 November 2026 and has not been posted yet." in answers.reply(
        late
    )


def test_no_fixed_time_is_said() -> None:
    api = scene.component("API")
    scene.incident(levels={api: Level.MAJOR})
    assert "There is no fixed time for the next update." in answers.reply(ask(customer("Acme", api)))


def test_r1305_the_reply_of_a_customer_who_is_not_affected(settings: Any) -> None:
    settings.SITE_URL = "https://status.northwind.example"
    scene.brand(support_url="https://help.northwind.example/")
    found = ask(customer("Acme", scene.component("API")))
    assert answers.reply(found) == (
        "Hello,\n\n"
        "as of 03:20 UTC on 20 November 2026, everything you use works as usual. We know of no open incident that "
        "touches it.\n\n"
        "If you see trouble all the same, please tell us what you see, and since when.\n\n"
        "Kind regards\n"
        "The Northwind team\n\n"
        "You can reach us at support@northwind.example / https://help.northwind.example/.\n"
        "https://status.northwind.example/status"
    )
    assert answers.reply(found, "de").startswith(
        "Guten Tag,\n\nStand 03:20 UTC am 20. November 2026 läuft alles, was Sie nutzen, wie gewohnt."
    )


def test_before_there_is_a_brand_there_is_still_a_reply() -> None:
    found = ask(customer("Acme", scene.component("API")))
    assert answers.reply(found).endswith("Kind regards")


# --- the screens -------------------------------------------------------------------------------


def test_r1305_the_screen_shows_the_answer_and_the_reply(client: Client) -> None:
    support(client)
    api = scene.component("API")
    who = customer("A<b>cme", api, reference="C/1 ä")
    scene.incident(levels={api: Level.MAJOR}, title="API is <i>down</i>")
    with time_machine.travel(LATER, tick=False):
        page = client.get(reverse("desk:affected"), {"q": "a<b>cme"}, follow=True)
        assert page.redirect_chain == [(reverse("desk:affected_customer", args=["C/1 ä"]), 302)]
    text = page.content.decode()
    assert "A&lt;b&gt;cme" in text
    assert "<b>cme" not in text
    assert "<i>down" not in text
    assert who.get_tier_display() in text
    assert [code for code, _, _ in page.context["replies"]] == ["en", "de"]


@pytest.mark.parametrize("rights", [("view_customer",), ("view_incident",), ("declare", "view_delivery")])
def test_both_rights_are_needed(client: Client, rights: tuple[str, ...]) -> None:
    support(client, *rights)
    who = customer("Acme")
    for url in (
        reverse("desk:affected"),
        reverse("desk:affected_customer", args=[who.reference]),
        reverse("api:customer_affected", args=[who.reference]),
    ):
        assert client.get(url).status_code == 403
    assert "Is customer X affected?" not in client.get(reverse("admin:index")).content.decode()


def test_a_customers_own_page_leads_to_the_answer(client: Client, admin_client: Client) -> None:
    who = customer("Acme")
    address = reverse("admin:notifications_customer_change", args=[who.pk])
    link = reverse("desk:affected_customer", args=[who.reference])
    assert link in admin_client.get(address).content.decode()
    support(client, "view_customer")
    assert link not in client.get(address).content.decode()


def test_strangers_are_sent_to_sign_in(client: Client) -> None:
    assert client.get(reverse("desk:affected")).status_code == 302


def test_what_cannot_be_found_is_said(client: Client) -> None:
    support(client)
    assert "No customer is known by “nobody”." in client.get(reverse("desk:affected"), {"q": "nobody"}).content.decode()
    assert "at least two letters" in client.get(reverse("desk:affected"), {"q": "x"}).content.decode()
    assert client.get(reverse("desk:affected"), {"q": "\x00" * 300}).status_code == 200
    assert client.get(reverse("desk:affected_customer", args=["none"])).status_code == 404


def test_r1305_one_call_answers_the_same(client: Client) -> None:
    support(client)
    api = scene.component("API")
    who = customer("Acme", api)
    incident = scene.incident(levels={api: Level.MAJOR}, draft=scene.draft(next_update_by=NIGHT + minutes(30)))
    with time_machine.travel(LATER, tick=False):
        answer = client.get("/api/v1/customers/C-Acme/affected")
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["customer"] == {"reference": "C-Acme", "name": "Acme", "tier": "enterprise"}
    assert (told["affected"], told["components_assumed"]) == (True, False)
    assert told["components"] == [{"name": "API", "level": "major_outage"}]
    (one,) = told["incidents"]
    assert (one["reference"], one["severity"], one["phase"]) == (incident.reference, "P0", "investigating")
    assert one["next_update_by"] == "2026-11-20T03:30:00Z"
    assert one["last_words"] == {
        "phase": "investigating",
        "text": "We are looking into it.",
        "posted_at": "2026-11-20T03:00:00Z",
    }
    assert told["replies"]["en"] == answers.reply(ask(who))
    assert client.get("/api/v1/customers/none/affected").status_code == 404


def test_the_queries_do_not_grow_with_customers_incidents_or_components(client: Client) -> None:
    user = support(client)
    api = scene.component("API")
    who = customer("Acme", api)
    scene.incident(levels={api: Level.MAJOR})

    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as asked:
            affected(who, user=User.objects.get(pk=user.pk), at=LATER)
        with CaptureQueriesContext(connection) as sought:
            find("acme")
        return len(asked), len(sought)

    few = cost()
    more = [scene.component(f"Part {n}", f"Group {n % 3}") for n in range(12)]
    who.topics.add(*(component.topic for component in more))
    for n in range(6):
        scene.incident(at=NIGHT + minutes(n), levels={api: Level.MAJOR, more[n]: Level.PARTIAL})
    Customer.objects.bulk_create(Customer(name=f"Acme {n}", reference=f"A{n}") for n in range(200))
    assert cost() == few
    assert few[0] <= 18
    assert few[1] == 1
