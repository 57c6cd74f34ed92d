"""What must never leave the house: half-filled templates, another brand's name, broken text (R-111)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from notifications.models import Brand, Topic

_PLACEHOLDER = re.compile(r"\{\{[^{}\n]{0,80}\}\}|\{%[^{}\n]{0,80}%\}")
#: UTF-8 read as Latin-1 or Windows-1252 ("Ã©" for "é", "â€™" for "’").
_MOJIBAKE = re.compile("[ÃÂ][\u0080-\u00bf]|Ã[€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[\u0080-\u00bf\u0152-\u2122]")


class Unsendable(ValueError):
    """A message that must not go out. ``problems`` says why, one sentence each, for the operator."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def lint(texts: Iterable[str], *, foreign: Iterable[str] = (), own: str = "") -> None:
    """Raise Unsendable when a text holds a placeholder, a name of ``foreign``, or broken encoding.

    ``own`` is the speaking brand's name: an occurrence of it is never another brand's, even where
    one name is part of the other.
    """
    foreign = list(foreign)
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(_problems(text, foreign, own)))
    if found:
        raise Unsendable(list(found))


def lint_for(brand: Brand, texts: Iterable[str]) -> None:
    """``lint`` for words of ``brand``: every other brand's name is foreign, unless it is also a component's or our own.

    One query; a second one where another brand seems to be named.
    """
    texts = list(texts)
    lint(texts, foreign=_foreign(brand, texts), own=brand.name)


def problems_in(brand: Brand, texts: Mapping[str, str]) -> dict[str, list[str]]:
    """What ``lint_for`` finds, by the name of the text it stands in; sound texts are left out. Queries as there."""
    foreign = _foreign(brand, texts.values())
    found = {name: list(dict.fromkeys(_problems(text, foreign, brand.name))) for name, text in texts.items()}
    return {name: problems for name, problems in found.items() if problems}


def _foreign(brand: Brand, texts: Iterable[str]) -> list[str]:
    """Names of other brands that ``texts`` may not hold."""
    texts = list(texts)
    names = Brand.objects.exclude(pk=brand.pk).values_list("name", flat=True)
    foreign = [name for name in names if name and name != brand.name]
    if any(_names(name, text) for name in foreign for text in texts):
        ours = [brand.name, brand.sender_name, brand.signature, *Topic.objects.values_list("name", flat=True)]
        # The longest first: one may be part of another.
        ours.sort(key=len, reverse=True)
        own = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in ours if name))
        foreign = [name for name in foreign if any(_names(name, own.sub(" ", text)) for text in texts)]
    return foreign


def sayable(brand: Brand, text: str, *, instead: str = "") -> str:
    """Words of others (the name of an incident, of a room, what a far end answered) where ``brand`` may say them.

    Where not, ``instead``: a letter goes out without them rather than not at all.
    """
    try:
        lint_for(brand, [text])
    except Unsendable:
        return instead
    return text


def _names(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _problems(text: str, foreign: list[str], own: str) -> Iterable[str]:
    for match in _PLACEHOLDER.finditer(text):
        yield f"The placeholder {match.group()} is not filled in."
    yield from _broken(text)
    rest = text.replace(own, "") if own else text
    for name in foreign:
        if name and _names(name, rest):
            yield f"It names another brand: {name}."


def _broken(text: str) -> Iterable[str]:
    if "\ufffd" in text:
        yield "A character was lost in conversion (\ufffd)."
    if match := _MOJIBAKE.search(text):
        yield f"The text was read in the wrong encoding (“{match.group()}”)."
    for character in text:
        category = unicodedata.category(character) if not character.isprintable() else ""
        if category == "Cs" or (category == "Cc" and character not in "\n\r\t"):
            yield f"The character U+{ord(character):04X} cannot be sent."
            return
