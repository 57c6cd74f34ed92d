"""The channel grid as one editable table for each audience (R-112, R-102)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from incidents import policies
from incidents.enums import Audience, Setting, Wire
from incidents.models import ChannelRule, PolicyVersion
from incidents.policies import PolicyError
from notifications.enums import Channel
from tests import scene
from tests.incidents.playbooks import LATER, level, of, presets
from tests.scene import NIGHT

__all__ = ["presets"]
#: Forms and what they draw: what they write is asked of both databases elsewhere.
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def draft(presets: None) -> PolicyVersion:
    """B's next version: P0 tells by page, mail and banner, asks about social posts, and writes to Enterprise."""
    return policies.revise(of("enterprise-sla"), by=None, at=LATER)


def address(version: PolicyVersion) -> str:
    return reverse("admin:incidents_policyversion_grid", args=[version.pk])


def filled(client: Client, version: PolicyVersion) -> dict[str, str]:
    """The grid as a browser would send it back."""
    form = client.get(address(version)).context["form"]
    return {name: str(form[name].value() or "") for name in form.fields}


def cell(version: PolicyVersion, code: str, wire: str, audience: str = "public") -> str:
    return f"{version.severities.get(code=code).pk}-{wire}-{audience}"


def said(version: PolicyVersion) -> set[tuple[str, str, str, str]]:
    rules = ChannelRule.objects.filter(severity__version=version)
    return set(rules.values_list("severity__code", "wire", "audience", "setting"))


def shown(page: Any) -> dict[str, dict[str, list[str]]]:
    """Each table with its rows, in words."""
    return {
        table.audience.value: {
            row.code: [str(cell.setting.value) if cell.setting != Setting.OFF else "" for cell in cells]
            for row, cells in table.rows
        }
        for table in page.context["form"].tables
    }


def test_r112_rows_are_levels_columns_are_channels_one_table_for_each_audience(
    admin_client: Client, draft: PolicyVersion
) -> None:
    page = admin_client.get(address(draft))
    assert {table.audience.value: table.wires for table in page.context["form"].tables} == {
        "public": ["Status page", "E-mail", "SMS", "WhatsApp", "Webhook", "Chat", "Social post", "In-app banner"],
        "enterprise": ["Letter by e-mail", "SMS", "WhatsApp", "Webhook", "Chat"],
        "staff": ["Chat"],
    }
    assert shown(page) == {
        "public": {
            "P0": ["on", "on", "", "", "", "", "ask", "on"],
            "P1": ["on", "on", "", "", "", "", "ask", ""],
            "P2": [""] * 8,
            "P3": [""] * 8,
        },
        "enterprise": {"P0": ["on", "", "", "on", ""], "P1": ["", "", "", "on", ""], "P2": [""] * 5, "P3": [""] * 5},
        "staff": {code: [""] for code in ("P0", "P1", "P2", "P3")},
    }


def test_r112_one_save_writes_what_changed_and_nothing_else(admin_client: Client, draft: PolicyVersion) -> None:
    before = said(draft)
    untouched = admin_client.post(address(draft), filled(admin_client, draft), follow=True)
    assert [str(message) for message in untouched.context["messages"]] == [
        "Channels of Enterprise SLA v2: Nothing was changed."
    ]
    assert (said(draft), LogEntry.objects.count()) == (before, 0)

    typed = {
        cell(draft, "P0", "sms"): "ask",
        cell(draft, "P0", "social"): "on",
        cell(draft, "P0", "email", "enterprise"): "",
        cell(draft, "P3", "chat", "staff"): "on",
    }
    saved = admin_client.post(address(draft), filled(admin_client, draft) | typed, follow=True)
    assert [str(message) for message in saved.context["messages"]] == [
        "Channels of Enterprise SLA v2: 4 cells changed."
    ]
    assert said(draft) - before == {
        ("P0", "sms", "public", "ask"),
        ("P0", "social", "public", "on"),
        ("P3", "chat", "staff", "on"),
    }
    assert before - said(draft) == {("P0", "social", "public", "ask"), ("P0", "email", "enterprise", "on")}
    assert LogEntry.objects.get().get_change_message() == (
        "P0 SMS → Everybody: ask; P0 Social post → Everybody: on; P0 E-mail → Enterprise customers: off; "
        "P3 Chat → Staff: on"
    )


def test_an_off_that_the_playbook_writes_out_stays_written_out(admin_client: Client, presets: None) -> None:
    draft = policies.revise(of("public-status"), by=None, at=LATER)
    before = said(draft)
    assert ("minor", "sms", "public", "off") in before
    admin_client.post(address(draft), filled(admin_client, draft))
    assert said(draft) == before


@pytest.mark.parametrize("chosen", ["maybe", "off ", "ON", "<b>"])
def test_what_is_no_choice_is_named_at_its_cell_and_nothing_is_saved(
    admin_client: Client, draft: PolicyVersion, chosen: str
) -> None:
    before, name = said(draft), cell(draft, "P1", "sms")
    typed = filled(admin_client, draft) | {name: chosen, cell(draft, "P1", "chat"): "on"}
    page = admin_client.post(address(draft), typed)
    assert dict(page.context["form"].errors) == {name: ["Choose on, ask, or leave it blank."]}
    assert said(draft) == before
    # What else was chosen is still there.
    assert page.context["form"][cell(draft, "P1", "chat")].value() == "on"


def test_r112_nothing_public_for_a_level_that_is_never_public(admin_client: Client, presets: None) -> None:
    draft = policies.revise(of("platform-sev"), by=None, at=LATER)
    name = cell(draft, "SEV-4", "email")
    typed = filled(admin_client, draft) | {name: "ask", cell(draft, "SEV-4", "chat", "staff"): "on"}
    page = admin_client.post(address(draft), typed)
    assert dict(page.context["form"].errors) == {name: ["SEV-4 is not told to the public: never."]}
    assert "1 cell cannot stay like this" in page.content.decode()


@pytest.mark.usefixtures("presets")
def test_r102_a_version_in_force_is_read_and_not_changed(admin_client: Client) -> None:
    version = of("enterprise-sla").versions.get()
    before = said(version)
    page = admin_client.get(address(version))
    assert (page.context["form"].fields, shown(page)["enterprise"]["P0"]) == ({}, ["on", "", "", "on", ""])
    assert "<select" not in page.content.decode()
    assert admin_client.post(address(version), {cell(version, "P0", "sms"): "on"}).status_code == 403
    assert said(version) == before
    with pytest.raises(PolicyError, match="is in force and can no longer be changed"):
        policies.set_channels(version, {(version.severities.get(code="P0").pk, Wire.SMS, Audience.PUBLIC): Setting.ON})


def test_a_draft_that_went_into_force_meanwhile_is_not_changed(admin_client: Client, draft: PolicyVersion) -> None:
    typed = filled(admin_client, draft) | {cell(draft, "P0", "sms"): "on"}
    policies.put_in_force(draft, by=None, at=LATER)
    assert admin_client.post(address(draft), typed).status_code == 403
    assert ("P0", "sms", "public", "on") not in said(draft)


def test_who_may_only_look_sees_a_table(client: Client, draft: PolicyVersion) -> None:
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    assert client.get(address(draft)).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_policyversion"))
    assert "<select" not in client.get(address(draft)).content.decode()
    assert client.post(address(draft), {}).status_code == 403


def test_channels_that_people_chose_and_no_level_tells_are_named(admin_client: Client, draft: PolicyVersion) -> None:
    for n, channel in enumerate((Channel.EMAIL, Channel.WHATSAPP, Channel.WHATSAPP, Channel.WEBHOOK, Channel.CHAT)):
        scene.subscriber(f"{n}", channel=channel, unsubscribed_at=NIGHT if channel == Channel.CHAT else None)
    page = admin_client.get(address(draft))
    assert page.context["form"].unheard == [("WhatsApp", 2, "people")]
    assert "2 people subscribed by WhatsApp, and no level tells them." in page.content.decode()


def test_rooms_that_nobody_tells_are_called_rooms(admin_client: Client, draft: PolicyVersion) -> None:
    scene.subscriber("Slack 1", channel=Channel.CHAT)
    draft.severities.all().delete()
    page = admin_client.get(address(draft)).content.decode()
    assert "1 room subscribed by Chat, and no level tells it." in page


def test_the_grid_costs_the_same_whatever_its_size(
    admin_client: Client, draft: PolicyVersion, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    small = policies.revise(of("public-status"), by=None, at=LATER)
    everything = dict.fromkeys(filled(admin_client, draft), "on")
    for version in (small, draft):
        # Session and user; the version, its levels, their cells; channels that people chose; the side's numbers.
        with django_assert_num_queries(7):
            admin_client.get(address(version))
    levels = {row.pk: row for row in draft.severities.all()}
    cells = {
        (int(pk), Wire(wire), Audience(audience)): Setting(chosen)
        for (pk, wire, audience), chosen in ((name.split("-"), chosen) for name, chosen in everything.items())
    }
    assert len(cells) == len(levels) * 14
    # Five, as nothing is deleted, in a savepoint of this test's transaction.
    with django_assert_num_queries(7):
        policies.set_channels(draft, cells)
    assert len(said(draft)) == len(cells)


def test_what_a_level_says_of_itself_and_its_channels_agree_before_it_holds(
    admin_client: Client, draft: PolicyVersion
) -> None:
    """R-803: one says that Enterprise customers are mailed, the other does it."""
    admin_client.post(
        address(draft),
        filled(admin_client, draft)
        | {cell(draft, "P0", "email", "enterprise"): "", cell(draft, "P1", "banner"): "ask"},
    )
    assert policies.flaws(draft) == [
        "P0: “Enterprise mailed directly” is ticked, but its channels say otherwise.",
        "P1: “In-app banner” is not ticked, but its channels say otherwise.",
    ]
    draft.severities.filter(code="P0").update(direct_enterprise=False)
    draft.severities.filter(code="P1").update(banner=True)
    assert policies.flaws(draft) == []
    assert level("enterprise-sla", "P0").direct_enterprise is True
