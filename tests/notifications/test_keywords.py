"""What people text back, in the spellings in which they do (S19)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.keywords import Word, meaning

#: What the FCC names, what Twilio understands, and the same in other languages.
STOP = [
    "stop", "stopall", "stop all", "quit", "end", "revoke", "opt out", "optout", "cancel", "unsubscribe", "remove me",
    "arret", "arrêt", "arrêter", "désabonner", "stopp", "stoppen", "abmelden", "abbestellen", "ende", "alto", "baja",
    "parar", "cancelar", "darse de baja", "pare", "sair", "basta", "annulla", "afmelden", "avsluta", "avslutt",
    "lopeta", "koniec", "wypisz", "стоп", "отписка", "стій", "iptal", "停止", "退订", "退訂", "取消", "解除", "중지",
    "수신거부",
]  # fmt: skip
START = ["start", "yes", "unstop", "opt in", "subscribe"]
HELP = ["help", "info", "aide", "hilfe", "ayuda", "ajuda", "aiuto", "hjälp", "помощь", "帮助", "ヘルプ", "도움말"]
DRESSED = [
    str,
    str.upper,
    str.title,
    lambda word: f"  {word}\n",
    lambda word: f"{word}.",
    lambda word: f"“{word}”!!",
    lambda word: f"{word} 🙏",
    lambda word: word.replace(" ", "-"),
    lambda word: word.replace(" ", ""),
    lambda word: f"\u200b{word}\ufe0f",
]


@pytest.mark.parametrize(
    ("word", "means"),
    [
        *zip(STOP, itertools.repeat(Word.STOP)),
        *zip(START, itertools.repeat(Word.START)),
        *zip(HELP, itertools.repeat(Word.HELP)),
    ],
)
def test_a_word_is_understood_however_it_is_dressed(word: str, means: Word) -> None:
    assert {meaning(dress(word)) for dress in DRESSED} == {means}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("S.T.O.P.", Word.STOP),
        ("s t o p", Word.STOP),
        ("ＳＴＯＰ", Word.STOP),
        ("Stop please", Word.STOP),
        ("Stop it now!", Word.STOP),
        ("Unsubscribe me, thank you", Word.STOP),
        ("STOP\nSTOP\nSTOP", Word.STOP),
        ("?", Word.HELP),
        ("Yes!", Word.START),
        # For a person to read: perhaps they leave, perhaps not.
        ("Stop by the office tomorrow at nine", Word.LEAVING),
        ("please stop texting me", Word.LEAVING),
        ("You have the wrong number", Word.LEAVING),
        ("don't text this phone", Word.LEAVING),
        # "End" and "cancel" begin too many other sentences.
        ("End of the story?", Word.OTHER),
        ("Cancel my order 17", Word.OTHER),
        ("When is it over?", Word.OTHER),
        ("yesterday", Word.OTHER),
        ("", Word.OTHER),
        ("🛑", Word.OTHER),
    ],
)
def test_sentences_are_told_from_words(text: str, means: Word) -> None:
    assert meaning(text) is means


@given(st.text(max_size=200))
def test_whatever_is_texted_has_a_meaning(text: str) -> None:
    assert isinstance(meaning(text), Word)
