"""Money is whole minor units of one currency; what people type is read exactly or refused in words."""

from __future__ import annotations

import pytest

from postmortems.credits.arithmetic.money import Money, MoneyError, exponent, half_up, parse, plain, share_out


@pytest.mark.parametrize(("currency", "places"), [("JPY", 0), ("EUR", 2), ("USD", 2), ("KWD", 3), ("XOF", 0)])
def test_currencies_have_their_decimal_places(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize("currency", ["XAU", "XTS", "XXX", "EU", "eur", "", "ZZZ"])
def test_what_nobody_is_billed_in_is_refused(currency: str) -> None:
    with pytest.raises(MoneyError, match=f"^“{currency}” is no ISO 4217 currency that anybody is billed in\\.$"):
        exponent(currency)


@pytest.mark.parametrize(
    ("minor", "currency", "shown", "for_people"),
    [
        (0, "EUR", "0.00", "0.00"),
        (5, "EUR", "0.05", "0.05"),
        (-123_450, "EUR", "-1234.50", "-1,234.50"),
        (-7, "KWD", "-0.007", "-0.007"),
        (1_234_567, "JPY", "1234567", "1,234,567"),
    ],
)
def test_amounts_are_shown_to_the_last_digit(minor: int, currency: str, shown: str, for_people: str) -> None:
    assert (plain(minor, currency), plain(minor, currency, grouped=True)) == (shown, for_people)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        (" 1,234.50 ", "EUR", 123_450),
        ("1 234.5", "EUR", 123_450),
        ("12", "JPY", 12),
        ("1.500", "EUR", 150),
        ("00.", "EUR", 0),
        ("-0.007", "KWD", -7),
    ],
)
def test_amounts_are_read_as_people_type_them(text: str, currency: str, minor: int) -> None:
    assert parse(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "told"),
    [
        ("ten", "EUR", "“ten” is no amount. Write it like 1234.50."),
        ("", "JPY", "“” is no amount. Write it like 123450."),
        ("NaN", "EUR", "“NaN” is no amount. Write it like 1234.50."),
        ("Infinity", "EUR", "“Infinity” is no amount. Write it like 1234.50."),
        ("١٢", "EUR", "“١٢” is no amount. Write it like 1234.50."),
        ("1.005", "EUR", "EUR has 2 decimal places; “1.005” has more."),
        ("0.5", "JPY", "JPY has 0 decimal places; “0.5” has more."),
        ("10000000000001", "EUR", "“10000000000001” is more than anybody is billed."),
        ("1e999999999", "EUR", "“1e999999999” is no amount. Write it like 1234.50."),
        ("1,23", "EUR", "“1,23” is no amount. Write it like 1234.50."),
        ("1,2345.00", "EUR", "“1,2345.00” is no amount. Write it like 1234.50."),
        ("1.234,50", "EUR", "“1.234,50” is no amount. Write it like 1234.50."),
        ("1_000", "EUR", "“1_000” is no amount. Write it like 1234.50."),
    ],
)
def test_what_is_no_amount_is_refused_in_words(text: str, currency: str, told: str) -> None:
    with pytest.raises(MoneyError) as refused:
        parse(text, currency)
    assert str(refused.value) == told


def test_amounts_of_two_currencies_never_add() -> None:
    with pytest.raises(MoneyError, match=r"^EUR and USD do not add: there is no exchange rate here\.$"):
        Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(TypeError, match=r"^int is no money\.$"):
        Money(1, "EUR") + 1  # type: ignore[operator]
    with pytest.raises(TypeError, match=r"^Money counts whole minor units\.$"):
        Money(1.0, "EUR")  # type: ignore[arg-type]
    assert Money(1, "EUR") != Money(1, "USD")
    assert str(Money(-123_450, "EUR")) == "-1,234.50 EUR"


def test_a_half_goes_up_and_only_once() -> None:
    assert [half_up(number, 10) for number in (0, 4, 5, 14, 15, 25)] == [0, 0, 1, 1, 2, 3]
    assert half_up(10**30 + 1, 2 * 10**30) == 1


def test_the_largest_remainder_gets_what_is_left() -> None:
    assert share_out(100, [1, 1, 1]) == [34, 33, 33]
    assert share_out(2, [1_000, 500, 500]) == [1, 1, 0]
    assert share_out(10, [0, 5]) == [0, 10]
    assert share_out(10, []) == []
    assert share_out(10, [0, 0]) == [0, 0]
