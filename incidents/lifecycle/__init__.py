"""The life of an incident: one function per thing an operator says (R-201, design.md "The shape of an act").

Every act locks the incident's row, so that updates have one order (F09), and raises the version
(``incidents.moves``). Edges pass an ``Ask``: what their form knew.
"""

from incidents.moves import MOVES, AlreadyDone, Ask, Changed, Contradicted, NotAllowed

from .ending import close, mark_false_alarm, reopen, resolve
from .finding import Findings, correct_times, judge
from .judging import change_severity, mitigate, verify
from .opening import acknowledge, declare
from .speaking import correct_update, post_update
from .working import check, correct_note, note, try_mitigation

__all__ = [
    "MOVES",
    "AlreadyDone",
    "Ask",
    "Changed",
    "Contradicted",
    "Findings",
    "NotAllowed",
    "acknowledge",
    "change_severity",
    "check",
    "close",
    "correct_note",
    "correct_times",
    "correct_update",
    "declare",
    "judge",
    "mark_false_alarm",
    "mitigate",
    "note",
    "post_update",
    "reopen",
    "resolve",
    "try_mitigation",
    "verify",
]
