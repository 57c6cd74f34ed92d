"""What an incident has to do with others (R-212, R-1311)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User

from incidents import lifecycle
from incidents.enums import State, Tie
from incidents.forms import linking
from incidents.models import Incident

from .deed import COMMAND, PUBLISH, Deed, may_become


def _link(form: linking.LinkForm, incident: Incident, by: User, at: datetime) -> object:
    other, tie, note = form.cleaned_data["other"], Tie(form.cleaned_data["tie"]), form.cleaned_data["note"]
    return lifecycle.link(incident, other, tie, note=note, by=by, at=at, ask=form.ask)


def _unlink(form: linking.UnlinkForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.unlink(incident, form.cleaned_data["other"], by=by, at=at, ask=form.ask)


def _merge(form: linking.MergeForm, incident: Incident, by: User, at: datetime) -> object:
    known, draft = form.cleaned_data, form.draft()
    return lifecycle.merge(
        incident,
        known["into"],
        body=draft.body,
        translations=draft.translations,
        by=by,
        at=at,
        across_brands=bool(known.get("across")),
        channels=form.channels,
        letter=form.letter,
        ask=form.ask,
    )


#: In the order in which they are offered.
LINKING = (
    Deed(
        "link",
        "Link",
        "Link them",
        "Say what it has to do with another incident. Both timelines keep it.",
        PUBLISH,
        linking.LinkForm,
        _link,
        lambda incident: True,
        "link",
        "Linked.",
        group="links",
        starts=("other", "tie"),
    ),
    Deed(
        "unlink",
        "Remove a link",
        "Remove it",
        "They have nothing to do with each other. Both timelines keep that they were linked.",
        PUBLISH,
        linking.UnlinkForm,
        _unlink,
        lambda incident: True,
        "link_off",
        "The link is removed.",
        group="links",
        listed=False,
        starts=("other",),
    ),
    Deed(
        "merge",
        "Merge",
        "Merge it",
        "It is the same as another: it goes on there, and counts once. This cannot be undone.",
        COMMAND,
        linking.MergeForm,
        _merge,
        may_become(State.MERGED),
        "merge",
        "Merged. It goes on under the other one.",
        group="links",
        starts=("into",),
    ),
)
