"""Components: adding, changing and taking them off the page, always in step with what people subscribe to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from notifications.models import Customer, Subscriber, Topic
from status.models import Component, Group
from status.page import press

#: Topics sort by group first; a group rarely has this many components.
GROUP_WIDTH = 1_000


class StillHeldError(Exception):
    """The component is held down by an open incident or maintenance; the words are for an operator."""


@transaction.atomic
def add_component(
    name: str,
    *,
    at: datetime,
    description: str = "",
    group: Group | None = None,
    position: int = 0,
    uptime_target: Decimal | None = None,
) -> Component:
    """A new component, shown at once and offered to subscribers."""
    component = Component(
        name=name, description=description, group=group, position=position, uptime_target=uptime_target
    )
    return keep(component, at=at)


@transaction.atomic
def keep(component: Component, *, at: datetime) -> Component:
    """Write a new or edited component, its topic and its group's with it, and press the page."""
    was_in = Component.objects.filter(pk=component.pk).values_list("group", flat=True).first()
    if component.pk is None:
        component.created_at = at
        component.topic = Topic.objects.create(key=f"component:{component.public_id}", **_words(component))
    else:
        Topic.objects.filter(pk=component.topic_id).update(**_words(component))
    component.updated_at = at
    component.save()
    _keep_topics(Group.objects.filter(pk__in=[was_in, component.group_id]))
    press.soon()
    return component


@transaction.atomic
def keep_group(group: Group, *, at: datetime) -> Group:
    """Write a new or edited group and its topic; its members' topics carry its name as their heading."""
    group.save()
    _keep_topics([group])
    for component in group.components.all():
        Topic.objects.filter(pk=component.topic_id).update(**_words(component))
    press.soon()
    return group


@transaction.atomic
def remove_group(group: Group, *, at: datetime) -> None:
    """Take a heading away; its components stay, without one. Whoever chose the group keeps what is in it now."""
    members, topic = list(Topic.objects.filter(component__group=group)), group.topic
    Topic.objects.filter(component__group=group).update(section="")
    group.delete()
    if topic:
        _hand_over(topic, members, at=at)
    press.soon()


@transaction.atomic
def archive(component: Component, *, at: datetime) -> Component:
    """Take a component off the page and the subscribe form; its past stays. Raises ``StillHeldError``."""
    if component.impacts.open().exists():
        raise StillHeldError(f"{component.name} is held down by something open. Resolve that first.")
    component.archived_at = at
    return keep(component, at=at)


@transaction.atomic
def restore(component: Component, *, at: datetime) -> Component:
    """Show an archived component again."""
    component.archived_at = None
    return keep(component, at=at)


def has_past(component: Component) -> bool:
    """Whether figures, permanent pages or subscribers know it: then it is archived, never deleted."""
    topic = component.topic
    return (
        component.impacts.exists()
        or component.notices.exists()
        or topic.subscribers.exists()
        or topic.customers.exists()
        or topic.announcements.exists()
    )


@transaction.atomic
def remove(component: Component, *, at: datetime) -> bool:
    """Delete a component nobody knows yet. False: it has a past and was archived instead. Raises ``StillHeldError``."""
    if has_past(component):
        archive(component, at=at)
        return False
    topic = component.topic
    component.delete()
    topic.delete()
    press.soon()
    return True


def _keep_topics(groups: Iterable[Group]) -> None:
    """Offered while the group has something to show: whoever chooses it hears of later members too (R-802)."""
    for group in groups:
        words = {
            "name": f"All of {group.name}",
            "section": group.name,
            # Just above its members.
            "position": (group.position + 1) * GROUP_WIDTH - 1,
            "offered": group.components.shown().exists(),
        }
        group.topic, _ = Topic.objects.update_or_create(key=f"group:{group.public_id}", defaults=words)
        group.save(update_fields=["topic"])


def _hand_over(topic: Topic, members: Iterable[Topic], *, at: datetime) -> None:
    """The group is gone: people and customers of its topic get the topics of its members in its place.

    The topic stays where announcements name it: without any topic they would concern everybody.
    """
    topic.subscribers.update(changed_at=at)
    choices: tuple[tuple[Any, str], ...] = (
        (Subscriber.topics.through, "subscriber_id"),
        (Customer.topics.through, "customer_id"),
    )
    for chosen, column in choices:
        theirs = chosen.objects.filter(topic=topic)
        rows = [
            chosen(**{column: who, "topic_id": member.pk})
            for who in theirs.values_list(column, flat=True)
            for member in members
        ]
        chosen.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)
        theirs.delete()
    if topic.announcements.exists():
        Topic.objects.filter(pk=topic.pk).update(offered=False)
    else:
        topic.delete()


def _words(component: Component) -> dict[str, str | int | bool]:
    group = component.group
    return {
        "name": component.name,
        "section": group.name if group else "",
        "position": (group.position + 1 if group else 0) * GROUP_WIDTH + component.position,
        "offered": component.archived_at is None,
    }
