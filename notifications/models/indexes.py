"""Indexes that Django has no words for."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Upper


class BeginningIndex(models.Index):
    """Finds the beginning of a text whatever its capitals: ``field__istartswith``.

    PostgreSQL compares beginnings by bytes, and must be told so wherever a collation sorts otherwise.
    """

    def __init__(self, *, field: str, name: str, condition: models.Q | None = None) -> None:
        self.field = field
        super().__init__(Upper(field), name=name, condition=condition)

    def deconstruct(self) -> Any:
        path, _, kwargs = super().deconstruct()
        return path, (), kwargs | {"field": self.field}

    def clone(self) -> BeginningIndex:
        return BeginningIndex(field=self.field, name=self.name, condition=self.condition)

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Any:
        statement = super().create_sql(model, schema_editor, using, **kwargs)
        if schema_editor.connection.vendor == "postgresql":
            parts: dict[str, Any] = statement.parts
            parts["columns"] = f"{parts['columns']} varchar_pattern_ops"
        return statement
