"""The database itself refuses to rewrite the timeline (R-205).

On PostgreSQL neither UPDATE nor DELETE pass. SQLite has no TRUNCATE, so emptying a test database
deletes row by row: there only UPDATE is refused.
"""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "incidents_timelineentry"
NAME = "timeline_is_append_only"


def protect(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(
            f"CREATE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'The timeline is append-only.' USING ERRCODE = 'integrity_constraint_violation';"
            " END $$",
            params=None,
        )
        editor.execute(
            f"CREATE TRIGGER {NAME} BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {NAME}()",
            params=None,
        )
    else:
        editor.execute(
            f"CREATE TRIGGER {NAME} BEFORE UPDATE ON {TABLE} FOR EACH ROW"
            " BEGIN SELECT RAISE(ABORT, 'The timeline is append-only.'); END",
            params=None,
        )


def release(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(f"DROP FUNCTION IF EXISTS {NAME}() CASCADE", params=None)
    else:
        editor.execute(f"DROP TRIGGER IF EXISTS {NAME}", params=None)


class Migration(migrations.Migration):
    dependencies = [("incidents", "0005_when_it_stopped_to_hurt")]
    operations = [migrations.RunPython(protect, release)]
