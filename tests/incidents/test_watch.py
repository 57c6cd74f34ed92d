"""A verified fix is watched before "resolved" is suggested (R-214)."""

from __future__ import annotations

import pytest

from incidents import lifecycle, policies, watch
from incidents.enums import State, Verb
from incidents.lifecycle import Contradicted, NotAllowed
from incidents.models import Incident, PolicyVersion
from status.enums import Level, Phase
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


def watched(length: int | None = 15) -> Incident:
    """An incident whose policy watches a verified fix for so many minutes."""
    return scene.incident(severity=scene.severity(watch=length))


def mitigated(length: int | None = 15) -> Incident:
    return lifecycle.mitigate(watched(length), words="Rolled back.", by=scene.operator(), at=NIGHT + minutes(5))


def verified(length: int | None = 15) -> Incident:
    incident = mitigated(length)
    return lifecycle.verify(incident, words="Error rate is 0.", by=scene.operator(), at=NIGHT + minutes(10))


def test_r214_of_the_five_presets_only_the_fifth_names_a_watch() -> None:
    policies.load_presets(at=NIGHT)
    found = dict(PolicyVersion.objects.values_list("policy__slug", "watch_minutes"))
    assert found == {
        "public-status": None,
        "enterprise-sla": None,
        "consumer-app": None,
        "startup-sev": None,
        "platform-sev": 15,
    }


def test_r214_the_watch_lasts_as_long_as_the_policy_says_from_when_the_fix_was_verified() -> None:
    incident = verified()
    now = watch.stands(incident, NIGHT + minutes(12))
    assert (now.needed, now.over_at, now.remaining, now.suggest) == (
        minutes(15),
        NIGHT + minutes(25),
        minutes(13),
        False,
    )
    assert watch.stands(incident, NIGHT + minutes(25)).suggest is True


@pytest.mark.parametrize("made", [watched, mitigated])
def test_r214_what_is_not_verified_is_not_suggested_however_long_it_lasts(made) -> None:
    now = watch.stands(made(), NIGHT + minutes(600))
    assert (now.verified, now.over_at, now.remaining, now.suggest) == (False, None, minutes(15), False)


def test_r214_without_a_watch_in_the_policy_a_verified_fix_is_enough() -> None:
    now = watch.stands(verified(None), NIGHT + minutes(10))
    assert (now.needed, now.remaining, now.suggest) == (None, minutes(0), True)


def test_r214_going_back_ends_the_watch() -> None:
    incident = lifecycle.post_update(
        verified(),
        scene.draft("It is back."),
        levels={scene.component(): Level.MAJOR},
        by=None,
        at=NIGHT + minutes(20),
    )
    assert (incident.state, incident.verified_at) == (State.ACKNOWLEDGED, None)


def test_r214_reopening_asks_for_a_new_watch() -> None:
    incident = lifecycle.resolve(verified(), body="Fixed.", by=None, at=NIGHT + minutes(30))
    draft = scene.draft("Watching it again.", Phase.MONITORING)
    incident = lifecycle.reopen(incident, draft, levels={}, by=None, at=NIGHT + minutes(40))
    assert (incident.state, incident.verified_at) == (State.MITIGATED, None)


def test_r214_a_fix_is_verified_again_and_its_watch_starts_anew() -> None:
    incident = lifecycle.verify(verified(), words="Really.", by=None, at=NIGHT + minutes(20))
    assert watch.stands(incident, NIGHT + minutes(21)).over_at == NIGHT + minutes(35)
    assert [e.words for e in incident.timeline.filter(verb=Verb.VERIFIED)] == ["Error rate is 0.", "Really."]


def test_r214_what_still_hurts_is_not_verified() -> None:
    with pytest.raises(NotAllowed, match="INC-2026-0001 is declared; a fix is verified once it is mitigated"):
        lifecycle.verify(watched(), words="", by=None, at=NIGHT + minutes(5))


def test_r1303_resolving_before_the_watch_is_over_needs_a_reason() -> None:
    incident = verified()
    with pytest.raises(Contradicted) as refused:
        lifecycle.resolve(incident, body="Fixed.", by=None, at=NIGHT + minutes(24))
    assert refused.value.concerns == ["The fix is watched until 03:25 UTC: Policy of P0 asks for 15 min."]
    assert Incident.objects.get().state == State.MITIGATED

    lifecycle.resolve(incident, body="Fixed.", by=None, at=NIGHT + minutes(24), override="The customer confirmed it.")
    entry = incident.timeline.get(verb=Verb.OVERRODE)
    assert (entry.words, entry.facts["concerns"]) == ("The customer confirmed it.", refused.value.concerns)


def test_r1303_resolving_what_was_never_verified_needs_a_reason_where_a_watch_is_asked_for() -> None:
    with pytest.raises(Contradicted, match=r"not verified yet\. Policy of P0 watches a verified fix for 15 min first"):
        lifecycle.resolve(watched(), body="Fixed.", by=None, at=NIGHT + minutes(5))


def test_r214_once_it_was_watched_it_is_resolved_without_a_word_more() -> None:
    incident = lifecycle.resolve(verified(), body="Fixed.", by=None, at=NIGHT + minutes(25))
    assert incident.state == State.RESOLVED
    assert not incident.timeline.filter(verb=Verb.OVERRODE).exists()
