"""Triggers that keep a policy version as it was when incidents were judged by it (R-102).

They refuse INSERT and UPDATE, on both databases, with an IntegrityError; ``Model.delete`` and the
protected foreign keys of incidents stand before DELETE. SQLite forgets the triggers of a table that a
migration rebuilds: a later migration that alters one of these tables runs ``thaw`` first and ``freeze`` last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

MESSAGE = "This policy version is in force or retired and can no longer be changed."
VIA_SEVERITY = "(SELECT version_id FROM incidents_severity WHERE id = {row}.severity_id)"


@dataclass(frozen=True)
class Part:
    table: str
    version: str = "{row}.version_id"
    #: Columns that are frozen; empty: all of them.
    columns: str = ""

    @property
    def name(self) -> str:
        return f"{self.table}_is_frozen"

    def frozen(self, row: str) -> str:
        version = self.version.format(row=row)
        return f"EXISTS (SELECT 1 FROM incidents_policyversion WHERE id = {version} AND standing <> 'draft')"


PARTS = (
    Part("incidents_severity"),
    Part("incidents_supporttarget"),
    # The nod of the owner is written later than the words.
    Part("incidents_contradiction", columns="version_id, subject, shipped, other"),
    Part("incidents_duty", VIA_SEVERITY),
    Part("incidents_channelrule", VIA_SEVERITY),
)
VERSION = "incidents_policyversion"
VERSION_COLUMNS = (
    "policy_id number in_force_at remark work_zone work_days work_start work_end holiday_country".split()
)
#: What was added to policies since, with the criteria of the severity assistant (R-110) and the watch (R-214).
CRITERIA = Part("incidents_criterion", VIA_SEVERITY)
WATCH = "COALESCE(NEW.watch_minutes, -1) <> COALESCE(OLD.watch_minutes, -1)"


def _version_changed(also: str) -> str:
    """``also`` is one more condition under which a frozen version has changed, or empty."""
    return (
        "OLD.standing <> 'draft' AND (NEW.standing = 'draft' OR (OLD.standing = 'retired' AND NEW.standing <> 'retired')"
        + "".join(f" OR NEW.{column} <> OLD.{column}" for column in VERSION_COLUMNS)
        + (f" OR {also}" if also else "")
        + ")"
    )


def freeze(
    apps: Any, editor: BaseDatabaseSchemaEditor, parts: tuple[Part, ...] = PARTS, also: str = ""
) -> None:
    made = _postgresql if editor.connection.vendor == "postgresql" else _sqlite
    for statement in made(parts, _version_changed(also)):
        editor.execute(statement, params=None)


def thaw(apps: Any, editor: BaseDatabaseSchemaEditor, parts: tuple[Part, ...] = PARTS) -> None:
    if editor.connection.vendor == "postgresql":
        for part in parts:
            editor.execute(f"DROP FUNCTION IF EXISTS {part.name}() CASCADE", params=None)
        editor.execute(f"DROP FUNCTION IF EXISTS {VERSION}_is_frozen() CASCADE", params=None)
        return
    for part in parts:
        editor.execute(f"DROP TRIGGER IF EXISTS {part.name}_insert", params=None)
        editor.execute(f"DROP TRIGGER IF EXISTS {part.name}_update", params=None)
    editor.execute(f"DROP TRIGGER IF EXISTS {VERSION}_is_frozen", params=None)


def _sqlite(parts: tuple[Part, ...], changed: str) -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    made = [f"CREATE TRIGGER {VERSION}_is_frozen BEFORE UPDATE ON {VERSION} FOR EACH ROW WHEN {changed} {refuse}"]
    for part in parts:
        of = f" OF {part.columns}" if part.columns else ""
        made += [
            f"CREATE TRIGGER {part.name}_insert BEFORE INSERT ON {part.table} FOR EACH ROW"
            f" WHEN {part.frozen('NEW')} {refuse}",
            f"CREATE TRIGGER {part.name}_update BEFORE UPDATE{of} ON {part.table} FOR EACH ROW"
            f" WHEN {part.frozen('NEW')} OR {part.frozen('OLD')} {refuse}",
        ]
    return made


def _postgresql(parts: tuple[Part, ...], changed: str) -> list[str]:
    body = (
        "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {condition} THEN"
        f" RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$"
    )
    made = [
        body.format(name=f"{VERSION}_is_frozen", condition=changed),
        f"CREATE TRIGGER {VERSION}_is_frozen BEFORE UPDATE ON {VERSION}"
        f" FOR EACH ROW EXECUTE FUNCTION {VERSION}_is_frozen()",
    ]
    for part in parts:
        of = f" OF {part.columns}" if part.columns else ""
        made += [
            # OLD is a row of nulls while inserting, which no version matches.
            body.format(name=part.name, condition=f"{part.frozen('NEW')} OR {part.frozen('OLD')}"),
            f"CREATE TRIGGER {part.name} BEFORE INSERT OR UPDATE{of} ON {part.table}"
            f" FOR EACH ROW EXECUTE FUNCTION {part.name}()",
        ]
    return made
