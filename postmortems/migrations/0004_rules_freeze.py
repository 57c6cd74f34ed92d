"""Rules in force stay as they were when months were judged by them (R-901, R-904).

The database refuses to change a version in force, to move it back, and to write or change its tiers. That its
author or whoever put it in force is forgotten (the account is deleted) passes. As in 0003, SQLite refuses no
DELETE: emptying a test database deletes row by row there.
"""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

VERSION, TIER = "postmortems_ruleversion", "postmortems_tier"
NAMES = {VERSION: "rules_in_force_are_frozen", TIER: "tiers_in_force_are_frozen"}
MESSAGE = "Credit rules in force can no longer be changed."
FROZEN = (
    "book_id number standing applies_from remark stacking overlap mix clock scope least_level proration cap_percent "
    "notice_days hold_hours second_above drafted_at in_force_at"
).split()


def _changed(differs: str) -> str:
    return "OLD.standing = 'in_force' AND (" + " OR ".join(f"NEW.{one} {differs} OLD.{one}" for one in FROZEN) + ")"


def _in_force(row: str) -> str:
    return f"EXISTS (SELECT 1 FROM {VERSION} WHERE id = {row}.version_id AND standing = 'in_force')"


def _postgresql() -> list[str]:
    body = (
        "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF TG_OP = 'DELETE' THEN IF {deleted} THEN"
        f" RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'check_violation'; END IF; RETURN OLD; END IF;"
        " IF {condition} THEN"
        f" RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$"
    )
    # OLD is a row of nulls while inserting, which no version matches.
    tier = f"{_in_force('NEW')} OR {_in_force('OLD')}"
    return [
        body.format(
            name=NAMES[VERSION], deleted="OLD.standing = 'in_force'", condition=_changed("IS DISTINCT FROM")
        ),
        f"CREATE TRIGGER {NAMES[VERSION]} BEFORE UPDATE OR DELETE ON {VERSION}"
        f" FOR EACH ROW EXECUTE FUNCTION {NAMES[VERSION]}()",
        body.format(name=NAMES[TIER], deleted=_in_force("OLD"), condition=tier),
        f"CREATE TRIGGER {NAMES[TIER]} BEFORE INSERT OR UPDATE OR DELETE ON {TIER}"
        f" FOR EACH ROW EXECUTE FUNCTION {NAMES[TIER]}()",
    ]


def _sqlite() -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    return [
        f"CREATE TRIGGER {NAMES[VERSION]} BEFORE UPDATE ON {VERSION} FOR EACH ROW WHEN {_changed('IS NOT')} {refuse}",
        f"CREATE TRIGGER {NAMES[TIER]}_insert BEFORE INSERT ON {TIER} FOR EACH ROW WHEN {_in_force('NEW')} {refuse}",
        f"CREATE TRIGGER {NAMES[TIER]}_update BEFORE UPDATE ON {TIER} FOR EACH ROW"
        f" WHEN {_in_force('NEW')} OR {_in_force('OLD')} {refuse}",
    ]


def freeze(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    for statement in _postgresql() if editor.connection.vendor == "postgresql" else _sqlite():
        editor.execute(statement, params=None)


def thaw(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        for name in NAMES.values():
            editor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE", params=None)
        return
    for name in (NAMES[VERSION], f"{NAMES[TIER]}_insert", f"{NAMES[TIER]}_update"):
        editor.execute(f"DROP TRIGGER IF EXISTS {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [("postmortems", "0003_append_only")]
    operations = [migrations.RunPython(freeze, thaw)]
