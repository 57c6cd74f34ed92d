"""What somebody means who types into the search of the delivery log: "did ACME get it?" (R-804).

A search has one meaning: the likeliest that finds anything, which is said; the others are offered.
Every one is read from an index, however long the log is. An incident's reference narrows whatever
else is typed: ``INC-2026-0042 acme``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import phonenumbers
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from notifications import addresses
from notifications.enums import ADDRESSED, PHONES, Channel
from notifications.models import Announcement, Contact, Customer, Delivery, Endpoint, Subscriber

#: People, or updates, that one search stands for at most.
MOST = 1_000
#: Customers whose name begins alike.
_NAMESAKES = 20
#: Fewer digits are no telephone number.
_FEW_DIGITS = 6
_PHONE_LETTERS = frozenset("+0123456789 -/().")
#: Of an announcement. The cast changes nothing but what SQLite's adapter takes the words for.
REFERENCE = Cast(KT("content__reference"), TextField())
#: Matches nothing.
NOBODY = Q(pk__in=[])


@dataclass(frozen=True)
class Meaning:
    """One way to read a search: ``words`` say it, ``rows`` are of deliveries."""

    words: str
    rows: Q


#: How a search may be read; None: it finds nothing so.
Kind = Callable[[str], Meaning | None]


@dataclass(frozen=True)
class Search:
    """``meaning`` None: nothing is known by these words. ``others``: (what else it could mean, what to type for it)."""

    meaning: Meaning | None
    others: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rows(self) -> Q:
        """The deliveries it finds; none where it has no meaning."""
        return self.meaning.rows if self.meaning else NOBODY


def search(typed: str, *, parts: bool = True) -> Search:
    """Understand a search. At most nine queries, each read from an index or from a small table.

    ``parts`` False: an address is found by the whole of it only. Letter by letter the beginnings would
    spell out what its reader need not know (reliability.md 4.1).
    """
    words = typed.split()
    news, references = _told_about(words)
    rest = " ".join(word for word in words if word.upper() not in references)
    kinds = _KINDS if parts else _KINDS | {"to": _by_known_address}
    if not references:
        return _understood(rest, kinds)
    about = f"messages about {', '.join(sorted(references))}"
    narrow = Q(announcement__in=news)
    if not rest:
        return Search(Meaning(about, narrow))
    found = _understood(rest, kinds)
    meaning = found.meaning and Meaning(f"{about}: {found.meaning.words}", found.meaning.rows & narrow)
    asked = " ".join(sorted(references))
    return replace(found, meaning=meaning, others=[(name, f"{asked} {term}") for name, term in found.others])


def news_about(reference: str) -> list[int]:
    """The updates of an incident, by its reference; newest first. One query."""
    return _told_about([reference])[0]


def told_to(customers: Iterable[Customer]) -> Q:
    """Deliveries to what belongs to customers: their subscribers, and the addresses of their contacts. Two queries."""
    wanted = list(customers)
    emails = set(Contact.objects.filter(customer__in=wanted).values_list("email", flat=True)[:MOST])
    people = Subscriber.objects.filter(Q(customer__in=wanted) | Q(channel=Channel.EMAIL, address__in=_spelt(emails)))
    return _to(people.order_by("-pk").values_list("pk", flat=True)[:MOST], _letters(_spelt(emails)))


def called(name: str) -> list[Customer]:
    """Customers by their number, or by a part of their name. One query."""
    return list(Customer.objects.filter(Q(name__icontains=name) | Q(reference__iexact=name))[:_NAMESAKES])


def _told_about(words: list[str]) -> tuple[list[int], set[str]]:
    """(ids of updates, references that have any) among some words. One query."""
    possible = [word.upper() for word in words if any(letter.isdigit() for letter in word) and "-" in word]
    if not possible:
        return [], set()
    told = Announcement.objects.exclude(kind__in=ADDRESSED).annotate(reference=REFERENCE)
    found = dict(told.filter(reference__in=possible).order_by("-pk").values_list("pk", "reference")[:MOST])
    return list(found), set(found.values())


def _understood(term: str, kinds: Mapping[str, Kind]) -> Search:
    kind, _, rest = term.partition(":")
    if rest.strip() and (read := kinds.get(kind.strip().lower())):
        return Search(read(rest.strip()))
    names = ("to",) if "@" in term or _is_phone(term) else tuple(kinds)
    for place, name in enumerate(names if term else ()):
        if meaning := kinds[name](term):
            return Search(meaning, [(_NAMES[other], f"{other}: {term}") for other in names[place + 1 :]])
    return Search(None)


def _is_phone(term: str) -> bool:
    return _PHONE_LETTERS.issuperset(term) and sum(letter.isdigit() for letter in term) >= _FEW_DIGITS


def _by_customer(name: str) -> Meaning | None:
    customers = called(name)
    if not customers:
        return None
    named = customers[0].name if len(customers) == 1 else f"{len(customers)} customers called “{name}”"
    return Meaning(f"people of {named}", told_to(customers))


def _by_known_address(term: str) -> Meaning | None:
    """Of an address its whole, as it was typed or as we keep it; of a number any spelling."""
    if _is_phone(term):
        return _by_number(_numbers(term))
    spelt = _spelt({term}) | {term.lower()}
    people = list(Subscriber.objects.filter(address__in=spelt).values_list("pk", flat=True))
    letters = Q(address__iexact=term) & ~Q(address="")
    if not people and not Delivery.objects.filter(letters).exists():
        return None
    return Meaning(f"the address “{term}”", _to(people, letters))


def _by_address(beginning: str) -> Meaning | None:
    people = list(Subscriber.objects.filter(address__istartswith=beginning).values_list("pk", flat=True)[:MOST])
    letters = Q(address__istartswith=beginning) & ~Q(address="")
    if not Delivery.objects.filter(letters).exists():
        letters = NOBODY
    if not people and letters is NOBODY:
        return None
    return Meaning(f"addresses that begin with “{beginning}”", _to(people, letters))


def _by_phone(typed: str) -> Meaning | None:
    """A number in any spelling: with its country code, or as people of one of our countries write it at home.

    Of a number that is not complete, its beginning.
    """
    if found := _by_number(_numbers(typed)):
        return found
    digits = "".join(letter for letter in typed if letter.isdigit())
    if typed.startswith("00"):
        digits = digits.removeprefix("00")
    return _by_address(f"+{digits}") if typed.startswith(("+", "00")) else None


def _by_number(numbers: set[str]) -> Meaning | None:
    people = list(Subscriber.objects.filter(channel__in=PHONES, address__in=numbers).values_list("pk", flat=True))
    letters = _letters(numbers)
    if not people and not Delivery.objects.filter(letters).exists():
        return None
    return Meaning(f"the number {', '.join(sorted(numbers))}", _to(people, letters))


def _numbers(typed: str) -> set[str]:
    """What a spelling can stand for in the countries that we text, as we keep numbers."""
    found = set()
    for region in {settings.PHONE_REGION, *settings.SMS_COUNTRIES}:
        with suppress(phonenumbers.NumberParseException):
            number = phonenumbers.parse(typed, region)
            found.add(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return found


def _by_endpoint(name: str) -> Meaning | None:
    ends = list(Endpoint.objects.filter(name__icontains=name).values_list("subscriber", flat=True)[:MOST])
    return Meaning(f"endpoints called “{name}”", _to(ends, NOBODY)) if ends else None


def _by_subject(words: str) -> Meaning | None:
    told = Announcement.objects.exclude(kind__in=ADDRESSED).filter(subject__icontains=words)
    news = list(told.order_by("-pk").values_list("pk", flat=True)[:MOST])
    return Meaning(f"updates whose subject says “{words}”", Q(announcement__in=news)) if news else None


def _spelt(emails: Iterable[str]) -> set[str]:
    """Addresses as they were typed, and as we keep them."""
    found = set(emails)
    for email in emails:
        with suppress(ValidationError):
            found.add(addresses.normal(email))
    return found


def _to(people: Iterable[int], letters: Q) -> Q:
    found = Q(subscriber__in=list(people))
    return found if letters is NOBODY else found | letters


def _letters(those: Iterable[str]) -> Q:
    """Letters to exactly these addresses; never all of news, whose address is empty."""
    found = [address for address in those if address]
    return Q(address__in=found) & ~Q(address="") if found else NOBODY


#: What may be typed before a colon to say what is meant; without it, tried in this order.
_KINDS: dict[str, Kind] = {
    "customer": _by_customer,
    "to": lambda term: _by_phone(term) if _is_phone(term) else _by_address(term),
    "endpoint": _by_endpoint,
    "subject": _by_subject,
}
_NAMES = {"to": "addresses", "endpoint": "endpoints", "subject": "subjects"}
