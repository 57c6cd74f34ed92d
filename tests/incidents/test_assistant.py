"""The severity assistant: which level the facts mean, by which rule, and where they fall between (R-110)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from incidents import assistant
from incidents.admin import chronicle
from incidents.assistant import Candidate, FactError, Part, Proposal, propose, read, read_all
from incidents.enums import Comparison, Fact
from incidents.models import Incident, Severity
from incidents.policies.loading import PRESETS
from incidents.policies.loading import read as preset
from tests import scene
from tests.incidents import desk
from tests.incidents.playbooks import level, presets

__all__ = ["presets"]


def rungs(slug: str) -> list[Candidate]:
    """The levels of a preset, as its file has them."""
    rows = [row for row in preset(slug)["severities"] if not row.get("is_maintenance")]
    return [
        Candidate(place, row["code"], row["rank"], tuple(tuple(part(words) for words in rule) for rule in rows_of(row)))
        for place, row in enumerate(rows)
    ]


def rows_of(row: dict[str, Any]) -> list[list[str]]:
    return row["criteria"]


def part(words: str) -> Part:
    fact, comparison, value = words.split()
    return Part(Fact(fact), Comparison(comparison), read(Fact(fact), value))


def ask(slug: str, **facts: object) -> Proposal:
    known, errors = read_all(facts)
    assert errors == {}
    return propose(known, rungs(slug))


def named(proposal: Proposal) -> str | None:
    return proposal.level.name if proposal.level else None


# --- the table of requirements.md, section 1, "meant for" ------------------------------------


@pytest.mark.parametrize(
    ("slug", "facts", "expected"),
    [
        ("public-status", {"function": "all", "minutes": 6}, "major"),
        ("public-status", {"data_loss": "partial"}, "major"),
        ("public-status", {"breach": "yes"}, "major"),
        ("public-status", {"share": "50.1"}, "major"),
        ("public-status", {"function": "degraded", "minutes": "4.9", "share": 30}, "minor"),
        ("public-status", {"function": "minor", "minutes": 600, "share": 10}, "minor"),
        ("public-status", {"function": "major", "minutes": 60, "share": "49.999"}, "minor"),
        ("public-status", {"function": "all", "minutes": 3, "share": 100}, "major"),
        ("enterprise-sla", {"function": "all"}, "P0"),
        ("enterprise-sla", {"data_loss": "all"}, "P0"),
        ("enterprise-sla", {"breach": "yes"}, "P0"),
        ("enterprise-sla", {"tenants": "all", "function": "degraded"}, "P0"),
        ("enterprise-sla", {"tenants": "all", "function": "cosmetic"}, "P3"),
        ("enterprise-sla", {"function": "major"}, "P1"),
        ("enterprise-sla", {"tenants": "many", "function": "minor"}, "P1"),
        ("enterprise-sla", {"tenants": "few", "function": "minor"}, "P2"),
        ("consumer-app", {"function": "all"}, "P0"),
        ("consumer-app", {"breach": "yes", "function": "cosmetic"}, "P0"),
        ("consumer-app", {"function": "major"}, "P1"),
        ("consumer-app", {"function": "minor"}, "P2"),
        ("consumer-app", {"function": "cosmetic"}, "P3"),
        ("startup-sev", {"data_loss": "all"}, "SEV1"),
        ("startup-sev", {"function": "critical"}, "SEV2"),
        ("startup-sev", {"function": "minor", "tenants": "few"}, "SEV3"),
        ("startup-sev", {"function": "cosmetic", "workaround": "yes"}, "SEV4"),
        ("platform-sev", {"function": "all"}, "SEV-1"),
        ("platform-sev", {"data_loss": "partial"}, "SEV-1"),
        ("platform-sev", {"function": "critical", "workaround": "yes"}, "SEV-2"),
        ("platform-sev", {"function": "minor", "workaround": "yes"}, "SEV-3"),
        ("platform-sev", {"function": "none"}, "SEV-4"),
    ],
)
def test_r110_each_playbook_proposes_what_it_says_a_level_is_meant_for(
    slug: str, facts: dict[str, object], expected: str
) -> None:
    assert named(ask(slug, **facts)) == expected


def test_r110_the_rule_is_named_and_milder_levels_that_match_too() -> None:
    found = ask("startup-sev", function="minor", workaround="yes")
    assert (named(found), found.rule) == ("SEV3", "what is hit: a function that is not critical or worse")
    assert [one.name for one in found.alternatives] == ["SEV4"]
    # A worse answer is still possible.
    assert found.asked == (Fact.DATA_LOSS, Fact.TENANTS)
    assert (found.gap, found.edge) == ("", "")


def test_r110_degraded_for_40_minutes_for_30_percent_matches_neither_of_a() -> None:
    found = ask("public-status", function="degraded", minutes=40, share=30)
    assert found.level is None
    assert found.gap == (
        "These facts fall between the levels. "
        "major would need that what is hit: everything is down (here: much is slow, or fails now and then); "
        "minor would need that it has lasted less than 5 minutes (here: 40)."
    )
    # What was not said could still make it major.
    assert found.asked == (Fact.DATA_LOSS, Fact.BREACH)


def test_r110_exactly_50_percent_is_an_edge() -> None:
    found = ask("public-status", share=50, function="minor", data_loss="none", breach="no")
    assert found.level is None
    assert found.edge == (
        "Share of users affected, %: 50 is exactly on the edge. major is for more than 50, minor is for less than 50."
    )
    assert found.gap == (
        "These facts fall between the levels. major would need that more than 50 % of users are affected (here: 50); "
        "minor would need that less than 50 % of users are affected (here: 50)."
    )


def test_r110_exactly_5_minutes_is_an_edge() -> None:
    found = ask("public-status", function="all", minutes="5.0", share=20)
    assert found.level is None
    assert found.edge == (
        "Minutes it has lasted: 5 is exactly on the edge. major is for more than 5, minor is for less than 5."
    )


def test_an_edge_that_decides_nothing_is_not_mentioned() -> None:
    assert ask("public-status", function="all", minutes=5, breach="yes").edge == ""


def test_too_little_is_known_and_that_is_no_gap() -> None:
    found = ask("public-status", breach="no")
    assert (found.level, found.gap, found.edge) == (None, "", "")
    assert found.asked == (Fact.SHARE, Fact.MINUTES, Fact.DATA_LOSS, Fact.FUNCTION)
    assert propose({}, rungs("platform-sev")).asked == (Fact.DATA_LOSS, Fact.WORKAROUND, Fact.FUNCTION)


def test_what_a_policy_does_not_judge_by_is_said() -> None:
    found = ask("consumer-app", data_loss="all", function="minor")
    assert (named(found), found.unread) == ("P2", (Fact.DATA_LOSS,))


def test_a_policy_without_criteria_proposes_nothing() -> None:
    bare = [Candidate(1, "P1", 1, ())]
    assert propose({Fact.SHARE: Decimal(90)}, bare) == Proposal(None, unread=(Fact.SHARE,))


# --- what people type --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "typed", "value"),
    [
        (Fact.SHARE, " 50 ", Decimal(50)),
        (Fact.SHARE, 100, Decimal(100)),
        (Fact.MINUTES, "12.5", Decimal("12.5")),
        (Fact.MINUTES, 0.25, Decimal("0.25")),
        (Fact.FUNCTION, "ALL", "all"),
    ],
)
def test_numbers_and_words_are_read(fact: Fact, typed: object, value: object) -> None:
    assert read(fact, typed) == value


@pytest.mark.parametrize(
    ("fact", "typed", "error"),
    [
        (Fact.SHARE, "50 %", "Write a number such as 40 or 12.5, without a unit."),
        (Fact.SHARE, "1,5", "Write a number such as 40 or 12.5, without a unit."),
        (Fact.SHARE, "-1", "Write a number such as 40 or 12.5, without a unit."),
        (Fact.SHARE, "٤٠", "Write a number such as 40 or 12.5, without a unit."),
        (Fact.MINUTES, "1e3", "Write a number such as 40 or 12.5, without a unit."),
        (Fact.MINUTES, "nan", "Write a number such as 40 or 12.5, without a unit."),
        (Fact.MINUTES, float("inf"), "Write a number such as 40 or 12.5, without a unit."),
        (Fact.MINUTES, True, "Write a number such as 40 or 12.5, without a unit."),
        (Fact.MINUTES, [5], "Write a number such as 40 or 12.5, without a unit."),
        (Fact.SHARE, "100.1", "At most 100."),
        (Fact.MINUTES, "600000", "At most 527,040."),
        (Fact.BREACH, "perhaps", "Say one of: no, yes."),
        (Fact.TENANTS, 4, "Say one of: none, one, few, many, all."),
    ],
)
def test_what_is_no_value_is_refused_in_words(fact: Fact, typed: object, error: str) -> None:
    with pytest.raises(FactError) as refused:
        read(fact, typed)
    assert str(refused.value) == error


def test_errors_stand_at_the_names_that_were_sent_and_blanks_are_unknown() -> None:
    facts, errors = read_all({"share": "x", "minutes": "", "breach": None, "weather": 1, "tenants": "few"})
    assert facts == {Fact.TENANTS: "few"}
    assert errors == {
        "share": "Write a number such as 40 or 12.5, without a unit.",
        "weather": f"There is no such fact. Known are: {', '.join(Fact.values)}.",
    }


# --- properties ----------------------------------------------------------------------------------


def values(fact: Fact) -> st.SearchStrategy[Any]:
    if fact in assistant.VOCABULARY:
        return st.sampled_from(list(assistant.VOCABULARY[fact]))
    edges = [Decimal(0), Decimal("4.9"), Decimal(5), Decimal("5.1"), Decimal(49), Decimal(50), Decimal(51)]
    return st.sampled_from(edges) | st.integers(0, 100).map(Decimal)


FACTS = st.fixed_dictionaries({}, optional={fact: values(fact) for fact in Fact})


def worse(fact: Fact, one: Any, other: Any) -> bool:
    if fact in assistant.VOCABULARY:
        return list(assistant.VOCABULARY[fact]).index(one) >= list(assistant.VOCABULARY[fact]).index(other)
    return bool(one >= other)


@given(st.sampled_from(PRESETS), FACTS, st.data())
def test_worse_facts_never_propose_a_milder_level(slug: str, facts: dict[Fact, Any], data: st.DataObject) -> None:
    before = propose(facts, rungs(slug))
    raised = {
        fact: data.draw(values(fact).filter(lambda new, fact=fact, old=old: worse(fact, new, old)), label=fact)
        for fact, old in facts.items()
    }
    after = propose(raised, rungs(slug))
    if before.level and after.level:
        assert after.level.rank <= before.level.rank


PARTS = st.sampled_from(list(Fact)).flatmap(
    lambda fact: st.builds(
        Part,
        st.just(fact),
        st.sampled_from([Comparison.AT_LEAST, Comparison.OVER]),
        values(fact),
    )
)
RULES = st.lists(st.lists(PARTS, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)
LADDERS = st.lists(RULES, min_size=1, max_size=4).map(
    lambda all_: [Candidate(place, f"P{place}", place + 1, rules) for place, rules in enumerate(all_)]
)


@given(LADDERS, FACTS, st.data())
def test_where_every_rule_only_asks_for_more_worse_facts_never_lose_the_level(
    ladder: list[Candidate], facts: dict[Fact, Any], data: st.DataObject
) -> None:
    before = propose(facts, ladder)
    raised = {
        fact: data.draw(values(fact).filter(lambda new, fact=fact, old=old: worse(fact, new, old)))
        for fact, old in facts.items()
    }
    after = propose(raised, ladder)
    if before.level:
        assert after.level is not None
        assert after.level.rank <= before.level.rank


@given(st.sampled_from(PRESETS), FACTS, st.randoms())
def test_the_order_of_the_levels_does_not_matter(slug: str, facts: dict[Fact, Any], dice: Any) -> None:
    ordered = rungs(slug)
    shuffled = list(ordered)
    dice.shuffle(shuffled)
    assert propose(facts, shuffled) == propose(facts, ordered)


@given(st.sampled_from(PRESETS), FACTS, st.data())
def test_what_is_not_asked_for_cannot_change_the_answer(slug: str, facts: dict[Fact, Any], data: st.DataObject) -> None:
    found = propose(facts, rungs(slug))
    others = [fact for fact in Fact if fact not in facts and fact not in found.asked]
    more = facts | {fact: data.draw(values(fact)) for fact in others}
    assert named(propose(more, rungs(slug))) == named(found)


# --- beside the choice of a level ----------------------------------------------------------------


@pytest.fixture
def ann(presets: None, client: Client) -> Client:
    scene.brand()
    desk.sit(client, *desk.ALL)
    return client


def major() -> Severity:
    return level("public-status", "major")


def minor() -> Severity:
    return level("public-status", "minor")


@pytest.mark.django_db
def test_r110_the_form_asks_what_the_chosen_policy_judges_by(ann: Client) -> None:
    form = ann.get(desk.ADD).context["form"]
    assert [question.fact for question in form.questions if not question.hidden] == [
        Fact.SHARE,
        Fact.MINUTES,
        Fact.DATA_LOSS,
        Fact.BREACH,
        Fact.FUNCTION,
    ]
    assert [question.fact for question in form.questions if question.hidden] == [Fact.WORKAROUND, Fact.TENANTS]
    assert form.unfolded is False


@pytest.mark.django_db
def test_r110_what_was_answered_is_kept_in_the_timeline(ann: Client) -> None:
    typed = {"severity": major().pk, "title": "API is down", "publish": "later", "fact_share": "80", "fact_breach": ""}
    response = ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed))
    assert response.status_code == 302, desk.mistakes(response)
    entry = Incident.objects.get().timeline.get(verb="declared")
    assert entry.facts["assistant"] == {
        "facts": {"share": "80"},
        "proposed": "Major",
        "rule": "more than 50 % of users are affected",
    }
    assert chronicle.changes(entry) == [
        "Major of Public status page v1",
        "Share of users affected, %: 80",
        "The assistant proposed Major, because more than 50 % of users are affected",
    ]


@pytest.mark.django_db
def test_a_declaration_without_the_assistant_says_nothing_of_it(ann: Client) -> None:
    typed = {"severity": major().pk, "title": "API is down", "publish": "later"}
    ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed))
    assert "assistant" not in Incident.objects.get().timeline.get(verb="declared").facts


@pytest.mark.django_db
def test_r110_without_a_script_the_button_asks_and_another_uses_the_level(ann: Client) -> None:
    typed = desk.opened(ann, desk.ADD, title="API is down", fact_share="80") | {"severity": str(minor().pk)}
    asked = ann.post(desk.ADD, typed | {"_preview": "ask"})
    assert asked.context["form"].proposal.level.name == "Major"
    assert "because more than 50 % of users are affected" in asked.content.decode()
    used = ann.post(desk.ADD, typed | {"_preview": f"use:{major().pk}"})
    assert desk.sent(used)["severity"] == str(major().pk)
    assert desk.sent(used)["fact_share"] == "80"
    assert not Incident.objects.exists()


@pytest.mark.django_db
def test_what_is_no_fact_is_named_at_its_field_and_nothing_typed_is_lost(ann: Client) -> None:
    typed = desk.opened(ann, desk.ADD, title="API is down", publish="later", fact_share="half", fact_function="all")
    refused = ann.post(desk.ADD, typed)
    assert desk.mistakes(refused) == {"fact_share": ["Write a number such as 40 or 12.5, without a unit."]}
    form = refused.context["form"]
    assert (form.unfolded, form["fact_share"].value(), form["fact_function"].value()) == (True, "half", "all")


@pytest.mark.django_db
def test_r110_the_fragment_answers_by_the_policy_of_the_chosen_level(
    ann: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    url = reverse("admin:incidents_incident_propose")
    with django_assert_max_num_queries(8):
        said = ann.post(
            url, {"severity": minor().pk, "fact_function": "degraded", "fact_minutes": 40, "fact_share": 30}
        )
    page = said.content.decode()
    assert "No level of “Public status page” says this." in page
    assert "Minor would need that it has lasted less than 5 minutes (here: 40)" in page
    assert 'data-asks="share minutes data_loss breach function"' in page

    other = ann.post(url, {"severity": level("platform-sev", "SEV-2").pk, "fact_function": "all", "fact_share": "90"})
    assert "By “Platform SEV” this is SEV-1" in other.content.decode()
    wrong = ann.post(url, {"severity": minor().pk, "fact_share": "<b>"})
    assert "Share of users affected, %: Write a number" in wrong.content.decode()


@pytest.mark.django_db
def test_the_fragment_is_for_who_judges_and_only_by_post(ann: Client, client: Client) -> None:
    url = reverse("admin:incidents_incident_propose")
    assert ann.get(url).status_code == 405
    desk.sit(client, "view_incident", name="eve")
    assert client.post(url, {"severity": "1"}).status_code == 403
    desk.sit(client, "command", name="ben")
    for nonsense in ("", "x", "9" * 40, "1' OR 1"):
        assert client.post(url, {"severity": nonsense}).status_code == 200


@pytest.mark.django_db
def test_r110_changing_the_severity_asks_too(ann: Client) -> None:
    incident = scene.incident(severity=minor(), public=False)
    url = desk.act_on(incident, "severity")
    page = ann.post(url, desk.opened(ann, url, fact_breach="yes", _preview="ask"))
    assert page.context["form"].proposal.level.name == "Major"
