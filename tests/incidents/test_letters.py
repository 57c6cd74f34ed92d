"""Enterprise customers are told directly: what happened, what it means for them, what comes next (R-803)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from incidents import letters, lifecycle
from incidents.admin import chronicle
from incidents.enums import Setting, Verb
from incidents.models import Incident, UpdateTemplate
from notifications import lookup, suppression
from notifications.enums import Fate, Kind, Silence, Tier
from notifications.lint import Unsendable
from notifications.models import Announcement, Brand, Contact, Customer, Delivery
from status import components
from status.enums import Level, Phase
from status.models import Component, Group
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import ADD, fresh, say
from tests.incidents.playbooks import level, presets
from tests.scene import NIGHT, minutes

__all__ = ["presets"]
pytestmark = pytest.mark.django_db
LOOK = "/admin/incidents/incident/preview/"
NOW = NIGHT + minutes(12)
DIRECT = {letters.grid.LETTERS: Setting.ON}


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    scene.brand()
    desk.sit(client, *desk.ALL)
    return client


def customer(
    name: str, *uses: Component, tier: Tier = Tier.ENTERPRISE, contacts: tuple[str, ...] = ("ops",)
) -> Customer:
    made = Customer.objects.create(name=name, reference=f"C-{name}", tier=tier)
    made.topics.set([component.topic for component in uses])
    for contact in contacts:
        email = contact if "@" in contact else f"{contact}@{name.lower()}.example"
        Contact.objects.create(customer=made, name=contact.title(), email=email)
    return made


def written() -> dict[str, list[str]]:
    """The newest letter to each address, by its paragraphs."""
    rows = Delivery.objects.filter(announcement__kind=Kind.DIRECT).select_related("announcement")
    return {row.address: row.announcement.content["paragraphs"] for row in rows.order_by("pk")}


def declared(**changes: Any) -> Incident:
    """Ann declares a level whose policy writes letters; the API is down, the shop is slow."""
    values = {
        "severity": scene.severity("P0", 1, grid=DIRECT),
        "levels": {scene.component("API"): Level.MAJOR, scene.component("Shop"): Level.DEGRADED},
    }
    return scene.incident(**(values | changes))


# --- to whom -----------------------------------------------------------------------------


def test_contacts_of_enterprise_customers_that_use_what_is_affected_read_what_it_means_for_them() -> None:
    api, shop, docs = (scene.component(name) for name in ("API", "Shop", "Docs"))
    customer("ACME", api, docs, contacts=("cto", "ops"))
    customer("Bits", api, shop)
    customer("Calm", docs)
    customer("Dime", api, tier=Tier.BUSINESS)
    customer("Eve")
    declared()
    assert written() == {
        "cto@acme.example": [
            "We write to you directly because API is not answering concerns what you use: API (major outage).",
            "We are looking into it.",
            "You can reach us at support@northwind.example.",
        ],
        "ops@acme.example": written()["cto@acme.example"],
        "ops@bits.example": [
            "We write to you directly because API is not answering concerns what you use: "
            "API (major outage) and Shop (degraded performance).",
            "We are looking into it.",
            "You can reach us at support@northwind.example.",
        ],
    }
    assert Announcement.objects.filter(kind=Kind.DIRECT).count() == 2


def test_who_uses_a_group_uses_what_joins_it_later() -> None:
    web = components.keep_group(Group(name="Web"), at=NIGHT)
    acme = customer("ACME")
    acme.topics.add(web.topic)
    shop = components.add_component("Shop front", at=NIGHT, group=web)
    declared(levels={shop: Level.MAJOR})
    assert list(written()) == ["ops@acme.example"]
    assert "Shop front (major outage)" in written()["ops@acme.example"][0]


def test_an_address_gets_one_letter_whoever_it_speaks_for() -> None:
    """A contact of two customers, once spelled in capitals; a contact who subscribed gets the news as well."""
    api, shop = scene.component("API"), scene.component("Shop")
    customer("ACME", api, contacts=("msp@agency.example",))
    customer("Bits", shop, contacts=("MSP@agency.example",))
    scene.subscriber("msp@agency.example")
    declared()
    [(address, paragraphs)] = written().items()
    assert address == "msp@agency.example"
    assert "API (major outage) and Shop (degraded performance)" in paragraphs[0]
    assert Announcement.objects.filter(kind=Kind.INCIDENT).count() == 1


def test_suppressed_addresses_are_left_out() -> None:
    api = scene.component("API")
    customer("ACME", api, contacts=("cto", "ops"))
    customer("Bits", api)
    customer("Calm", api, contacts=())
    for address in ("OPS@acme.example", "ops@bits.example"):
        suppression.add("email", address, Silence.COMPLAINED, at=NIGHT)
    found = letters.mailing([api])
    assert (found.count, found.customers, found.left_out, found.silent) == (1, ("ACME",), 2, ("Calm",))
    declared()
    assert list(written()) == ["cto@acme.example"]


def test_nobody_is_written_to_when_nobody_uses_it() -> None:
    incident = declared()
    assert written() == {}
    assert not incident.timeline.filter(verb=Verb.WROTE).exists()


def test_finding_them_costs_the_same_however_many(django_assert_num_queries: Any) -> None:
    api = Component.objects.select_related("topic", "group__topic").get(pk=scene.component("API").pk)
    for n in range(3):
        customer(f"C{n}", api, contacts=("cto", "ops"))
    with django_assert_num_queries(3):
        assert letters.mailing([api]).count == 6
    with django_assert_num_queries(0):
        assert letters.mailing([]).count == 0


def test_writing_them_costs_the_same_however_many() -> None:
    api = scene.component("API")
    level_ = scene.severity("P0", 1, grid=DIRECT)

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            declared(severity=level_, levels={api: Level.MAJOR})
        return len(asked)

    customer("ACME", api)
    cost()
    few = cost()
    for n in range(15):
        customer(f"C{n}", api, contacts=("cto", "ops"))
    assert cost() == few


# --- when --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "letter", "channels", "sent"),
    [
        (Setting.ON, None, None, True),
        (Setting.ON, "", None, False),
        (Setting.ON, None, (), False),
        (Setting.ASK, None, None, False),
        (Setting.ASK, "It is {{impact}}.", None, True),
        (Setting.OFF, None, None, False),
        (Setting.OFF, "It is {{impact}}.", (), True),
    ],
)
def test_the_policy_decides_unless_a_person_does(
    setting: Setting, letter: str | None, channels: Any, sent: bool
) -> None:
    customer("ACME", scene.component("API"))
    severity = scene.severity("P0", 1, grid={letters.grid.LETTERS: setting})
    declared(severity=severity, letter=letter, channels=channels)
    assert bool(written()) is sent


def test_r804_whoever_was_written_to_reads_how_it_ends() -> None:
    """A milder level asks for none; what is said quietly is not written."""
    api = scene.component("API")
    customer("ACME", api)
    incident = declared()
    calm = scene.severity("P3", 3, mail=None)
    lifecycle.change_severity(incident, calm, reason="Calmer.", by=None, at=NOW)
    still = {api: Level.OPERATIONAL}
    lifecycle.post_update(incident, scene.draft("A detail."), levels=still, by=None, at=NOW, channels=())
    assert Announcement.objects.filter(kind=Kind.DIRECT).count() == 1
    lifecycle.post_update(incident, scene.draft("Found it."), levels=still, by=None, at=NOW, channels=["email"])
    assert written()["ops@acme.example"][:2] == [
        "We write to you directly because API is not answering concerns what you use: API (operational).",
        "Found it.",
    ]
    lifecycle.resolve(incident, body="Fixed.", by=None, at=NOW, channels=())
    last = Announcement.objects.filter(kind=Kind.DIRECT).latest("pk")
    assert (last.is_over, last.subject, last.seq) == (True, "[Northwind] Resolved: API is not answering", 3)
    # The two older ones had not left yet.
    fates = Delivery.objects.filter(announcement__kind=Kind.DIRECT).order_by("pk").values_list("fate", flat=True)
    assert list(fates) == [Fate.SUPPRESSED, Fate.SUPPRESSED, Fate.PENDING]


def test_the_end_says_what_was_hurt_and_a_false_alarm_is_told_too() -> None:
    api = scene.component("API")
    customer("ACME", api)
    incident = declared(levels={api: Level.MAJOR})
    lifecycle.resolve(incident, body="All is well.", by=None, at=NOW)
    assert written()["ops@acme.example"][:2] == [
        "We write to you directly because API is not answering concerns what you use: API (major outage).",
        "All is well.",
    ]
    incident = declared(levels={api: Level.MAJOR})
    lifecycle.mark_false_alarm(incident, body="Nothing was wrong.", by=None, at=NOW)
    # It never was: a letter that says so names no outage.
    assert written()["ops@acme.example"][:3] == [
        "We wrote to you about API is not answering.",
        "Nothing was wrong.",
        "What you use of it stands like this now: API (operational).",
    ]


def test_reopening_writes_again() -> None:
    api = scene.component("API")
    customer("ACME", api)
    incident = declared()
    lifecycle.resolve(incident, body="Fixed.", by=None, at=NOW)
    lifecycle.reopen(incident, scene.draft("It is back."), levels={api: Level.PARTIAL}, by=None, at=NOW)
    assert written()["ops@acme.example"][:2] == [
        "We write to you directly because API is not answering concerns what you use: API (partial outage).",
        "It is back.",
    ]


# --- what is kept ------------------------------------------------------------------------


def test_the_timeline_says_to_whom_and_the_public_book_does_not() -> None:
    api = scene.component("API")
    customer("Bits", api)
    customer("ACME", api, contacts=("cto", "ops"))
    incident = declared(by=scene.operator("ben"))
    entry = incident.timeline.get(verb=Verb.WROTE)
    assert (entry.by, entry.facts) == (scene.operator("ben"), {"letters": 3, "customers": ["ACME", "Bits"]})
    assert chronicle.changes(entry) == ["3 to ACME, Bits"]
    assert incident.notice is not None
    assert "ACME" not in str(list(incident.notice.updates.values()))


def test_the_delivery_log_finds_them_by_customer_and_by_incident() -> None:
    """ "Did ACME get it?" """
    api = scene.component("API")
    customer("ACME", api, contacts=("cto", "ops"))
    customer("Bits", api)
    incident = declared()
    for asked in ("customer: acme", f"{incident.reference} acme"):
        rows = Delivery.objects.filter(lookup.search(asked).rows)
        assert set(rows.values_list("address", flat=True)) == {"cto@acme.example", "ops@acme.example"}
    about = Delivery.objects.filter(lookup.search(incident.reference).rows).exclude(address="")
    assert about.count() == 3


def test_r111_a_letter_that_may_not_go_out_stops_the_act() -> None:
    customer("ACME", scene.component("API"))
    Brand.objects.create(
        slug="globex", name="Globex", sender_name="G", sender_email="g@g.example", support_email="g@g.example"
    )
    with pytest.raises(Unsendable, match="It names another brand: Globex"):
        declared(letter="As Globex told you: {{impact}}.")


def test_own_words_that_do_not_say_what_it_means_are_given_a_line_that_does() -> None:
    said = letters.letter("Dear all,\n\nwe are **on it**.", {scene.component("API"): Level.MAJOR}, title="API is down")
    assert said.paragraphs == ("Dear all,", "we are on it.", "Of what you use, this concerns: API (major outage).")


def test_a_customer_that_reaches_us_by_a_page_reads_its_address_too() -> None:
    brand = scene.brand()
    brand.support_url = "https://help.northwind.example/"
    assert letters.support(brand) == "support@northwind.example or https://help.northwind.example/"


# --- at the console ----------------------------------------------------------------------


@pytest.fixture
def at_desk(ann: Client) -> Client:
    """A level whose policy writes letters, in its own words; two customers."""
    severity = scene.severity("P0", 1, grid=DIRECT)
    UpdateTemplate.objects.create(
        policy=severity.version.policy,
        phase=Phase.INVESTIGATING,
        name="Looking",
        body="We look into **{{issue}}**.",
        letter="You use {{impact}}. What we see: {{description}}\n\n{{update}}\n\nAsk {{support}}.",
    )
    api, shop = scene.component("API"), scene.component("Shop")
    customer("ACME", api, contacts=("cto", "ops"))
    customer("Bits", api, shop)
    return ann


def typed(client: Client, **changes: Any) -> dict[str, Any]:
    api = scene.component("API")
    start = {"title": "API is down", "blank_description": "Calls time out.", f"levels-{api.pk}": Level.MAJOR.value}
    return desk.opened(client, ADD, **(start | changes))


def test_the_form_shows_how_the_letter_reads_and_to_whom_it_goes(at_desk: Client) -> None:
    shop = scene.component("Shop")
    shown = at_desk.post(LOOK, typed(at_desk, **{f"levels-{shop.pk}": Level.PARTIAL.value})).context["preview"]
    line = next(line for line in shown.lines if line.way.key == "email:enterprise")
    assert (line.setting, line.ticked, line.reaches) == (Setting.ON, True, "3 people at 2 customers")
    assert (shown.count, shown.in_short) == (3, "writes 3 letters")
    assert shown.mailing.customers == ("ACME", "Bits")
    assert "You use API (major outage). What we see: Calls time out." in shown.letter.text
    assert "We look into API is down." in shown.letter.text
    assert "Ask support@northwind.example." in shown.letter.text
    assert shown.letter.subject == "[Northwind] Investigating: API is down"
    page = at_desk.post(ADD, typed(at_desk, _preview="1")).content.decode()
    assert "Goes to ACME, Bits. A contact who subscribed as well gets both." in page


def test_what_was_shown_is_what_is_written(at_desk: Client) -> None:
    answer = at_desk.post(ADD, typed(at_desk))
    assert answer.status_code == 302, desk.mistakes(answer)
    said = [
        "You use API (major outage). What we see: Calls time out.",
        "We look into API is down.",
        "Ask support@northwind.example.",
    ]
    assert written() == {"cto@acme.example": said, "ops@acme.example": said, "ops@bits.example": said}
    news = Announcement.objects.get(kind=Kind.INCIDENT)
    # A letter is no news: subscribers of those customers get theirs as everybody does.
    assert news.channels == ["email"]


def test_own_words_are_written_instead(at_desk: Client) -> None:
    at_desk.post(ADD, typed(at_desk, own_letter="Dear customer, {{impact}} is affected."))
    assert written()["ops@acme.example"] == ["Dear customer, API (major outage) is affected."]


def test_without_the_tick_nothing_is_written_and_nothing_is_asked(at_desk: Client) -> None:
    answer = at_desk.post(ADD, typed(at_desk, wires=["email"], blank_description="", own_letter="{{nonsense}}"))
    assert answer.status_code == 302, desk.mistakes(answer)
    assert written() == {}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"own_letter": ""}, "own_letter", "Say what it means for them, or write no letters."),
        ({"own_letter": "By {{nobody}}."}, "own_letter", "Fill in or remove {{nobody}} before publishing."),
        (
            {"blank_description": ""},
            "blank_description",
            "The words ask for {{description}}. Fill it in here, or remove it from the text.",
        ),
        (
            {"own_letter": "See [this](http://x.example)."},
            "own_letter",
            "Links must start with https:// or mailto:. Please change http://x.example.",
        ),
        ({"own_letter": "a\x07b"}, "own_letter", "Character 2 (U+0007) cannot be shown. Please remove it."),
        ({"own_letter": "x" * 5001}, "own_letter", "Ensure this value has at most 5000 characters (it has 5001)."),
    ],
)
def test_bad_words_of_a_letter_are_answered_at_their_field(
    at_desk: Client, change: dict[str, str], field: str, message: str
) -> None:
    answer = at_desk.post(ADD, typed(at_desk, **change))
    assert desk.mistakes(answer) == {field: [message]}
    assert not Incident.objects.exists()


def test_a_brand_that_does_not_apologise_does_not_in_letters_either(at_desk: Client) -> None:
    Brand.objects.update(apologise=False)
    refused = at_desk.post(ADD, typed(at_desk, own_letter="We are sorry: {{impact}}."))
    assert desk.mistakes(refused) == {
        "own_letter": ["Northwind does not apologise in its messages. Please change “sorry”."]
    }


def test_letters_count_among_those_who_must_be_typed_back(at_desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """F23."""
    monkeypatch.setattr("incidents.forms.telling.MANY", 2)
    refused = at_desk.post(ADD, typed(at_desk))
    assert desk.mistakes(refused) == {"recipients": ["Type 3 here first."]}
    assert at_desk.post(ADD, typed(at_desk, recipients="3")).status_code == 302


def test_an_update_and_the_end_are_written_to_who_was_written_to(at_desk: Client) -> None:
    at_desk.post(ADD, typed(at_desk))
    incident = fresh(Incident.objects.get())
    url = desk.act_on(incident, "update")
    line = next(line for line in at_desk.get(url).context["lines"] if line.way.key == "email:enterprise")
    assert (line.told, line.ticked) == (True, True)
    say(at_desk, incident, "update", body="A detail.", wires=[], quiet="on", blank_description="")
    assert Announcement.objects.filter(kind=Kind.DIRECT).count() == 1
    say(at_desk, incident, "update", body="Found it.", wires=[], own_letter="Now: {{update}} You use {{impact}}.")
    assert written()["ops@bits.example"] == ["Now: Found it. You use API (major outage)."]
    say(at_desk, incident, "resolve", body="Fixed.", wires=[])
    assert written()["ops@bits.example"] == [
        "We write to you directly because API is down concerns what you use: API (major outage).",
        "Fixed.",
        "You can reach us at support@northwind.example.",
    ]


def test_a_double_click_writes_once(at_desk: Client) -> None:
    """F11: once per contact and update."""
    data = typed(at_desk)
    at_desk.post(ADD, data)
    at_desk.post(ADD, data)
    assert Delivery.objects.filter(announcement__kind=Kind.DIRECT).count() == 3


def test_the_screen_shows_how_far_the_letters_have_got(at_desk: Client) -> None:
    """R-804: two groups of customers read two letters; together they are one line, and it asks again by itself."""
    shop = scene.component("Shop")
    at_desk.post(ADD, typed(at_desk, **{f"levels-{shop.pk}": Level.PARTIAL.value}))
    incident = Incident.objects.get()
    assert Announcement.objects.filter(kind=Kind.DIRECT).count() == 2
    again = f"/admin/incidents/incident/{incident.pk}/messages/"
    for url in (desk.screen_of(incident), again):
        page = at_desk.get(url)
        assert [(share.group, share.count) for share in page.context["letters"].whole.present] == [("waiting", 3)]
        assert page.context["pace"] == 2
        assert "Letters to customers" in page.content.decode()
    Delivery.objects.filter(announcement__kind=Kind.DIRECT).update(fate=Fate.ACCEPTED)
    Announcement.objects.update(expanded_at=NOW)
    rested = at_desk.get(again)
    assert (rested.status_code, rested.context["letters"].whole.total) == (286, 3)
    with time_machine.travel(NOW + minutes(1), tick=False):
        answer = say(at_desk, fresh(incident), "update", body="Found it.", blank_description="Calls time out.")
    assert answer.status_code == 302, desk.mistakes(answer)
    assert [(share.group, share.count) for share in at_desk.get(again).context["letters"].whole.present] == [
        ("waiting", 3)
    ], "those of the newest update"


# --- corrections -------------------------------------------------------------------------


def correcting(client: Client, incident: Incident, **changes: Any) -> tuple[str, dict[str, Any]]:
    """The page that corrects the first update, and what a browser sends of it when it is told to others."""
    assert incident.notice is not None
    first = incident.notice.updates.order_by("seq").first()
    assert first is not None
    url = desk.correct(incident, first.public_id)
    opened = desk.opened(client, url, body="Only some calls time out.") | changes
    del opened["quiet"]
    return url, opened


def test_whoever_was_written_to_reads_the_correction(at_desk: Client) -> None:
    """R-803, R-804: the wrong words stood in a letter. The form shows the better one, and to how many it goes."""
    at_desk.post(ADD, typed(at_desk))
    incident = fresh(Incident.objects.get())
    url, opened = correcting(at_desk, incident)
    shown = at_desk.post(url + "preview/", opened).context["preview"]
    line = next(line for line in shown.lines if line.way.key == "email:enterprise")
    assert (line.told, line.ticked, line.reaches) == (True, True, "3 people at 2 customers")
    assert (shown.count, shown.in_short) == (3, "writes 3 letters")
    assert shown.letter.subject == "[Northwind] Correction: API is down"

    assert at_desk.post(url, opened).status_code == 302
    better = Announcement.objects.filter(kind=Kind.DIRECT).latest("pk")
    assert better.subject == shown.letter.subject
    assert better.content["paragraphs"] == [
        "We wrote to you about API is down and have corrected what we said. It now reads:",
        "Only some calls time out.",
        "What you use of it stands like this now: API (major outage).",
        "You can reach us at support@northwind.example.",
    ]
    assert "\n\n".join(better.content["paragraphs"]) in shown.letter.text
    assert desk.last(incident).verb == Verb.WROTE


def test_a_correction_that_only_the_page_shows_is_written_to_nobody(at_desk: Client) -> None:
    at_desk.post(ADD, typed(at_desk))
    incident = fresh(Incident.objects.get())
    say(at_desk, incident, "resolve", body="Fixed.")
    count = Announcement.objects.filter(kind=Kind.DIRECT).count()
    url, opened = correcting(at_desk, incident, quiet="on")
    at_desk.post(url, opened | {"quiet": "on"})
    assert Announcement.objects.filter(kind=Kind.DIRECT).count() == count


def test_who_was_not_written_to_is_not_told_that_it_was_wrong(ann: Client) -> None:
    scene.severity("P0", 1, grid={"email": Setting.ON})
    api = scene.component("API")
    customer("ACME", api)
    scene.subscriber("reader@example.com")
    ann.post(ADD, typed(ann, body="We look.", blank_description=""))
    incident = fresh(Incident.objects.get())
    url, opened = correcting(ann, incident)
    assert "email:enterprise" not in {line.way.key for line in ann.get(url).context["lines"]}
    ann.post(url, opened | {"wires": ["email", "email:enterprise"]})
    assert written() == {}


def test_a_correction_of_older_words_does_not_overtake_how_it_ended(at_desk: Client) -> None:
    """R-804: nobody misses the end because a detail of the beginning was put right."""
    at_desk.post(ADD, typed(at_desk))
    incident = fresh(Incident.objects.get())
    say(at_desk, incident, "resolve", body="Fixed.")
    url, opened = correcting(at_desk, fresh(incident))
    assert at_desk.post(url, opened).status_code == 302
    waiting = Delivery.objects.filter(announcement__kind=Kind.DIRECT, fate=Fate.PENDING, address="ops@bits.example")
    ends = [row.announcement.content["paragraphs"][1] for row in waiting.order_by("pk")]
    assert ends == ["Fixed.", "Only some calls time out."]


def test_a_correction_of_the_newest_words_overtakes_the_wrong_ones(at_desk: Client) -> None:
    at_desk.post(ADD, typed(at_desk))
    url, opened = correcting(at_desk, fresh(Incident.objects.get()))
    at_desk.post(url, opened)
    assert dict(Delivery.objects.filter(address="ops@bits.example").values_list("announcement__subject", "fate")) == {
        "[Northwind] Investigating: API is down": Fate.SUPPRESSED,
        "[Northwind] Correction: API is down": Fate.PENDING,
    }


# --- the playbooks -----------------------------------------------------------------------


@pytest.mark.usefixtures("presets")
def test_the_playbook_with_a_handbook_has_words_for_every_phase() -> None:
    """B says what happened, what it means, what is done, what comes next, and whom to reach."""
    policy = level("enterprise-sla", "P0").version.policy
    for template in policy.templates.filter(translates=None):
        asked = letters.find_placeholders(template.letter)
        assert {"impact", "support"} <= asked
        assert bool({"next_update"} & asked) is (template.phase != Phase.RESOLVED)
    others = UpdateTemplate.objects.exclude(policy=policy)
    assert set(others.values_list("letter", flat=True)) == {""}
