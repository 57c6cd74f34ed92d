"""The forms of the operator's console: they read, check and explain; ``incidents.lifecycle`` acts."""

from .acts import AcknowledgeForm, CorrectForm, OfIncident, SeverityForm, UpdateForm
from .base import ActForm
from .composer import ComposerForm
from .concerns import Weighed
from .declaring import DeclareForm
from .ending import CloseForm, FalseAlarmForm, ReopenForm, ResolveForm
from .finding import FindingForm, TimesForm
from .telling import TellingForm
from .working import CheckForm, CorrectNoteForm, MitigateForm, NoteForm, QuickForm, TryForm, VerifyForm

__all__ = [
    "AcknowledgeForm",
    "ActForm",
    "CheckForm",
    "CloseForm",
    "ComposerForm",
    "CorrectForm",
    "CorrectNoteForm",
    "DeclareForm",
    "FalseAlarmForm",
    "FindingForm",
    "MitigateForm",
    "NoteForm",
    "OfIncident",
    "QuickForm",
    "ReopenForm",
    "ResolveForm",
    "SeverityForm",
    "TellingForm",
    "TimesForm",
    "TryForm",
    "UpdateForm",
    "VerifyForm",
    "Weighed",
]
