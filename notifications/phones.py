"""Phone numbers as people type them, and the one form in which we keep and text them: E.164 (S19).

Only numbers that a text can reach, in the countries of ``settings.SMS_COUNTRIES``: whoever is paid
by the message for the calls to a number would otherwise sign up with thousands of them.
"""

from __future__ import annotations

import re

import phonenumbers
from django.conf import settings
from django.core.exceptions import ValidationError
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from notifications.validators import one_line

#: Longer is no number, however it is grouped.
LONGEST = 40
_SHORT_CODE = re.compile(r"\s*[1-9](?:[\s-]?\d){1,5}\s*")
#: Numbers that phones carry; in some countries nobody can tell from a number whether it is one (US, CA, MX, AR).
_TEXTED = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
_REFUSED = {
    PhoneNumberType.PREMIUM_RATE: ("premium", "This is a premium-rate number. Please use your mobile number."),
    PhoneNumberType.SHARED_COST: ("shared_cost", "This is a shared-cost number. Please use your mobile number."),
    PhoneNumberType.TOLL_FREE: ("toll_free", "This is a toll-free number. Please use your mobile number."),
    PhoneNumberType.FIXED_LINE: ("landline", "This is a landline, which gets no texts. Please use your mobile number."),
    PhoneNumberType.VOIP: ("voip", "This is an internet telephone number. Please use your mobile number."),
    PhoneNumberType.PAGER: ("pager", "This is a pager. Please use your mobile number."),
}
_ANOTHER_KIND = ("kind", "Texts cannot be sent to this kind of number. Please use your mobile number.")
_LIKE = "Please write it with the country code, like +{code} …"


def normal(typed: str) -> str:
    """The E.164 form of a number (``+4915112345678``); without a country code it belongs to ``PHONE_REGION``.

    Raises ``ValidationError`` with words for the person who typed it.
    """
    if len(typed) > LONGEST:
        raise ValidationError("This is too long for a phone number.", code="too_long")
    one_line(typed)
    number = _parsed(typed)
    if number.extension:
        raise ValidationError("A number with an extension cannot be texted.", code="extension")
    _check_existence(typed, number)
    _check_kind(number)
    _check_country(number)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def shown(number: str) -> str:
    """A number of ours as people read it (``+49 1511 2345678``)."""
    return phonenumbers.format_number(phonenumbers.parse(number), PhoneNumberFormat.INTERNATIONAL)


def _parsed(typed: str) -> PhoneNumber:
    try:
        return phonenumbers.parse(typed, settings.PHONE_REGION)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            raise ValidationError(f"This country code does not exist. {_like()}", code="country_code") from None
        if error.error_type in (NumberParseException.TOO_SHORT_NSN, NumberParseException.TOO_SHORT_AFTER_IDD):
            raise ValidationError(f"This number is too short. {_like()}", code="too_short") from None
        raise ValidationError(f"This does not look like a phone number. {_like()}", code="invalid") from None


def _check_existence(typed: str, number: PhoneNumber) -> None:
    if phonenumbers.is_valid_number(number):
        return
    if _SHORT_CODE.fullmatch(typed):
        # Emergency numbers among them: nobody's own, and some cost by the text.
        raise ValidationError("Short codes cannot subscribe. Please use your mobile number.", code="short_code")
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_LONG:
            raise ValidationError(f"This number is too long. {_like()}", code="too_long")
        case ValidationResult.TOO_SHORT | ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            raise ValidationError(f"This number is too short. {_like()}", code="too_short")
    raise ValidationError(f"There is no such number. {_like()}", code="invalid")


def _check_kind(number: PhoneNumber) -> None:
    kind = phonenumbers.number_type(number)
    if kind not in _TEXTED:
        code, words = _REFUSED.get(kind, _ANOTHER_KIND)
        raise ValidationError(words, code=code)


def _check_country(number: PhoneNumber) -> None:
    if phonenumbers.region_code_for_number(number) not in settings.SMS_COUNTRIES:
        named = ", ".join(sorted(settings.SMS_COUNTRIES))
        raise ValidationError(
            f"Texts cannot be sent to this country yet. They can to: {named}. E-mail works everywhere.", code="country"
        )


def _like() -> str:
    return _LIKE.format(code=phonenumbers.country_code_for_region(settings.PHONE_REGION))
