"""The contact section of the public page: how soon support answers (R-104, R-705)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from status.models import AnswerTarget
from status.page import press


@transaction.atomic
def promise_answers(promises: Iterable[tuple[str, str]]) -> None:
    """Show these (priority, words) in this order, and no others; nothing happens when they are shown already."""
    wanted = list(promises)
    if list(AnswerTarget.objects.values_list("priority", "words")) == wanted:
        return
    AnswerTarget.objects.all().delete()
    AnswerTarget.objects.bulk_create(
        AnswerTarget(priority=priority, words=words, position=position)
        for position, (priority, words) in enumerate(wanted)
    )
    press.soon()
