"""Numbers as people type them: the one form we keep, and the sentence each wrong one is answered with (S19)."""

from __future__ import annotations

import phonenumbers
import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from pytest_django import Settings

from notifications import phones

EVERYWHERE = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.fixture(autouse=True)
def _home(settings: Settings) -> None:
    settings.PHONE_REGION, settings.SMS_COUNTRIES = "DE", ["DE"]


def refusal(typed: str) -> tuple[str, str]:
    with pytest.raises(ValidationError) as refused:
        phones.normal(typed)
    return str(refused.value.code), refused.value.message


@pytest.mark.parametrize(
    "typed",
    [
        "01511 2345678",
        "0151-123 456 78",
        "+49 1511 2345678",
        "0049 151 12345678",
        "(0151) 12345678",
        "+49 (0) 151 12345678",
        "  +4915112345678 ",
        "０１５１１２３４５６７８",
        "٠١٥١١٢٣٤٥٦٧٨",
        "tel:+49-1511-2345678",
    ],
)
def test_one_number_has_one_form(typed: str) -> None:
    assert phones.normal(typed) == "+4915112345678"


def test_it_is_shown_as_people_write_it() -> None:
    assert phones.shown("+4915112345678") == "+49 1511 2345678"


WRITE = "Please write it with the country code, like +49 …"


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        ("", "invalid", f"This does not look like a phone number. {WRITE}"),
        ("ada@example.org", "invalid", f"This does not look like a phone number. {WRITE}"),
        ("+999 123 456 789", "country_code", f"This country code does not exist. {WRITE}"),
        ("+49 1", "too_short", f"This number is too short. {WRITE}"),
        ("0151 1234 5678 9012 34", "too_long", f"This number is too long. {WRITE}"),
        ("1" * 41, "too_long", "This is too long for a phone number."),
        ("110", "short_code", "Short codes cannot subscribe. Please use your mobile number."),
        ("82100", "short_code", "Short codes cannot subscribe. Please use your mobile number."),
        ("+49 200 1234567", "invalid", f"There is no such number. {WRITE}"),
        ("0900 1 123456", "premium", "This is a premium-rate number. Please use your mobile number."),
        ("0180 1 234567", "shared_cost", "This is a shared-cost number. Please use your mobile number."),
        ("0800 1234567", "toll_free", "This is a toll-free number. Please use your mobile number."),
        ("030 1234567", "landline", "This is a landline, which gets no texts. Please use your mobile number."),
        ("+49 16412345", "pager", "This is a pager. Please use your mobile number."),
        ("0151 12345678 ext. 5", "extension", "A number with an extension cannot be texted."),
        (
            "+44 7400 123456",
            "country",
            "Texts cannot be sent to this country yet. They can to: DE. E-mail works everywhere.",
        ),
        (
            "+870 773111632",
            "country",
            "Texts cannot be sent to this country yet. They can to: DE. E-mail works everywhere.",
        ),
        ("0151\n12345678", "line_break", "Please write this on one line."),
    ],
)
def test_every_other_number_is_refused_with_its_reason(typed: str, code: str, words: str) -> None:
    assert refusal(typed) == (code, words)


def test_countries_that_share_a_code_are_told_apart(settings: Settings) -> None:
    """Fraud likes the islands of +1: they cost many times a text to New York."""
    settings.PHONE_REGION, settings.SMS_COUNTRIES = "US", ["US"]
    assert phones.normal("(212) 555-0123") == "+12125550123"
    assert refusal("+1 876 555 0123")[0] == "country"
    settings.SMS_COUNTRIES = ["US", "JM"]
    assert phones.normal("+1 876 555 0123") == "+18765550123"


def test_5000_premium_numbers_get_no_text(settings: Settings) -> None:
    """Wherever they are, and although every country is allowed."""
    settings.SMS_COUNTRIES = EVERYWHERE
    kinds = (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.TOLL_FREE)
    numbers = [
        phonenumbers.example_number_for_type(region, kind)
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in kinds
    ]
    typed = [phonenumbers.format_number(number, PhoneNumberFormat.E164) for number in numbers if number]
    typed += [f"+1900{area}{line:04}" for area in range(220, 230) for line in range(500)]
    assert len(typed) > 5_000
    codes = [refusal(number)[0] for number in typed]
    assert set(codes) <= {"premium", "shared_cost", "toll_free", "country_code", "invalid", "too_short", "kind"}


@pytest.mark.parametrize("region", EVERYWHERE)
def test_mobile_numbers_of_every_country_are_texted_where_it_is_allowed(settings: Settings, region: str) -> None:
    number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    if number is None or phonenumbers.number_type(number) not in phones._TEXTED:
        assert region in {"AC", "TA"}
        return
    settings.SMS_COUNTRIES = [phonenumbers.region_code_for_number(number)]
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    assert phones.normal(phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)) == written


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_number_or_refused(typed: str) -> None:
    try:
        number = phones.normal(typed)
    except ValidationError:
        return
    assert phones.normal(number) == number
