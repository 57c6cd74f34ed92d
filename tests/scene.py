"""Setting the scene of a story in one line each: a brand, components, a policy, subscribers, an incident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from incidents import lifecycle
from incidents.enums import Audience, DutyKind, Publicity, Setting, Standing, Start, Unit
from incidents.models import ChannelRule, Duty, Incident, Policy, PolicyVersion, Severity
from notifications.models import Brand, Subscriber, Topic
from status.enums import Level, Phase
from status.models import Component, Group
from status.publishing import Draft

#: 03:00 on a Friday night: when every story begins.
NIGHT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


def brand(**changes: Any) -> Brand:
    made, _ = Brand.objects.get_or_create(
        slug="northwind",
        defaults={
            "name": "Northwind",
            "sender_name": "Northwind Status",
            "sender_email": "status@northwind.example",
            "support_email": "support@northwind.example",
            "signature": "The Northwind team",
            "is_default": True,
        }
        | changes,
    )
    return made


def operator(name: str = "ann", **changes: Any) -> User:
    made, _ = User.objects.get_or_create(
        username=name, defaults={"is_staff": True, "first_name": name.title()} | changes
    )
    return made


def component(name: str = "API", group: str = "", **changes: Any) -> Component:
    section = Group.objects.get_or_create(name=group)[0] if group else None
    topic, _ = Topic.objects.get_or_create(key=f"component:{name}", defaults={"name": name, "section": group})
    made, _ = Component.objects.get_or_create(
        name=name,
        defaults={"topic": topic, "group": section, "created_at": NIGHT, "updated_at": NIGHT} | changes,
    )
    return made


def severity(
    code: str = "P0",
    rank: int = 1,
    *,
    duties: list[dict[str, Any]] | None = None,
    mail: Setting | None = Setting.ON,
    grid: dict[str, Setting] | None = None,
    watch: int | None = None,
    **changes: Any,
) -> Severity:
    """A level of a policy of its own, in force. ``duties`` default to those of B's P0.

    ``mail`` is its grid's cell for news by e-mail, ``grid`` holds the others by name: ``webhook:enterprise``.
    ``watch``: minutes that a verified fix is watched (R-214).
    """
    policy, _ = Policy.objects.get_or_create(slug=f"policy-{code.lower()}", defaults={"name": f"Policy of {code}"})
    found = Severity.objects.filter(version__policy=policy, code=code).first()
    if found:
        return found
    version = PolicyVersion.objects.create(policy=policy, number=1, watch_minutes=watch)
    values = {"label": code, "meaning": "Everything is down.", "publicity": Publicity.ALWAYS} | changes
    made = Severity.objects.create(version=version, rank=rank, code=code, **values)
    for duty in P0_DUTIES if duties is None else duties:
        Duty.objects.create(severity=made, **duty)
    for cell, setting in ({"email": mail} | (grid or {})).items():
        wire, _, audience = cell.partition(":")
        if setting:
            ChannelRule.objects.create(severity=made, wire=wire, audience=audience or Audience.PUBLIC, setting=setting)
    # Versions are filled while they are drafts; in force they are frozen.
    PolicyVersion.objects.filter(pk=version.pk).update(standing=Standing.IN_FORCE, in_force_at=NIGHT)
    return Severity.objects.get(pk=made.pk)


P0_DUTIES: list[dict[str, Any]] = [
    {"kind": DutyKind.RESPOND, "amount": 15, "starts_from": Start.DECLARED},
    {"kind": DutyKind.FIRST_UPDATE, "amount": 15, "limit": 30, "starts_from": Start.DECLARED},
    {"kind": DutyKind.PUBLIC_UPDATE, "amount": 30, "repeats": True, "starts_from": Start.LAST_UPDATE},
    {"kind": DutyKind.RESOLVE, "amount": 4, "unit": Unit.HOURS, "starts_from": Start.DECLARED},
    {"kind": DutyKind.REVIEW_PUBLISHED, "amount": 5, "unit": Unit.BUSINESS_DAYS, "starts_from": Start.RESOLVED},
]


def subscriber(
    address: str = "reader@example.com", *, topics: list[Component] | None = None, **changes: Any
) -> Subscriber:
    values = {"created_at": NIGHT - timedelta(days=1), "confirmed_at": NIGHT - timedelta(days=1)} | changes
    made = Subscriber.objects.create(address=address, all_topics=topics is None, **values)
    made.topics.set([c.topic for c in topics or []])
    return made


def draft(body: str = "We are looking into it.", phase: Phase = Phase.INVESTIGATING, **changes: Any) -> Draft:
    return Draft(phase, body, **changes)


def incident(
    *, at: datetime = NIGHT, levels: dict[Component, Level] | None = None, public: bool = True, **changes: Any
) -> Incident:
    """Ann declares at ``at`` that the API is down since then, in public unless said otherwise."""
    values: dict[str, Any] = {
        "severity": changes.pop("severity", None) or severity(),
        "title": "API is not answering",
        "started_at": at,
        "by": operator(),
        "at": at,
        "brand": brand(),
        "levels": {component(): Level.MAJOR} if levels is None else levels,
        "draft": draft() if public else None,
    }
    return lifecycle.declare(**(values | changes))
