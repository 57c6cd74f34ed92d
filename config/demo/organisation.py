"""The demo organisation itself: its name, what it runs, who uses it and who wants to hear about it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

from notifications.enums import Tier
from notifications.models import Brand, Contact, Customer, Subscriber, Topic
from status.components import keep_group
from status.models import Component, Group

BRAND = "larkfield"
#: Group → components: name, description, uptime target in % of a month (R-601, R-602).
COMPONENTS: dict[str, tuple[tuple[str, str, str | None], ...]] = {
    "Platform": (
        ("API", "Everything your own programs talk to.", "99.9"),
        ("Database", "Where your data is kept.", "99.95"),
        ("Authentication", "Logging in, single sign-on, sessions.", None),
    ),
    "Web": (
        ("Web app", "What you see in the browser.", None),
        ("CDN", "Images, scripts and downloads near you.", None),
    ),
    "Communication": (
        ("E-mail delivery", "Mail that we send for you.", None),
        ("Messaging", "Chat and text messages.", "99.0"),
    ),
    "Billing": (("Payments", "Cards, transfers, invoices.", "99.5"),),
}
#: Name, tier, what they use.
CUSTOMERS: tuple[tuple[str, Tier, tuple[str, ...]], ...] = (
    ("Aurelia Hotels", Tier.ENTERPRISE, ("API", "Web app", "Payments", "Messaging")),
    ("Brightwater Energy", Tier.ENTERPRISE, ("API", "Database", "Authentication")),
    ("Cobalt Logistics", Tier.ENTERPRISE, ("API", "Messaging", "E-mail delivery")),
    ("Dunmore Insurance", Tier.ENTERPRISE, ("API", "Database", "Web app", "Authentication")),
    ("Eastgate Clinics", Tier.BUSINESS, ("Web app", "Messaging")),
    ("Fjord & Fell Outdoors", Tier.BUSINESS, ("Web app", "Payments", "CDN")),
    ("Granary Foods", Tier.BUSINESS, ("API", "Payments")),
    ("Halden Museums", Tier.BUSINESS, ("Web app", "CDN", "E-mail delivery")),
    ("Inkwell Press", Tier.STANDARD, ("Web app", "E-mail delivery")),
    ("Juniper Bikes", Tier.STANDARD, ("Web app", "Payments")),
    ("Kestrel Music School", Tier.STANDARD, ("Web app",)),
    ("Lantern Theatre", Tier.STANDARD, ("Web app", "Payments", "E-mail delivery")),
)
# fmt: off
_FIRST = (
    "Amara", "Ben", "Chiara", "Dev", "Elif", "Farid", "Greta", "Hugo", "Ingrid", "Jonas", "Kaia", "Liam", "Mina",
    "Noor", "Oskar", "Petra", "Quentin", "Rosa", "Samir",
)
_LAST = (
    "Abara", "Becker", "Costa", "Dahl", "Evans", "Fontaine", "Grau", "Haddad", "Ito", "Jansen", "Kovac", "Lund",
    "Moreau", "Novak", "Okafor", "Pires",
)
# fmt: on
_ROLES = ("Head of operations", "IT manager", "Support lead", "Managing director")
SUBSCRIBERS = 42


def make_brand() -> Brand:
    brand, _ = Brand.objects.get_or_create(
        slug=BRAND,
        defaults={
            "name": "Larkfield Cloud",
            "sender_name": "Larkfield Cloud Status",
            "sender_email": "status@larkfield.example",
            "signature": "The Larkfield Cloud team",
            "support_email": "support@larkfield.example",
            "support_url": "https://help.larkfield.example/",
            "security_email": "security@larkfield.example",
            "is_default": True,
        },
    )
    return brand


def make_components(at: datetime) -> dict[str, Component]:
    """Components by name, each with the topic that people subscribe to."""
    made: dict[str, Component] = {}
    for section, rows in COMPONENTS.items():
        group, _ = Group.objects.get_or_create(name=section, defaults={"position": Group.objects.count()})
        for name, description, target in rows:
            position = len(made)
            key = f"component:{name.lower().replace(' ', '-')}"
            topic, _ = Topic.objects.get_or_create(
                key=key, defaults={"name": name, "section": section, "position": position}
            )
            made[name], _ = Component.objects.get_or_create(
                name=name,
                defaults={
                    "description": description,
                    "group": group,
                    "position": position,
                    "uptime_target": Decimal(target) if target else None,
                    "topic": topic,
                    "created_at": at,
                    "updated_at": at,
                },
            )
        keep_group(group, at=at)
    return made


def make_customers(components: dict[str, Component], dice: random.Random) -> list[Customer]:
    """Twelve customers with one to three contacts each."""
    customers = []
    for number, (name, tier, uses) in enumerate(CUSTOMERS, start=1):
        customer, _ = Customer.objects.get_or_create(
            reference=f"C-{1000 + number}", defaults={"name": name, "tier": tier}
        )
        customer.topics.set(components[use].topic for use in uses)
        domain = _domain(name)
        for role in dice.sample(_ROLES, dice.randint(1, 3)):
            first, last = dice.choice(_FIRST), dice.choice(_LAST)
            Contact.objects.get_or_create(
                customer=customer,
                email=f"{first}.{last}@{domain}".lower(),
                defaults={"name": f"{first} {last}", "role": role},
            )
        customers.append(customer)
    return customers


def make_subscribers(
    components: dict[str, Component], customers: list[Customer], dice: random.Random, at: datetime
) -> None:
    """Some forty addresses: most confirmed and told everything, some choosy, a few gone or not there yet."""
    people = [(first, last) for first in _FIRST for last in _LAST]
    made = []
    for number, (first, last) in enumerate(dice.sample(people, SUBSCRIBERS)):
        customer = customers[number % len(customers)] if number < 24 else None
        domain = _domain(customer.name if customer else dice.choice(("mail", "post", "letters")))
        asked = at - timedelta(days=dice.randint(1, 89), minutes=dice.randint(0, 1439))
        made.append(
            Subscriber(
                address=f"{first}.{last}@{domain}".lower(),
                customer=customer,
                all_topics=number % 3 != 2,
                wants_maintenance=number % 5 != 4,
                least_rank=dice.choice((4, 4, 4, 3, 1)),
                created_at=asked,
                confirmed_at=None if number % 14 == 13 else asked + timedelta(minutes=dice.randint(1, 90)),
                unsubscribed_at=at - timedelta(hours=dice.randint(1, 20)) if number % 17 == 16 else None,
            )
        )
    Subscriber.objects.bulk_create(made)
    choosy = Subscriber.objects.filter(address__in=[one.address for one in made], all_topics=False)
    topics = [component.topic_id for component in components.values()]
    chosen = Subscriber.topics.through
    chosen.objects.bulk_create(
        chosen(subscriber=one, topic_id=topic) for one in choosy for topic in dice.sample(topics, dice.randint(1, 3))
    )


def _domain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum()) + ".example"
