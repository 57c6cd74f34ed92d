"""The rules that come with the policy presets: from a data file to rows, once (R-101, R-107, R-901)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from incidents.models import Policy
from postmortems.credits.arithmetic.months import following
from postmortems.enums import Measure
from postmortems.models import RuleBook, RuleVersion, Tier

from . import rulebooks
from .rulewords import seconds

FILE = Path(__file__).parent / "presets.toml"


@dataclass(frozen=True)
class Loaded:
    """What became of one: new, or there before and left alone."""

    book: RuleBook
    created: bool


def read() -> list[dict[str, Any]]:
    """The presets as their file has them."""
    with FILE.open("rb") as file:
        books: list[dict[str, Any]] = tomllib.load(file)["books"]
    return books


@transaction.atomic
def load_presets(*, at: datetime, by: User | None = None) -> list[Loaded]:
    """Bring in the rules of policies that have none yet, in force since ever; leave the others alone.

    What is there keeps every edit; a policy that is not there is passed over. Where months were closed without
    rules they stay as they are: the rules hold from the month after. Rules that no longer fit the policy stay a draft.
    """
    loaded = []
    for preset in read():
        policy = Policy.objects.filter(slug=preset["policy"]).first()
        if policy is None:
            continue
        there = RuleBook.objects.filter(policy=policy, plan="").first()
        loaded.append(Loaded(there, created=False) if there else Loaded(_write(preset, policy, by, at), created=True))
    return loaded


def _write(preset: Mapping[str, Any], policy: Policy, by: User | None, at: datetime) -> RuleBook:
    codes = {rung.rank: rung.code for rung in reversed(rulebooks.ladder(RuleBook(policy=policy)))}
    book = rulebooks.create(name=_free(preset["name"]), policy=policy, plan="", by=by, at=at)
    draft = RuleVersion.objects.get(book=book)
    tiers = [
        Tier(
            measure=Measure.DURATION,
            rank=row["rank"],
            code=codes.get(row["rank"], ""),
            longer_than_seconds=seconds(row["longer_than"]),
            percent=Decimal(row["percent"]),
        )
        for row in preset["tiers"]
    ]
    fields = {name: preset[name] for name in ("hold_hours", "notice_days", "remark")}
    draft = rulebooks.write(draft, fields=fields | {"cap_percent": Decimal(preset["cap_percent"])}, tiers=tiers)
    if any(finding.is_error for finding in rulebooks.check(draft)):
        # The owner changed the policy so that the preset does not fit: a person decides.
        return book
    through = rulebooks.closed_through()
    since = following(through) if through and rulebooks.refused(draft, None) else None
    rulebooks.put_in_force(draft, applies_from=since, by=by, at=at)
    return book


def _free(name: str) -> str:
    """The name, or the first of “name 2”, “name 3” … that nothing is called."""
    taken = set(RuleBook.objects.filter(name__startswith=name).values_list("name", flat=True))
    number = 1
    while (free := name if number == 1 else f"{name} {number}") in taken:
        number += 1
    return free
