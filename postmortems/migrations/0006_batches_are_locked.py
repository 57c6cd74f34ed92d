"""A closed month is locked: the database refuses to change a batch, or what a credit is and which batch took it.

What says whom we told of a batch may change (R-905). SQLite has no TRUNCATE, so emptying a test database deletes
row by row: there DELETE is refused by the model alone. SQLite also forgets the triggers of a table that a
migration rebuilds: a later migration that does so runs ``release`` first and ``protect`` last.
"""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH = "number month closed_at closed_by_id count totals digest csv xlsx json".split()
CREDIT = "contract_month_id number kind amount_minor currency reverses_id".split()


def _differs(columns: list[str], vendor: str) -> str:
    differs = "IS DISTINCT FROM" if vendor == "postgresql" else "IS NOT"
    # PostgreSQL compares jsonb by value; so does the text of it on SQLite.
    return " OR ".join(f'NEW."{column}" {differs} OLD."{column}"' for column in columns)


def _guards(vendor: str) -> list[tuple[str, str, str, str, str]]:
    """Name, table, event, condition, words."""
    kept = f'(OLD.batch_id IS NOT NULL AND ({_differs(["batch_id"], vendor)}))'
    guards = [
        ("batches_are_locked", "postmortems_batch", "UPDATE", _differs(BATCH, vendor), "A closed month stays as it is."),
        (
            "credits_keep_their_amount",
            "postmortems_credit",
            "UPDATE",
            f"{_differs(CREDIT, vendor)} OR {kept}",
            "A credit keeps its amount, and the batch that took it.",
        ),
    ]
    if vendor == "postgresql":
        guards.append(("batches_stay", "postmortems_batch", "DELETE", "TRUE", "A closed month stays closed."))
    return guards


def protect(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    vendor = editor.connection.vendor
    for name, table, event, condition, words in _guards(vendor):
        if vendor == "postgresql":
            editor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$"
                f" BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
                params=None,
            )
            editor.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition})"
                f" EXECUTE FUNCTION {name}()",
                params=None,
            )
        else:
            editor.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN {condition}"
                f" BEGIN SELECT RAISE(ABORT, '{words}'); END",
                params=None,
            )


def release(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    vendor = editor.connection.vendor
    for name, *_ in _guards(vendor):
        if vendor == "postgresql":
            editor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE", params=None)
        else:
            editor.execute(f"DROP TRIGGER IF EXISTS {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [("postmortems", "0005_what_reaches_customers")]
    operations = [
        migrations.CreateModel(
            name="BatchNumber",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("year", models.PositiveIntegerField(default=0)),
                ("last", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(
                condition=models.Q(("tell_next_at__isnull", False)), fields=["tell_next_at"], name="batch_to_tell"
            ),
        ),
        migrations.RunPython(protect, release),
    ]
