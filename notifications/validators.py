"""What text may come in at any door: forms, API, commands (F17). Messages say where it hurts."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError

#: Turn the reading direction around or hide: used to disguise addresses and file names.
_DECEPTIVE = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def prose(value: str) -> None:
    """Text of several lines: refuses control characters (except tab and line ends), lone surrogates, overrides."""
    for position, character in enumerate(value, start=1):
        if character in "\n\r\t":
            continue
        if unicodedata.category(character) in ("Cc", "Cs") or character in _DECEPTIVE:
            raise ValidationError(
                "Character %(position)d (U+%(code)s) cannot be shown. Please remove it.",
                code="control_character",
                params={"position": position, "code": f"{ord(character):04X}"},
            )


def one_line(value: str) -> None:
    """Text of one line, as in titles and names: ``prose`` without tabs and line ends."""
    if any(character in value for character in "\n\r\t\u2028\u2029"):
        raise ValidationError("Please write this on one line.", code="line_break")
    prose(value)
