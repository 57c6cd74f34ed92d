"""The console's screens of the policies: read, ask before acting, complain at the field (R-101, R-102, R-108)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from incidents import policies
from incidents.enums import Standing
from incidents.models import Policy, PolicyVersion, Severity, UpdateTemplate
from tests.scene import NIGHT

#: Forms and what they draw: what they write is asked of both databases elsewhere.
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def presets() -> None:
    policies.load_presets(at=NIGHT)


@pytest.fixture
def draft(presets: None) -> PolicyVersion:
    return policies.revise(of("consumer-app"), by=None, at=NIGHT)


def of(slug: str) -> Policy:
    return Policy.objects.get(slug=slug)


def address(name: str, *args: object) -> str:
    return reverse(f"admin:incidents_{name}", args=args)


def as_filled(response: Any) -> dict[str, Any]:
    """What the browser would send back from this form, untouched."""
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    forms = [response.context["adminform"].form]
    for formset in formsets:
        forms += [formset.management_form, *formset.forms]
    sent = {}
    for form in forms:
        for field in form:
            value = field.value()
            if value is not None and value is not False and value != "":
                sent[field.html_name] = value
    return sent


def save(client: Client, url: str, **changes: Any) -> Any:
    """Open a form, change some fields (``__`` stands for ``-``), press Save."""
    sent = as_filled(client.get(url)) | {name.replace("__", "-"): value for name, value in changes.items()}
    return client.post(url, {name: value for name, value in sent.items() if value is not None} | {"_save": "Save"})


def complaints(response: Any) -> dict[str, list[str]]:
    """Errors by field, of the form and of its lines."""
    assert response.status_code == 200, "It was saved."
    form = response.context["adminform"].form
    found = {name: list(errors) for name, errors in form.errors.items()}
    for inline in response.context["inline_admin_formsets"]:
        for line in inline.formset.forms:
            found |= {f"{line.prefix}-{name}": list(errors) for name, errors in line.errors.items()}
        if inline.formset.non_form_errors():
            found[inline.formset.prefix] = list(inline.formset.non_form_errors())
    return found


def messages(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def reader() -> Client:
    """Somebody who may look at policies and nothing else."""
    user = User.objects.create_user("reader", is_staff=True)
    names = ["view_policy", "view_policyversion", "view_severity", "view_duty", "view_updatetemplate"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def test_r101_presets_are_loaded_from_the_console_after_asking(admin_client: Client) -> None:
    asked = admin_client.get(address("policy_load_presets"))
    assert asked.status_code == 200
    assert Policy.objects.count() == 0
    told = admin_client.post(address("policy_load_presets"), follow=True)
    assert messages(told) == [
        "Loaded: Public status page, Enterprise SLA, Consumer app, Startup SEV, Platform SEV.",
    ]
    assert messages(admin_client.post(address("policy_load_presets"), follow=True)) == [
        "All presets are there already."
    ]


@pytest.mark.usefixtures("presets")
def test_the_list_says_what_is_in_force_and_what_waits(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    policies.revise(of("startup-sev"), by=None, at=NIGHT)
    with django_assert_max_num_queries(9):
        page = admin_client.get(address("policy_changelist"))
    rows = [
        (row.name, page.context["cl"].model_admin.shown_in_force(row), row.open_points)
        for row in page.context["cl"].result_list
    ]
    assert rows == [
        ("Consumer app", "v1 since 2026-11-20", 3),
        ("Enterprise SLA", "v1 since 2026-11-20", 3),
        ("Platform SEV", "v1 since 2026-11-20", 5),
        ("Public status page", "v1 since 2026-11-20", 4),
        ("Startup SEV", "v1 since 2026-11-20", 1),
    ]
    drafts = PolicyVersion.objects.get(standing=Standing.DRAFT)
    assert f'href="{address("policyversion_change", drafts.pk)}">v2</a>' in page.content.decode()


@pytest.mark.usefixtures("presets")
def test_r101_the_page_of_a_policy_reads_like_the_table(admin_client: Client) -> None:
    page = admin_client.get(address("policy_change", of("enterprise-sla").pk))
    shown = page.context["overview"]
    assert [(str(line.severity), *line.cells[:7]) for line in shown.lines] == [
        (
            "P0 Critical",
            "15 min",
            "with the acknowledgement",
            "30 min",
            "—",
            "4 h",
            "report ≤ 5 business days, always",
            "—",
        ),
        ("P1 High", "1 h", "—", "1 h", "—", "8 h", "report ≤ 5 business days, always", "—"),
        ("P2 Medium", "4 h", "—", "—", "—", "24 h", "—", "—"),
        ("P3 Low", "24 h", "—", "—", "—", "7 days", "—", "—"),
    ]
    text = page.content.decode()
    for line in shown.lines:
        for column, cell in line.labelled:
            assert f'<td data-label="{column}"' in text
            assert f">{cell}</td>" in text
    assert shown.hours == "Mon–Fri 09:00–17:00 UTC, no public holidays"


@pytest.mark.usefixtures("presets")
def test_r108_the_owner_confirms_a_point_with_one_press(admin_client: Client, admin_user: User) -> None:
    policy = of("startup-sev")
    point = policy.versions.get().contradictions.get()
    url = address("policy_confirm", policy.pk, point.pk)
    page = admin_client.get(address("policy_change", policy.pk))
    assert f'action="{url}"' in page.content.decode()
    assert admin_client.get(url).status_code == 403
    told = admin_client.post(url, follow=True)
    assert messages(told) == ["Confirmed: Who responds to a SEV3 within the hour."]
    point.refresh_from_db()
    assert point.confirmed_by == admin_user
    assert f'action="{url}"' not in told.content.decode()


@pytest.mark.usefixtures("presets")
def test_r102_a_new_version_is_started_after_asking_and_only_once(admin_client: Client) -> None:
    policy = of("consumer-app")
    assert admin_client.get(address("policy_revise", policy.pk)).status_code == 200
    assert policy.versions.count() == 1
    first = admin_client.post(address("policy_revise", policy.pk))
    second = admin_client.post(address("policy_revise", policy.pk))
    draft = policy.versions.get(standing=Standing.DRAFT)
    assert first.url == second.url == address("policyversion_change", draft.pk)


def test_r102_putting_in_force_shows_the_differences_and_acts_on_post_only(
    admin_client: Client, admin_user: User, draft: PolicyVersion
) -> None:
    draft.severities.get(code="P0").duties.filter(kind="respond").update(amount=10)
    url = address("policyversion_put_in_force", draft.pk)
    asked = admin_client.get(url)
    assert asked.context["changes"] == [("P0", "Respond within", "15 min", "10 min")]
    draft.refresh_from_db()
    assert draft.standing == Standing.DRAFT
    told = admin_client.post(url, follow=True)
    assert messages(told) == ["Consumer app v2 is in force."]
    draft.refresh_from_db()
    assert (draft.standing, draft.in_force_by) == (Standing.IN_FORCE, admin_user)


def test_a_draft_with_flaws_says_so_and_stays_a_draft(admin_client: Client, draft: PolicyVersion) -> None:
    Severity.objects.filter(version=draft, code="P1").update(rank=1)
    url = address("policyversion_put_in_force", draft.pk)
    assert admin_client.get(url).context["flaws"] == ["Rank 1 is given to 2 severities."]
    assert messages(admin_client.post(url, follow=True)) == [
        "Consumer app v2 cannot be put in force. Rank 1 is given to 2 severities."
    ]
    draft.refresh_from_db()
    assert draft.standing == Standing.DRAFT


def test_r101_a_draft_is_edited_on_its_own_form(admin_client: Client, draft: PolicyVersion) -> None:
    saved = save(
        admin_client,
        address("policyversion_change", draft.pk),
        remark="Fridays are free.",
        work_days=["0", "1", "2", "3"],
        work_zone="Europe/Berlin",
        holiday_country="de",
        severities__0__label="Emergency",
        severities__0__aliases="Fire, all hands",
        support_targets__TOTAL_FORMS="1",
        support_targets__0__priority="Urgent",
        support_targets__0__amount="2",
        support_targets__0__unit="hours",
        support_targets__0__position="0",
    )
    assert saved.status_code == 302, complaints(saved)
    draft.refresh_from_db()
    assert (draft.work_days, draft.work_zone, draft.holiday_country) == ("0,1,2,3", "Europe/Berlin", "DE")
    worst = draft.severities.get(code="P0")
    assert (worst.label, worst.aliases, worst.duties.count()) == ("Emergency", ["Fire", "all hands"], 9)
    assert str(draft.support_targets.get()) == "Urgent: 2 hours"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"work_zone": "Europe/Atlantis"},
            {"work_zone": ["“Europe/Atlantis” is not a time zone. Write it like Europe/Berlin or UTC."]},
        ),
        (
            {"holiday_country": "xx"},
            {"holiday_country": ["No public holidays are known for “XX”. Use a code like DE, FR or US."]},
        ),
        (
            {"work_end": "08:00"},
            {"work_end": ["Working hours end after they start, on the same day."]},
        ),
        ({"work_days": None}, {"work_days": ["This field is required."]}),
        ({"remark": "Why\x07"}, {"remark": ["Character 4 (U+0007) cannot be shown. Please remove it."]}),
        (
            {"severities__1__code": "p-0"},
            {"severities-1-code": ["“p0” already means P0."]},
        ),
        (
            {"severities__1__aliases": "Emergency, CRITICAL"},
            {"severities-1-aliases": ["“critical” already means P0."]},
        ),
        (
            {"severities__1__code": "7"},
            {"severities-1-code": ["A bare number means a rank. Add a letter, like P1."]},
        ),
        ({"severities__1__rank": "1"}, {"severities-1-rank": ["P0 has rank 1 already."]}),
        (
            {"severities__1__rank": "5"},
            {"severities-1-rank": ["Ensure this value is less than or equal to 4."]},
        ),
        (
            {"severities__0__label": "x" * 41},
            {"severities-0-label": ["Ensure this value has at most 40 characters (it has 41)."]},
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_bad_input_on_a_draft_is_named_at_its_field_and_nothing_typed_is_lost(
    admin_client: Client, draft: PolicyVersion, changes: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    answer = save(admin_client, address("policyversion_change", draft.pk), severities__2__label="Kept", **changes)
    assert complaints(answer) == expected
    assert 'value="Kept"' in answer.content.decode()
    assert draft.severities.get(code="P2").label == "Medium"


def test_a_code_given_twice_is_refused(admin_client: Client, draft: PolicyVersion) -> None:
    answer = save(admin_client, address("policyversion_change", draft.pk), severities__1__code="P0")
    assert complaints(answer) == {"severities-1-code": ["“p0” already means P0."]}


def test_codes_that_change_places_need_two_steps(admin_client: Client, draft: PolicyVersion) -> None:
    url = address("policyversion_change", draft.pk)
    answer = save(admin_client, url, severities__0__code="P1", severities__1__code="P0", remark="Swap.")
    assert complaints(answer) == {
        f"severities-{line}-code": [f"“{code}” is another severity's until this is saved. Take it in a second step."]
        for line, code in enumerate(("P1", "P0"))
    }


def test_rows_that_change_places_are_refused_in_words(admin_client: Client, draft: PolicyVersion) -> None:
    """The form cannot see every trade; the database can, and the person is told."""
    url = address("severity_change", draft.severities.get(code="P0").pk)
    answer = save(admin_client, url, duties__0__kind="resolve", duties__4__kind="respond", label="Swap")
    assert messages(admin_client.get(answer.url)) == [
        "Nothing was saved: two rows would have met on the way. Swap them in two steps."
    ]
    assert draft.severities.get(code="P0").label == "Critical"


def test_r107_a_duty_is_edited_behind_its_level(admin_client: Client, draft: PolicyVersion) -> None:
    level = draft.severities.get(code="P0")
    saved = save(
        admin_client,
        address("severity_change", level.pk),
        duties__0__amount="10",
        duties__0__limit="20",
        banner="on",
    )
    assert saved.status_code == 302, complaints(saved)
    assert saved.url == address("policyversion_change", draft.pk)
    duty = level.duties.get(kind="respond")
    assert (duty.amount, duty.limit) == (10, 20)
    level.refresh_from_db()
    assert level.banner is True


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"duties__0__amount": "15", "duties__0__limit": "10"},
            {"duties-0-limit": ["The hard limit comes at or after the target."]},
        ),
        (
            {"duties__0__amount": None, "duties__0__limit": "10"},
            {"duties-0-limit": ["The hard limit comes at or after the target."]},
        ),
        (
            {"duties__0__amount": "400", "duties__0__unit": "days"},
            {"duties-0-amount": ["At most 366 days: one year."]},
        ),
        (
            {"duties__0__amount": "-1"},
            {"duties-0-amount": ["Ensure this value is greater than or equal to 0."]},
        ),
        (
            {"duties__1__kind": "respond"},
            {
                "duties-1-__all__": ["Please correct the duplicate values below."],
                "duties": ["Please correct the duplicate data for kind and condition, which must be unique."],
            },
        ),
        ({"aliases": "p 1"}, {"aliases": ["“p1” already means P1 High."]}),
        ({"code": "P2"}, {"code": ["“p2” already means P2 Medium."]}),
        ({"rank": "2"}, {"rank": ["Another severity has rank 2."]}),
        ({"meaning": ""}, {"meaning": ["This field is required."]}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_bad_input_on_a_level_is_named_at_its_field(
    admin_client: Client, draft: PolicyVersion, changes: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    level = draft.severities.get(code="P0")
    answer = save(admin_client, address("severity_change", level.pk), **changes)
    assert complaints(answer) == expected
    level.refresh_from_db()
    assert (level.code, level.rank, level.duties.get(kind="respond").amount) == ("P0", 1, 15)


@pytest.mark.usefixtures("presets")
def test_r102_what_is_in_force_is_read_only_in_the_console(admin_client: Client) -> None:
    version = of("public-status").versions.get()
    level = version.severities.get(code="major")
    for name, pk in (("policyversion_change", version.pk), ("severity_change", level.pk)):
        page = admin_client.get(address(name, pk))
        assert page.status_code == 200
        assert page.context["has_change_permission"] is False
        assert 'name="_save"' not in page.content.decode()
        assert admin_client.post(address(name, pk), {"code": "x", "_save": "Save"}).status_code == 403
    for name, pk in (("policyversion_delete", version.pk), ("severity_delete", level.pk)):
        assert admin_client.post(address(name, pk), {"post": "yes"}).status_code == 403
    assert admin_client.post(address("policy_delete", of("public-status").pk), {"post": "yes"}).status_code == 403


def test_a_form_opened_on_a_draft_cannot_be_saved_once_it_is_in_force(
    admin_client: Client, draft: PolicyVersion
) -> None:
    url = address("severity_change", draft.severities.get(code="P0").pk)
    sent = as_filled(admin_client.get(url)) | {"label": "Late", "_save": "Save"}
    policies.put_in_force(draft, by=None, at=NIGHT)
    assert admin_client.post(url, sent).status_code == 403
    assert draft.severities.get(code="P0").label == "Critical"


def test_a_draft_can_be_discarded(admin_client: Client, draft: PolicyVersion) -> None:
    told = admin_client.post(address("policyversion_delete", draft.pk), {"post": "yes"}, follow=True)
    assert messages(told) == ["The draft Consumer app v2 is discarded."]
    assert of("consumer-app").versions.count() == 1


@pytest.mark.usefixtures("presets")
def test_offering_another_policy_first_makes_the_old_one_step_back(admin_client: Client) -> None:
    b = of("enterprise-sla")
    assert save(admin_client, address("policy_change", b.pk), is_default="on").status_code == 302
    assert list(Policy.objects.filter(is_default=True)) == [b]
    assert of("public-status").history.count() == 2
    answer = save(admin_client, address("policy_change", b.pk), is_default=None)
    assert complaints(answer) == {
        "is_default": ["One policy is offered first. Choose another one instead, and this one steps back."]
    }


def test_a_policy_of_ones_own_is_added_empty(admin_client: Client) -> None:
    sent = {"name": "Ours", "slug": "ours", "summary": "", "_save": "Save"}
    told = admin_client.post(address("policy_add"), sent, follow=True)
    assert messages(told) == ["Ours is there, empty. Start its first version."]
    assert told.context["overview"] is None
    answer = admin_client.post(address("policy_add"), sent | {"slug": "other", "is_default": "on"})
    assert complaints(answer) == {"is_default": ["A policy can be offered once a version is in force."]}


@pytest.mark.usefixtures("presets")
@pytest.mark.parametrize("field", ["title", "body", "sms"])
def test_r206_an_unknown_placeholder_is_named_at_its_field(admin_client: Client, field: str) -> None:
    template = UpdateTemplate.objects.get(policy__slug="startup-sev", phase="investigating", language="en")
    answer = save(admin_client, address("updatetemplate_change", template.pk), **{field: "About {{ isue }}."})
    assert [words.split(".")[0] for words in complaints(answer)[field]] == ["Nothing fills {{isue}}"]


@pytest.mark.usefixtures("presets")
def test_a_link_that_would_lose_its_target_is_refused_in_a_template(admin_client: Client) -> None:
    template = UpdateTemplate.objects.get(policy__slug="startup-sev", phase="investigating", language="en")
    answer = save(admin_client, address("updatetemplate_change", template.pk), body="See [docs](http://docs.example).")
    assert complaints(answer) == {
        "body": ["Links must start with https:// or mailto:. Please change http://docs.example."]
    }


@pytest.mark.usefixtures("presets")
def test_r206_words_are_edited_with_a_history(admin_client: Client) -> None:
    template = UpdateTemplate.objects.get(policy__slug="startup-sev", phase="investigating", language="en")
    url = address("updatetemplate_change", template.pk)
    assert save(admin_client, url, body="We know about {{issue}}.").status_code == 302
    template.refresh_from_db()
    assert template.body == "We know about {{issue}}."
    assert template.history.count() == 2
    assert admin_client.get(address("updatetemplate_history", template.pk)).status_code == 200


def test_who_may_only_read_sees_no_buttons_and_is_refused(draft: PolicyVersion) -> None:
    client = reader()
    policy = of("consumer-app")
    page = client.get(address("policy_change", policy.pk))
    assert page.status_code == 200
    assert "/confirm/" not in page.content.decode()
    assert address("policy_revise", policy.pk) not in page.content.decode()
    assert address("policy_load_presets") not in client.get(address("policy_changelist")).content.decode()
    point = policy.versions.get(number=1).contradictions.all()[0]
    for name, *args in (
        ("policy_load_presets",),
        ("policy_revise", policy.pk),
        ("policy_confirm", policy.pk, point.pk),
        ("policyversion_put_in_force", draft.pk),
    ):
        assert client.post(address(name, *args)).status_code == 403, name
    draft.refresh_from_db()
    assert draft.standing == Standing.DRAFT
