"""Who works at the demo organisation: one login per role (R-1202, reliability.md 4.1)."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User

ADMIN = "admin"
#: Letters and digits that cannot be mistaken for each other.
_SAFE = "abcdefghjkmnpqrstuvwxyz23456789"

_SEE_INCIDENTS = (
    "incidents.view_incident",
    "incidents.view_maintenance",
    "incidents.view_timelineentry",
    "incidents.view_obligation",
)
_SEE_DELIVERIES = (
    "notifications.view_announcement",
    "notifications.view_delivery",
    "notifications.view_endpoint",
    "notifications.view_channelstate",
)
_SEE_PEOPLE = (
    "notifications.view_subscriber",
    "notifications.view_customer",
    "notifications.view_contact",
    "notifications.view_reply",
)
_SEE_RULES = (
    "incidents.view_policy",
    "incidents.view_policyversion",
    "incidents.view_severity",
    "incidents.view_updatetemplate",
    "incidents.view_runbookstep",
    "incidents.view_tool",
    "status.view_component",
    "status.view_notice",
    "status.view_impact",
)
#: Contracts, rules, credits and what was exported.
_SEE_MONEY = (
    "postmortems.view_contract",
    "postmortems.view_term",
    "postmortems.view_rulebook",
    "postmortems.view_ruleversion",
    "postmortems.view_credit",
    "postmortems.view_contractmonth",
    "postmortems.view_exclusion",
    "postmortems.view_batch",
)
_SEE_ALL = (*_SEE_INCIDENTS, *_SEE_DELIVERIES, *_SEE_PEOPLE, *_SEE_RULES, *_SEE_MONEY, "postmortems.view_review")

#: What each role may do, as ``app.codename``. Finance sees incidents only; who writes does not approve.
ROLES: dict[str, tuple[str, ...]] = {
    "Support": (*_SEE_INCIDENTS, *_SEE_DELIVERIES, *_SEE_PEOPLE, "status.view_component", "incidents.declare"),
    "Communications": (
        *_SEE_ALL,
        "incidents.declare",
        "incidents.publish",
        "incidents.change_updatetemplate",
        "notifications.add_endpoint",
        "notifications.change_endpoint",
        "notifications.change_channelstate",
        "notifications.change_delivery",
        "notifications.change_subscriber",
        "notifications.view_address",
        "notifications.import_subscriber",
        "notifications.export_subscriber",
        "notifications.erase_subscriber",
    ),
    "Incident commander": (
        *_SEE_ALL,
        "incidents.declare",
        "incidents.publish",
        "incidents.command",
        "incidents.add_runbookstep",
        "incidents.change_runbookstep",
        "incidents.add_tool",
        "incidents.change_tool",
        "postmortems.add_review",
        "postmortems.change_review",
    ),
    "Finance": (
        *_SEE_INCIDENTS,
        *_SEE_MONEY,
        "notifications.view_customer",
        "notifications.view_contact",
        "incidents.view_policy",
        "postmortems.add_contract",
        "postmortems.change_contract",
        "postmortems.add_term",
        "postmortems.change_term",
        "postmortems.add_rulebook",
        "postmortems.change_rulebook",
        "postmortems.add_ruleversion",
        "postmortems.change_ruleversion",
        "postmortems.put_rules_in_force",
        "postmortems.approve_credit",
        "postmortems.grant_credit",
        "postmortems.export_credit",
        "postmortems.exclude_time",
    ),
    "Auditor": _SEE_ALL,
    # Told of every security incident, and let in to read it.
    "Legal and CISO": (*_SEE_INCIDENTS, "incidents.informed_of_security"),
}
#: login, first and last name, role.
STAFF = (
    ("support", "Sofia", "Lindqvist", "Support"),
    ("comms", "Ines", "Carvalho", "Communications"),
    ("commander", "Marcus", "Adeyemi", "Incident commander"),
    ("finance", "Tomasz", "Wolski", "Finance"),
    # Large credits and reversals need a second person (R-1308).
    ("controller", "Amara", "Okafor", "Finance"),
    ("auditor", "Yuki", "Tanaka", "Auditor"),
    ("ciso", "Noor", "Haddad", "Legal and CISO"),
)


def password_file() -> Path:
    """Where the demo's password is kept, readable by its owner only."""
    return Path(settings.VAR_DIR) / "demo-password"


def demo_password() -> str:
    """The password of every demo login: made once per folder, so that a second start prints the same."""
    path = password_file()
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("-".join("".join(secrets.choice(_SAFE) for _ in range(4)) for _ in range(3)) + "\n")
    return path.read_text().strip()


def make_roles() -> dict[str, Group]:
    """Groups with the permissions of ROLES, made or brought up to date."""
    wanted = {name for names in ROLES.values() for name in names}
    codes = {name.partition(".")[2] for name in wanted}
    rows = Permission.objects.filter(codename__in=codes).select_related("content_type")
    found = {f"{row.content_type.app_label}.{row.codename}": row for row in rows}
    groups = {}
    for role, names in ROLES.items():
        groups[role], _ = Group.objects.get_or_create(name=role)
        groups[role].permissions.set([found[name] for name in names])
    return groups


def make_staff() -> dict[str, User]:
    """One login per role and an administrator, by login. People who are there keep their password."""
    groups = make_roles()
    # Hashed once: a strong hash takes longer than the rest of the demo's rows together.
    hashed = make_password(demo_password())
    people = {ADMIN: _person(ADMIN, "Ada", "Northcote", hashed, is_superuser=True)}
    for login, first, last, role in STAFF:
        people[login] = _person(login, first, last, hashed)
        people[login].groups.add(groups[role])
    return people


def _person(login: str, first: str, last: str, hashed: str, *, is_superuser: bool = False) -> User:
    person, _ = User.objects.get_or_create(
        username=login,
        defaults={
            "first_name": first,
            "last_name": last,
            "email": f"{login}@larkfield.example",
            "password": hashed,
            "is_staff": True,
            "is_superuser": is_superuser,
        },
    )
    return person
