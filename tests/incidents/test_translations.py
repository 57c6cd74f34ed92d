"""The same words in another language: whole or not at all, and never older than the original (R-206, R-205)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents.models import Incident, Policy, UpdateTemplate
from notifications.models import Announcement, Brand
from status import reading
from status.enums import Level, Phase
from status.models import NoticeUpdate
from status.page import press
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import ADD, mistakes
from tests.scene import NIGHT, minutes

NOW = NIGHT + minutes(65)
WORDS = "**{{issue}}**: {{description}} Affected: {{impact}}, for {{duration}}. More by {{next_update}}."
GERMAN = "**{{issue}}**: {{description}} Betroffen: {{impact}}, seit {{duration}}. Mehr bis {{next_update}}."
SAID = (
    "**API is down**: Anrufe brechen ab. Betroffen: API (ausgefallen), seit 1 Stunde 5 Minuten. "
    "Mehr bis 04:35 UTC am 20. November 2026."
)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(db: None, client: Client) -> Client:
    """Ann sits at the console of a house whose one template is said in German, too."""
    scene.brand()
    level = scene.severity("P1", 2)
    Policy.objects.filter(pk=level.version.policy_id).update(is_default=True)
    original = UpdateTemplate.objects.create(
        policy=level.version.policy,
        phase=Phase.INVESTIGATING,
        name="Looking",
        body=WORDS,
        sms="{{issue}}: looking",
        chat="Affected: {{impact}}",
    )
    UpdateTemplate.objects.create(
        policy=original.policy,
        phase=original.phase,
        name=original.name,
        language="de",
        translates=original,
        body=GERMAN,
        sms="{{issue}}: wird untersucht",
        chat="Betroffen: {{impact}}",
    )
    desk.sit(client, *desk.ALL)
    return client


def full(client: Client, **typed: Any) -> dict[str, Any]:
    start = {
        "title": "API is down",
        "blank_description": "Calls time out.",
        "started_at": "2026-11-20 03:00",
        "promise": "30",
        f"levels-{scene.component('API').pk}": Level.MAJOR.value,
    }
    return desk.opened(client, ADD, **(start | typed))


def declared(client: Client, **typed: Any) -> NoticeUpdate:
    response = client.post(ADD, full(client, **typed))
    assert response.status_code == 302, desk.mistakes(response)
    return NoticeUpdate.objects.get()


def test_r206_the_same_facts_are_told_in_german(ann: Client) -> None:
    update = declared(ann, blank_description_de="Anrufe brechen ab.")
    assert update.translations == {
        "de": {
            "body": SAID,
            "html": f"<p>{SAID.replace('**API is down**', '<strong>API is down</strong>')}</p>",
            "text": SAID.replace("**", ""),
            "sms": "API is down: wird untersucht",
            "chat": "Betroffen: API (ausgefallen)",
        }
    }
    assert (update.sms, update.chat) == ("API is down: looking", "Affected: API (major outage)")
    told = Announcement.objects.filter(kind="incident").get().content
    assert told["translations"]["de"] == {
        "sms": "API is down: wird untersucht",
        "chat": "Betroffen: API (ausgefallen)",
    }
    assert "Anrufe" not in json.dumps(json.loads(told["hook"])), "webhooks read the original"


def test_r206_a_blank_left_empty_in_german_means_that_german_readers_get_the_original(ann: Client) -> None:
    assert declared(ann).translations == {}


def test_r206_german_that_somebody_began_is_never_half_told(ann: Client) -> None:
    response = ann.post(ADD, full(ann, body_de=GERMAN + " Ursache: {{cause}}", blank_description_de="Anrufe."))
    assert desk.mistakes(response) == {
        "blank_cause_de": ["The words ask for {{cause}}. Fill it in here, or remove it from the text."]
    }
    assert Incident.objects.count() == 0


def test_r206_an_edited_original_takes_the_templates_german_with_it(ann: Client) -> None:
    """What nobody compared with the new original is not told; a tick says that it still fits."""
    edited = WORDS + " Logins work."
    assert declared(ann, body=edited).translations == {}


def test_r206_german_typed_beside_an_edited_original_asks_to_be_checked(ann: Client) -> None:
    edited = WORDS + " Logins work."
    data = full(ann, body=edited, blank_description_de="Anrufe brechen ab.")
    assert desk.mistakes(ann.post(ADD, data)) == {
        "checked_de": ["The original was changed. Tick that these words still fit it, or change or empty them."]
    }
    assert ann.post(ADD, data | {"checked_de": "on"}).status_code == 302
    assert NoticeUpdate.objects.get().translations["de"]["body"] == SAID


def test_r206_words_of_ones_own_are_told_beside_any_original(ann: Client) -> None:
    update = declared(ann, body="Down.", body_de="Ausgefallen.", sms="", sms_de="", chat="", chat_de="")
    assert (update.translations["de"]["body"], update.translations["de"]["sms"]) == ("Ausgefallen.", "")
    told = Announcement.objects.filter(kind="incident").get().content
    assert told["translations"]["de"]["sms"].startswith("Wird untersucht: API is down. Ausgefallen. ")


def test_r206_a_short_text_that_was_changed_is_not_told_in_the_old_german(ann: Client) -> None:
    update = declared(ann, sms="API down, use the phone", blank_description_de="Anrufe brechen ab.")
    assert update.translations["de"]["sms"] == ""


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"blank_description_de": "Das tut uns sehr leid."}, "blank_description_de", "tut uns sehr leid"),
        ({"body_de": "Wir bitten um Entschuldigung."}, "body_de", "Entschuldigung"),
        ({"body_de": "Wir bedauern das."}, "body_de", "bedauern"),
        ({"chat": "So sorry."}, "chat", "sorry"),
        ({"sms": "We apologise."}, "sms", "apologise"),
    ],
)
def test_r111_apologies_are_refused_at_their_field_in_both_languages(
    ann: Client, typed: dict[str, str], field: str, message: str
) -> None:
    Brand.objects.update(apologise=False)
    response = ann.post(ADD, full(ann, **typed))
    assert list(desk.mistakes(response)) == [field]
    assert desk.mistakes(response)[field] == [
        f"Northwind does not apologise in its messages. Please change “{message}”."
    ]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("sms", "GrÃ¶ÃŸe"),
        ("chat", "StÃ–rung"),
        ("body_de", "Southwind ist ausgefallen"),
        ("blank_description", "Southwind cannot be reached."),
        ("title", "Southwind is down"),
    ],
)
def test_r111_broken_words_and_another_brand_are_named_at_their_field(ann: Client, field: str, words: str) -> None:
    Brand.objects.create(
        slug="southwind",
        name="Southwind",
        sender_name="Southwind",
        sender_email="status@southwind.example",
        support_email="help@southwind.example",
    )
    response = ann.post(ADD, full(ann, **{field: words}))
    assert list(desk.mistakes(response)) == [field]


@pytest.mark.parametrize(("field", "room"), [("sms", 480), ("chat", 1000), ("chat_de", 1000)])
def test_what_is_too_long_with_everything_filled_in_is_refused_at_its_field(ann: Client, field: str, room: int) -> None:
    data = full(ann, **{field: "x" * (room - 5) + "{{issue}}", "blank_description_de": "Anrufe."})
    response = ann.post(ADD, data)
    assert list(desk.mistakes(response)) == [field]


def test_r206_what_is_declared_gets_its_number_into_the_words(ann: Client) -> None:
    update = declared(ann, body="{{reference}}, {{severity}}: ask {{support}}.", sms="{{reference}} {{brand}}")
    assert (update.body, update.sms) == ("INC-2026-0001, P1: ask support@northwind.example.", "INC-2026-0001 Northwind")


def test_r206_a_brand_speaks_with_its_own_words_in_place_of_the_general_ones(ann: Client) -> None:
    """The same policy, phase and name; others keep the general words."""
    general = UpdateTemplate.objects.get(translates=None)
    own = UpdateTemplate.objects.create(
        policy=general.policy, phase=general.phase, name=general.name, brand=Brand.objects.get(), body="Ours: {{issue}}"
    )
    other = UpdateTemplate.objects.create(policy=general.policy, phase=general.phase, name="Calm", body="Calm.")
    incident = scene.incident(severity=general.policy.versions.get().severities.get(), public=False)
    form = ann.get(desk.act_on(incident, "update")).context["form"]
    assert [template.pk for template in form.templates if template.phase == general.phase] == [own.pk, other.pk]
    form = ann.get(ADD).context["form"]
    assert form["body"].value() == "Ours: {{issue}}"
    assert {offer.template.pk: offer.replaced_for for offer in form.offers} == {
        own.pk: "",
        other.pk: "",
        general.pk: str(own.brand_id),
    }


# --- the public page ---------------------------------------------------------------------


def test_r206_the_page_shows_german_folded_below_the_words(ann: Client) -> None:
    update = declared(ann, blank_description_de="Anrufe brechen ab.")
    page = press.render_notice(update.notice.public_id, NOW).decode()
    assert '<details class="also" lang="de"><summary>Auf Deutsch</summary>' in page
    assert "Anrufe brechen ab." in page


# --- corrections -------------------------------------------------------------------------


@pytest.fixture
def update(ann: Client) -> NoticeUpdate:
    return declared(ann, blank_description_de="Anrufe brechen ab.")


def corrected(client: Client, update: NoticeUpdate, **typed: Any) -> reading.Told:
    url = desk.correct(Incident.objects.get(), update.public_id)
    response = client.post(url, desk.opened(client, url, body="Calls are slow.", **typed))
    assert response.status_code == 302, desk.mistakes(response)
    [told] = reading.told(update.notice.updates.all())
    return told


def test_r205_corrected_words_are_read_in_the_original_rather_than_in_old_german(
    ann: Client, update: NoticeUpdate
) -> None:
    told = corrected(ann, update)
    assert (told.body, told.translations) == ("Calls are slow.", {})
    assert "Anrufe" not in press.render_notice(update.notice.public_id, NOW).decode()


def test_r205_a_correction_may_carry_corrected_german(ann: Client, update: NoticeUpdate) -> None:
    told = corrected(ann, update, body_de="Anrufe sind langsam.", quiet="")
    assert told.translations["de"]["body"] == "Anrufe sind langsam."


def test_r205_a_correction_that_changes_nothing_in_german_says_so(ann: Client, update: NoticeUpdate) -> None:
    assert corrected(ann, update, checked_de="on").translations["de"]["body"] == SAID


def test_r111_a_corrected_translation_is_checked_at_its_field(ann: Client, update: NoticeUpdate) -> None:
    url = desk.correct(Incident.objects.get(), update.public_id)
    response = ann.post(url, desk.opened(ann, url, body="Slow.", body_de="GrÃ¼ÃŸe {{cause}}"))
    assert list(desk.mistakes(response)) == ["body_de"]


# --- the end -----------------------------------------------------------------------------


def test_r206_a_resolution_is_told_in_german_and_to_rooms(ann: Client, update: NoticeUpdate) -> None:
    incident = Incident.objects.get()
    typed = {"body": "Works.", "body_de": "Geht.", "chat": "Up.", "sms": "", "sms_de": "", "chat_de": "Läuft."}
    assert desk.say(ann, incident, "resolve", **typed).status_code == 302
    last = update.notice.updates.latest("seq")
    assert (last.chat, last.translations["de"]["body"], last.translations["de"]["chat"]) == ("Up.", "Geht.", "Läuft.")


def last_german(incident: Incident) -> str:
    notice = Incident.objects.get(pk=incident.pk).notice
    assert notice is not None
    return str(notice.updates.latest("seq").translations.get("de", {}).get("text", "none"))


def test_r206_who_reads_german_hears_in_german_that_it_was_a_false_alarm(ann: Client) -> None:
    incident = scene.incident()
    assert desk.say(ann, incident, "false-alarm").status_code == 302
    assert last_german(incident) == (
        "Das war ein Fehlalarm: Unsere Dienste waren nicht betroffen. Bitte entschuldigen Sie die Verwirrung."
    )


def test_r206_a_false_alarm_in_words_of_ones_own_asks_what_to_say_in_german(ann: Client) -> None:
    incident, other = scene.incident(), scene.incident()
    # Nobody touched the German: its readers get the original, never words that say something else.
    desk.say(ann, incident, "false-alarm", body="A probe was wrong.")
    assert last_german(incident) == "none"
    desk.say(ann, other, "false-alarm", body="A probe was wrong.", body_de="Eine Messung war falsch.")
    assert last_german(other) == "Eine Messung war falsch."


def test_r206_merging_says_in_german_where_it_goes_on(ann: Client) -> None:
    into, double = scene.incident(title="All of the API"), scene.incident()
    desk.say(ann, double, "merge", into=into.reference)
    assert last_german(double) == (
        "Das gehört zu einer größeren Störung. Alles Weitere veröffentlichen wir hier: All of the API."
    )


def test_r111_the_name_of_another_brand_in_the_others_title_is_found_before_it_is_a_link(ann: Client) -> None:
    double = scene.incident()
    into = scene.incident(title="Contoso is down")
    Brand.objects.create(name="Contoso", sender_email="status@contoso.example")
    refused = desk.say(ann, double, "merge", into=into.reference)
    assert refused.status_code == 200
    assert mistakes(refused)["body"] == ["It names another brand: Contoso."]


def test_r1311_a_bracket_in_the_others_title_does_not_break_the_link(ann: Client) -> None:
    into, double = scene.incident(title="API] [is down"), scene.incident()
    desk.say(ann, double, "merge", into=into.reference)
    notice = Incident.objects.get(pk=double.pk).notice
    assert notice is not None
    assert ">API] [is down</a>" in notice.updates.latest("seq").html


def test_r205_the_preview_of_a_correction_says_what_becomes_of_the_german(ann: Client, update: NoticeUpdate) -> None:
    url = desk.correct(Incident.objects.get(), update.public_id)
    data = desk.opened(ann, url, body="Better words.")
    shown = ann.post(f"{url}preview/", data).content.decode()
    assert "Readers of German get the original: the original was changed" in shown
    shown = ann.post(f"{url}preview/", data | {"body_de": "Bessere Worte."}).content.decode()
    assert "Bessere Worte." in shown
    assert "Readers of German" not in shown
