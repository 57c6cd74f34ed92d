"""Ties between incidents, and merging one that is the same as another (R-212, R-1311)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, letters, timeline
from incidents.discretion import HIDDEN
from incidents.enums import OPEN, State, Tie, Verb
from incidents.models import Incident, IncidentLink
from incidents.moves import UNSEEN, Ask, NotAllowed, move, take
from status import amending, ledger, publishing
from status.enums import Phase
from status.publishing import Draft
from status.translations import Translation

from .finding import begin_with
from .speaking import ways_of


@transaction.atomic
def link(
    incident: Incident,
    other: Incident,
    tie: Tie,
    *,
    note: str = "",
    by: User | None,
    at: datetime,
    ask: Ask = UNSEEN,
) -> Incident:
    """Tie it to another: "this one repeats that one". Both timelines say so.

    A repeat may make a post-mortem due (R-103). Raises ``NotAllowed`` when the two are tied already.
    """
    incident, other = _take_both(incident, other, ask)
    if tie == Tie.DUPLICATE:
        raise NotAllowed("A duplicate is merged, so that it is told and counted once.")
    if known := IncidentLink.objects.filter(incident=incident, other=other).first():
        raise NotAllowed(f"{incident.reference} {known.get_tie_display()} {other.reference} already.")
    IncidentLink.objects.create(incident=incident, other=other, tie=tie, note=note, linked_at=at, linked_by=by)
    facts: dict[str, Any] = {"tie": tie.value}
    told, said = told_in(incident, other), said_in(incident, other, note)
    timeline.record(incident, Verb.LINKED, by=by, at=at, words=said, token=ask.token, other=told, **facts)
    told, said = told_in(other, incident), said_in(other, incident, note)
    timeline.record(other, Verb.LINKED, by=by, at=at, words=said, by_other=told, **facts)
    clock.open_duties(incident, at=at)
    return incident


@transaction.atomic
def unlink(incident: Incident, other: Incident, *, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """They have nothing to do with each other. A merged duplicate stays tied to what it goes on under.

    What was owed only because it was a repeat is owed no more (R-103).
    """
    incident, other = _take_both(incident, other, ask)
    tied = IncidentLink.objects.filter(incident=incident, other=other).first()
    if tied is None:
        raise NotAllowed(f"{incident.reference} is not linked to {other.reference}.")
    if incident.merged_into_id == other.pk:
        raise NotAllowed(f"{incident.reference} was merged into {other.reference}; that cannot be undone.")
    tied.delete()
    facts: dict[str, Any] = {"tie": tied.tie}
    timeline.record(incident, Verb.UNLINKED, by=by, at=at, token=ask.token, other=told_in(incident, other), **facts)
    timeline.record(other, Verb.UNLINKED, by=by, at=at, by_other=told_in(other, incident), **facts)
    clock.open_duties(incident, at=at)
    return incident


@transaction.atomic
def merge(
    incident: Incident,
    into: Incident,
    *,
    body: str,
    by: User | None,
    at: datetime,
    across_brands: bool = False,
    channels: Collection[str] | None = None,
    letter: str | None = None,
    translations: Mapping[str, Translation] | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that it is the same as ``into``, and goes on there: told once, counted once (R-1311).

    Its components are held by ``into`` since they were hit, and ``into`` began when the first of both did.
    Its page ends with ``body``; nothing is owed for it any more. ``channels`` and ``letter`` as for ``resolve``.
    Raises ``NotAllowed`` with the reason.
    """
    incident, into = _take_both(incident, into, ask)
    _refuse_merging(incident, into, across_brands)
    incident.merged_into = into
    move(incident, State.MERGED, at=at)
    held = ledger.held_by(incident.source)
    ledger.hand_over(incident.source, into.source, at=at)
    said: dict[str, Any] = {}
    if incident.notice and into.notice:
        amending.widen(into.notice, into.source, at=at)
        draft = Draft(Phase.RESOLVED, body, translations=translations or {})
        ways = ways_of(incident, channels)
        said = {"update": publishing.post(incident.notice, draft, at=at, channels=ways).public_id}
        letters.write_as_asked(incident, draft, letter, ways, held, by=by, at=at)
    clock.drop(incident, at=at, remark="It was merged into another incident.")
    IncidentLink.objects.update_or_create(
        incident=incident, other=into, defaults={"tie": Tie.DUPLICATE, "linked_at": at, "linked_by": by}
    )
    # Its last words are public, or they say what both have in common.
    words, told = body if said else said_in(incident, into, body), told_in(incident, into)
    timeline.record(incident, Verb.MERGED, by=by, at=at, words=words, token=ask.token, into=told, **said)
    timeline.record(into, Verb.MERGED, by=by, at=at, took=told_in(into, incident))
    begin_with(into, incident, words=f"It began with {told_in(into, incident)}.", by=by, at=at)
    return incident


def told_in(incident: Incident, other: Incident) -> str:
    """How the timeline of ``incident`` names ``other``: everybody who reads the one may not know of the other."""
    return HIDDEN if other.is_restricted and not incident.is_restricted else other.reference


def said_in(incident: Incident, other: Incident, words: str) -> str:
    """Words about both, as far as everybody who reads the timeline of ``incident`` may read them."""
    return "" if told_in(incident, other) == HIDDEN else words


def why_not(incident: Incident, into: Incident, *, across_brands: bool = False) -> str:
    """Why it cannot be merged into the other, for people; empty: it can."""
    if incident == into:
        return "It cannot be merged into itself."
    if into.state == State.MERGED:
        return f"{into.reference} was itself merged into another. Choose the one it went on under."
    if into.state not in OPEN:
        return f"{into.reference} is {into.get_state_display().lower()}; only what is open goes on."
    if incident.is_restricted and not into.is_restricted:
        return f"{into.reference} is not restricted: what is secret here would be read there."
    if incident.notice_id and not into.notice_id:
        return f"{into.reference} is not public yet. Go public there first, or merge it into this one."
    if incident.brand_id != into.brand_id and not across_brands:
        return f"{into.reference} is told by another brand, {into.brand.name}. Say that this is meant."
    return ""


def _refuse_merging(incident: Incident, into: Incident, across_brands: bool) -> None:
    if reason := why_not(incident, into, across_brands=across_brands):
        raise NotAllowed(reason)


def _take_both(incident: Incident, other: Incident, ask: Ask) -> tuple[Incident, Incident]:
    """Lock both rows, always the older first: two who tie them crosswise must not wait for each other."""
    if incident.pk == other.pk:
        raise NotAllowed("It cannot be tied to itself.")
    keys = sorted([incident.pk, other.pk])
    list(Incident.objects.select_for_update(of=("self",)).filter(pk__in=keys).order_by("pk").values_list("pk"))
    return take(incident, ask), take(other, UNSEEN)
