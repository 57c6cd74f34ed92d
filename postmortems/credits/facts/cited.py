"""Which incidents an assessment counted, read without the rest of what it says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import F, Func, JSONField

from postmortems.models import Assessment


def cited(assessments: Collection[int]) -> dict[int, tuple[str, ...]]:
    """By assessment: the incidents in its lines, each once, in their order. One query."""
    rows = Assessment.objects.filter(pk__in=assessments).order_by().values_list("pk", _References(F("content")))
    return {pk: tuple(dict.fromkeys(references)) for pk, references in rows}


class _References(Func):
    """Of all lines, one after the other; by the database, for reading 10,000 assessments whole takes seconds."""

    output_field = JSONField()
    template = "jsonb_path_query_array(%(expressions)s, '$.lines[*].references[*]')"

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = (
            "(SELECT json_group_array(one.value)"
            " FROM json_each(%(expressions)s, '$.lines') AS line, json_each(line.value, '$.references') AS one)"
        )
        return super().as_sqlite(compiler, connection, template=template, **extra)
