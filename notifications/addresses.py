"""E-mail addresses as people type them, and the one form in which we keep them (S16, S25)."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from notifications.validators import one_line

LONGEST = 254
LONGEST_LOCAL = 64
#: The old and the new rules for international names turn these into different domains; in such a
#: case mail could reach a stranger, so we ask for the unambiguous form.
_AMBIGUOUS = frozenset("ßς\u200c\u200d")

#: Dots before the @ make no difference there.
_DOTLESS = frozenset(("gmail.com", "googlemail.com"))

_plain = EmailValidator(message="This does not look like an e-mail address. Please write it like name@example.com.")


def normal(typed: str) -> str:
    """The one spelling of an address: trimmed, NFC, the domain in lower case and punycode.

    The part before the @ keeps its case: only its own server knows whether case matters there.
    Raises ``ValidationError`` with words for the person who typed it.
    """
    address = unicodedata.normalize("NFC", typed).strip()
    if len(address) > LONGEST:
        raise ValidationError(f"This is too long: an e-mail address has at most {LONGEST} characters.", code="too_long")
    one_line(address)
    local, at, domain = address.rpartition("@")
    if not local or not at or not domain:
        raise ValidationError(_plain.message, code="invalid")
    if not local.isascii():
        raise ValidationError("Sorry, our mail cannot carry accents or other scripts before the @.", code="local_part")
    if local.startswith('"') or domain.startswith("["):
        raise ValidationError("Addresses with quotation marks or [numbers] cannot be used here.", code="exotic")
    domain = _ascii_domain(domain)
    address = f"{local}@{domain}"
    _plain(address)
    # RFC 5321, 4.5.3.1; a name without a dot is a machine next door, not somebody's mail domain.
    if len(local) > LONGEST_LOCAL or len(address) > LONGEST or "." not in domain:
        raise ValidationError(_plain.message, code="invalid")
    return address


def mailbox(address: str) -> str:
    """Whose mailbox an address in its normal form most likely reaches: for counting only, never for sending (S16).

    Without capitals and without a +tag, which most servers ignore; Google also ignores dots.
    """
    local, _, domain = address.casefold().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _DOTLESS:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    if not _AMBIGUOUS.isdisjoint(domain):
        raise ValidationError("Please write this domain in its technical form (xn--…).", code="ambiguous_domain")
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValidationError("The part after the @ is not a domain that exists.", code="domain") from None
