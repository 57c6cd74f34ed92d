"""The database itself refuses to rewrite facts, assessments, postings and what was done (R-904).

On PostgreSQL neither UPDATE nor DELETE pass. SQLite has no TRUNCATE, so emptying a test database
deletes row by row: there only UPDATE is refused.
"""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLES = {
    "postmortems_outagefacts": "outage_facts_are_append_only",
    "postmortems_assessment": "assessments_are_append_only",
    "postmortems_posting": "postings_are_append_only",
    "postmortems_creditdeed": "credit_deeds_are_append_only",
}


def protect(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    for table, name in TABLES.items():
        words = name.replace("_", " ").capitalize()
        if editor.connection.vendor == "postgresql":
            editor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$"
                f" BEGIN RAISE EXCEPTION '{words}.' USING ERRCODE = 'integrity_constraint_violation';"
                " END $$",
                params=None,
            )
            editor.execute(
                f"CREATE TRIGGER {name} BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
                params=None,
            )
        else:
            editor.execute(
                f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW"
                f" BEGIN SELECT RAISE(ABORT, '{words}.'); END",
                params=None,
            )


def release(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    for table, name in TABLES.items():
        if editor.connection.vendor == "postgresql":
            editor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE", params=None)
        else:
            editor.execute(f"DROP TRIGGER IF EXISTS {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [("postmortems", "0002_credits")]
    operations = [migrations.RunPython(protect, release)]
