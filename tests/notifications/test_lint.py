"""What must not go out (R-111)."""

from __future__ import annotations

import pytest
from django.utils import timezone

from notifications import delivery, fanout
from notifications.enums import Kind
from notifications.lint import Unsendable, lint
from notifications.models import Announcement, Brand, Delivery, Topic
from notifications.outbox import Letter, announce, write_to
from tests import scene
from tests.notifications.news import news, reader, story
from tests.notifications.relay import Relay

BROKEN = [
    ("Next update {{next_update}}", "The placeholder {{next_update}} is not filled in."),
    ("{{ issue }} again", "The placeholder {{ issue }} is not filled in."),
    ("{% if x %}yes", "The placeholder {% if x %} is not filled in."),
    ("caf\u00c3\u00a9", "The text was read in the wrong encoding (“\u00c3\u00a9”)."),
    ("we\u00e2\u20ac\u2122re sorry", "The text was read in the wrong encoding (“\u00e2\u20ac\u2122”)."),
    ("12\u00c2\u00b0C", "The text was read in the wrong encoding (“\u00c2\u00b0”)."),
    ("caf\ufffd", "A character was lost in conversion (\ufffd)."),
    ("half \ud83d", "The character U+D83D cannot be sent."),
    ("bell\x07", "The character U+0007 cannot be sent."),
    ("nul\x00", "The character U+0000 cannot be sent."),
    ("next line\x85", "The character U+0085 cannot be sent."),
    ("Contoso is down", "It names another brand: Contoso."),
]
FINE = [
    "We’re on it – “soon” ✓",
    "Crème brûlée à São Paulo, NÃO",
    "支払い",
    "a {single} brace and a % sign",
    "family 👨‍👩‍👧‍👦",
    "tab\tand\nline",
    "Contosos are other people",
    "Contoso Cloud is down",
]


@pytest.mark.parametrize(("text", "problem"), BROKEN)
def test_broken_words_are_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(Unsendable) as refused:
        lint(["fine", text], foreign=["Contoso"], own="Northwind")
    assert refused.value.problems == [problem]


@pytest.mark.parametrize("text", FINE)
def test_good_words_pass(text: str) -> None:
    lint([text], foreign=["Contoso"], own="Contoso Cloud")


def test_every_problem_is_named_once() -> None:
    with pytest.raises(Unsendable) as refused:
        lint(["{{a}} and {{a}}", "{{b}}", "{{a}}"])
    assert refused.value.problems == [
        "The placeholder {{a}} is not filled in.",
        "The placeholder {{b}} is not filled in.",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("words", [{"title": "{{title}}"}, {"text": "Contoso fails"}])
def test_news_that_must_not_go_out_are_not_written_down(words: dict[str, str]) -> None:
    """R-111 at the door: the operator reads why, nothing is half announced."""
    Brand.objects.create(
        slug="contoso", name="Contoso", sender_name="C", sender_email="c@c.example", support_email="s@c.example"
    )
    with pytest.raises(Unsendable):
        news(**words)  # type: ignore[arg-type]
    assert Announcement.objects.count() == 0
    letter = Letter("Hello", ("{{name}}",))
    with pytest.raises(Unsendable):
        write_to(["a@example.org"], letter, subject="Hi", brand=scene.brand(), lane="l", at=timezone.now())
    assert Delivery.objects.count() == 0


@pytest.mark.django_db
def test_a_placeholder_in_the_subject_is_refused() -> None:
    with pytest.raises(Unsendable, match=r"\{\{phase\}\}"):
        announce(
            story(),
            subject="{{phase}}: fails",
            lane="l",
            kind=Kind.INCIDENT,
            rank=1,
            brand=scene.brand(),
            topics=[],
            at=timezone.now(),
        )


def _other_brand(name: str) -> Brand:
    return Brand.objects.create(
        slug="other", name=name, sender_name="O", sender_email="o@o.example", support_email="s@o.example"
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("brand", "part"), [("Contoso", "Contoso API"), ("API", "API")])
def test_a_component_may_bear_another_brands_name(relay: Relay, brand: str, part: str) -> None:
    """R-111: what can be published is delivered: a component's name is never another brand's."""
    _other_brand(brand)
    Topic.objects.create(key="component:1", name=part)
    reader("ann")
    fanout.expand(news(title=f"{part} is down", components=((part, "Major outage"),)).pk)
    assert delivery.drain("news") == 1
    assert relay.readers == ["ann@example.org"]


@pytest.mark.django_db
def test_a_brand_named_like_a_word_of_ours_stops_nothing(relay: Relay) -> None:
    """R-111: the words around the message are ours: no brand's name is in them by mistake."""
    _other_brand("Questions")
    reader("ann")
    fanout.expand(news().pk)
    assert delivery.drain("news") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("where", ["component", "signature", "header", "sms"])
def test_what_cannot_be_sent_is_not_announced(where: str) -> None:
    """R-111: the whole mail is checked where it is published, not where it is sent."""
    brand = scene.brand(**{"signature": {"signature": "{{name}}"}, "header": {"sender_name": "a\nb"}}.get(where, {}))
    words = {"component": {"components": (("{{name}}", "Major outage"),)}, "sms": {"sms": "{{title}}"}}.get(where, {})
    with pytest.raises(Unsendable):
        news(brand=brand, **words)  # type: ignore[arg-type]
    assert Announcement.objects.count() == 0


@pytest.mark.parametrize("letter", "äöüÄÖÜßéèàÀÉÈâêîôûñçøå")
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_r111_every_letter_of_our_readers_is_known_when_it_is_read_wrongly(letter: str, encoding: str) -> None:
    broken = letter.encode().decode(encoding, errors="replace")
    with pytest.raises(Unsendable):
        lint([f"St{broken}rung"])
    lint([f"St{letter}rung"])
