"""The forms of the operator's console: they read, check and explain; ``incidents.lifecycle`` acts."""

from .acts import (
    AcknowledgeForm,
    CloseForm,
    CorrectForm,
    FalseAlarmForm,
    MitigateForm,
    NoteForm,
    OfIncident,
    ReopenForm,
    ResolveForm,
    SeverityForm,
    UpdateForm,
)
from .base import ActForm
from .composer import ComposerForm
from .declaring import DeclareForm
from .telling import TellingForm

__all__ = [
    "AcknowledgeForm",
    "ActForm",
    "CloseForm",
    "ComposerForm",
    "CorrectForm",
    "DeclareForm",
    "FalseAlarmForm",
    "MitigateForm",
    "NoteForm",
    "OfIncident",
    "ReopenForm",
    "ResolveForm",
    "SeverityForm",
    "TellingForm",
    "UpdateForm",
]
