"""Components: adding, changing and taking them off the page, always in step with what people subscribe to."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from notifications.models import Topic
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
    """Write a new or edited component, its topic with it, and press the page."""
    if component.pk is None:
        component.created_at = at
        component.topic = Topic.objects.create(key=f"component:{component.public_id}", **_words(component))
    else:
        Topic.objects.filter(pk=component.topic_id).update(**_words(component))
    component.updated_at = at
    component.save()
    press.soon()
    return component


@transaction.atomic
def keep_group(group: Group, *, at: datetime) -> Group:
    """Write a new or edited group; topics carry its name as their heading."""
    group.save()
    for component in group.components.all():
        Topic.objects.filter(pk=component.topic_id).update(**_words(component))
    press.soon()
    return group


@transaction.atomic
def remove_group(group: Group, *, at: datetime) -> None:
    """Take a heading away; its components stay, without one."""
    Topic.objects.filter(component__group=group).update(section="")
    group.delete()
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


def _words(component: Component) -> dict[str, str | int | bool]:
    group = component.group
    return {
        "name": component.name,
        "section": group.name if group else "",
        "position": (group.position + 1 if group else 0) * GROUP_WIDTH + component.position,
        "offered": component.archived_at is None,
    }
