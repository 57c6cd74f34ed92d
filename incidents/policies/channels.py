"""Writing the channel grid of a draft: all cells at once (R-112)."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from incidents.enums import Audience, Setting, Wire
from incidents.models import ChannelRule, PolicyVersion

#: (id of the severity, channel, audience) → what it says; None: nothing, which is off.
Cells = Mapping[tuple[int, Wire, Audience], Setting | None]


@transaction.atomic
def set_channels(version: PolicyVersion, cells: Cells) -> list[str]:
    """Write these cells and leave the others; six queries whatever their number.

    Answers what changed, in words. Raises PolicyError unless the version is a draft (R-102).
    """
    # The lock makes two people who save at once wait for each other.
    version = PolicyVersion.objects.select_for_update().select_related("policy").get(pk=version.pk)
    version.refuse_unless_draft()
    levels = {level.pk: level for level in version.severities.all()}
    rules = {
        (rule.severity_id, Wire(rule.wire), Audience(rule.audience)): rule
        for rule in ChannelRule.objects.filter(severity__in=levels)
    }
    changed, new, gone, words = [], [], [], []
    for key, wanted in cells.items():
        rule = rules.get(key)
        if (Setting(rule.setting) if rule else Setting.OFF) == (wanted or Setting.OFF):
            continue
        words.append(f"{levels[key[0]].short} {key[1].label} → {key[2].label}: {(wanted or Setting.OFF).label.lower()}")
        if rule is None:
            new.append(ChannelRule(severity_id=key[0], wire=key[1], audience=key[2], setting=wanted or Setting.OFF))
        elif wanted is None:
            gone.append(rule.pk)
        else:
            rule.setting = wanted
            changed.append(rule)
    ChannelRule.objects.bulk_create(new)
    ChannelRule.objects.bulk_update(changed, ["setting"])
    ChannelRule.objects.filter(pk__in=gone).delete()
    return words
