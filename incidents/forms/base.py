"""What every form of an act carries: the version it was read at, and a token of its own (F09, F11)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.validators import ProhibitNullCharactersValidator

from incidents.lifecycle import Ask
from incidents.models import Incident
from notifications.validators import one_line, prose

#: As long as public words may be (``NoticeUpdate.body``).
LONGEST = 5000


def words(label: str, *, rows: int = 3, longest: int = LONGEST, **options: Any) -> forms.CharField:
    """A field for text of several lines."""
    field = forms.CharField(label=label, max_length=longest, widget=forms.Textarea({"rows": rows}), **options)
    return _checked(field, prose)


def line(label: str, *, longest: int, **options: Any) -> forms.CharField:
    """A field for text of one line."""
    return _checked(forms.CharField(label=label, max_length=longest, **options), one_line)


def _checked(field: forms.CharField, check: Callable[[str], None]) -> forms.CharField:
    """Our own check says where a character is; Django's for NUL would only say it again."""
    kept = [known for known in field.validators if not isinstance(known, ProhibitNullCharactersValidator)]
    field.validators = [*kept, check]
    return field


class ActForm(forms.Form):
    """``at`` is the moment of the request (UTC), ``by`` who asks; ``incident`` is None while one is declared."""

    #: The template of what it asks besides words: a part of the act's page.
    part = ""

    version = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
    token = forms.UUIDField(
        widget=forms.HiddenInput, error_messages={"required": "This form is incomplete. Open it again."}
    )

    def __init__(
        self,
        data: Any = None,
        *,
        at: datetime,
        incident: Incident | None = None,
        by: User | None = None,
        **options: Any,
    ) -> None:
        self.at, self.incident, self.by = at, incident, by
        start = {"token": uuid.uuid4(), "version": incident.version if incident else None}
        options["initial"] = start | (options.get("initial") or {})
        options.setdefault("use_required_attribute", False)
        super().__init__(data, **options)

    @property
    def ask(self) -> Ask:
        """What this form knew; call on a valid form only."""
        return Ask(version=self.cleaned_data["version"], token=self.cleaned_data["token"])

    def focus(self) -> str:
        """Put the cursor into the first field with an error; answers the id of that field."""
        for name, field in self.fields.items():
            if name in self.errors:
                field.widget.attrs["autofocus"] = True
                return self[name].auto_id
        return ""

    def mistakes(self) -> list[tuple[str, str, str]]:
        """(id, label, message) of every error, in the order of the form; errors of no field have no id."""
        found = [("", "", str(message)) for message in self.non_field_errors()]
        for name in self.fields:
            found += [(self[name].auto_id, str(self[name].label), str(text)) for text in self.errors.get(name, ())]
        return found
