"""The life of an incident: one function per thing an operator says (R-201, design.md "The shape of an act").

Every act locks the incident's row, so that updates have one order (F09), and raises the version
(``incidents.moves``). Edges pass an ``Ask``: what their form knew.
"""

from incidents.moves import MOVES, AlreadyDone, Ask, Changed, NotAllowed

from .ending import close, mark_false_alarm, reopen, resolve
from .judging import change_severity, mitigate
from .opening import acknowledge, declare
from .speaking import correct_update, note, post_update

__all__ = [
    "MOVES",
    "AlreadyDone",
    "Ask",
    "Changed",
    "NotAllowed",
    "acknowledge",
    "change_severity",
    "close",
    "correct_update",
    "declare",
    "mark_false_alarm",
    "mitigate",
    "note",
    "post_update",
    "reopen",
    "resolve",
]
