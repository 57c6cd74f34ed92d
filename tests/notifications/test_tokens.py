"""Links that cannot be forged (S17, S18)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications import tokens
from notifications.models import Subscriber
from notifications.tokens import Bearer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def ann() -> Subscriber:
    return Subscriber(address="ann@example.org", generation=3)


@pytest.mark.parametrize("purpose", tokens.PURPOSES)
def test_a_token_names_its_bearer(ann: Subscriber, purpose: str) -> None:
    token = tokens.make(ann, purpose, at=NOON)
    assert len(token) == tokens.LENGTH
    assert tokens.read(token, purpose, at=NOON) == Bearer(ann.public_id, 3)


@pytest.mark.parametrize("made_for", tokens.PURPOSES)
@pytest.mark.parametrize("used_for", tokens.PURPOSES)
def test_a_token_opens_one_door_only(ann: Subscriber, made_for: str, used_for: str) -> None:
    if made_for != used_for:
        with pytest.raises(tokens.BadToken):
            tokens.read(tokens.make(ann, made_for, at=NOON), used_for, at=NOON)


def test_no_letter_may_change(ann: Subscriber) -> None:
    token = tokens.make(ann, tokens.MANAGE)
    for place in range(len(token)):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(tokens.BadToken):
            tokens.read(other, tokens.MANAGE)


@pytest.mark.parametrize(
    "broken", ["", "x", "é" * 56, "A" * 55, "A" * 57, "A" * 56, "+" * 56, "A" * 55 + "\n", "=" * 56]
)
def test_nonsense_is_refused(broken: str) -> None:
    with pytest.raises(tokens.BadToken):
        tokens.read(broken, tokens.UNSUBSCRIBE)


def test_only_confirming_has_an_end(ann: Subscriber) -> None:
    """S18: 48 h to confirm; a link to leave never ends."""
    confirm = tokens.make(ann, tokens.CONFIRM, at=NOON)
    assert tokens.read(confirm, tokens.CONFIRM, at=NOON + timedelta(hours=48)).generation == 3
    with pytest.raises(tokens.ExpiredToken):
        tokens.read(confirm, tokens.CONFIRM, at=NOON + timedelta(hours=48, seconds=1))
    leave = tokens.make(ann, tokens.UNSUBSCRIBE, at=NOON)
    assert tokens.read(leave, tokens.UNSUBSCRIBE, at=NOON + timedelta(days=3650)).public_id == ann.public_id


def test_old_links_survive_a_new_key(ann: Subscriber, settings: object) -> None:
    old = tokens.make(ann, tokens.UNSUBSCRIBE)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]  # type: ignore[attr-defined]
    assert tokens.read(old, tokens.UNSUBSCRIBE).public_id == ann.public_id
    assert tokens.make(ann, tokens.UNSUBSCRIBE) != old
    settings.SECRET_KEY_FALLBACKS = []  # type: ignore[attr-defined]
    with pytest.raises(tokens.BadToken):
        tokens.read(old, tokens.UNSUBSCRIBE)


def test_a_purpose_must_exist(ann: Subscriber) -> None:
    with pytest.raises(ValueError, match="No such purpose"):
        tokens.make(ann, "admin")


@pytest.mark.parametrize("purpose", [tokens.UNSUBSCRIBE, tokens.MANAGE])
def test_the_fast_way_makes_the_same_tokens(purpose: str) -> None:
    sealed = tokens.sealer(purpose)
    for number in range(200):
        person = Subscriber(address="x@example.org", generation=number)
        assert sealed(person.public_id.bytes, number).decode() == tokens.make(person, purpose)
