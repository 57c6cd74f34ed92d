"""How much of what is sent to us is read at all, and as what (F17, S22)."""

from __future__ import annotations

from django.http import HttpRequest

#: Digits of the largest number a row may have. Python refuses to read some thousand digits, and raises.
_DIGITS = 18


def number(typed: str) -> int | None:
    """A number as somebody typed it; None where it is none, or larger than any row's."""
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) <= _DIGITS else None


def is_larger(request: HttpRequest, most: int) -> bool:
    """Whether a body has more than ``most`` bytes, or does not say how many. Reads nothing of it."""
    length = number(str(request.META.get("CONTENT_LENGTH") or "0"))
    return length is None or length > most
