"""A text message as carriers count and charge it (GSM 03.38, UCS-2)."""

from __future__ import annotations

from dataclasses import dataclass

#: Characters that travel as one, and as two, in a plain text message.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€\f")
#: What word processors write, in characters that carriers carry plainly; nothing is lost by it.
_TYPOGRAPHY = str.maketrans(
    {
        "…": "...",
        "–": "-",
        "—": "-",
        "‑": "-",
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "•": "-",
        "→": "->",
        "×": "x",
        "\t": " ",
        "\u00a0": " ",
        "\u2009": " ",
        "\u202f": " ",
        "\u200b": "",
        "\ufeff": "",
    }
)


@dataclass(frozen=True)
class Sms:
    """A text message as carriers count it: one character outside the GSM alphabet halves the room."""

    text: str

    @property
    def plain(self) -> bool:
        return not self.special

    @property
    def special(self) -> str:
        """The characters that make it dear, each once."""
        return "".join(dict.fromkeys(one for one in self.text if one not in _GSM and one not in _GSM_TWICE))

    @property
    def length(self) -> int:
        """Septets in the GSM alphabet, UTF-16 units otherwise."""
        return sum(self._widths())

    @property
    def segments(self) -> int:
        """How many messages it is billed as. What takes two places is never cut in half."""
        single, each = (160, 153) if self.plain else (70, 67)
        widths = self._widths()
        if sum(widths) <= single:
            return 1
        count, used = 1, 0
        for width in widths:
            if used + width > each:
                count, used = count + 1, 0
            used += width
        return count

    def _widths(self) -> list[int]:
        if self.plain:
            return [2 if character in _GSM_TWICE else 1 for character in self.text]
        return [2 if ord(character) > 0xFFFF else 1 for character in self.text]


def plainly(text: str) -> str:
    """The text with typographic dashes, quotes and spaces in plain ones, where that makes all of it plain.

    A message that needs the large alphabet anyway keeps its own.
    """
    plain = text.translate(_TYPOGRAPHY)
    return plain if Sms(plain).plain else text
