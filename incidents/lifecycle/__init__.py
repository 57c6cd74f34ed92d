"""The life of an incident: one function per thing an operator says (R-201, design.md "The shape of an act").

Every act locks the incident's row, so that updates have one order (F09), and raises the version
(``incidents.moves``). Edges pass an ``Ask``: what their form knew.
"""

from incidents.moves import MOVES, AlreadyDone, Ask, Changed, Contradicted, NotAllowed

from .ending import close, mark_false_alarm, reopen, resolve
from .finding import Findings, changed_marks, correct_times, judge, misplaced
from .judging import change_severity, mitigate, verify
from .linking import link, merge, unlink
from .opening import acknowledge, declare
from .owing import mark_met, waive
from .restricting import admit, lift, restrict
from .speaking import correct_update, post_update
from .staffing import assign, hand_over, take_role
from .working import check, correct_note, may_be_reworded, note, try_mitigation

__all__ = [
    "MOVES",
    "AlreadyDone",
    "Ask",
    "Changed",
    "Contradicted",
    "Findings",
    "NotAllowed",
    "acknowledge",
    "admit",
    "assign",
    "change_severity",
    "changed_marks",
    "check",
    "close",
    "correct_note",
    "correct_times",
    "correct_update",
    "declare",
    "hand_over",
    "judge",
    "lift",
    "link",
    "mark_false_alarm",
    "mark_met",
    "may_be_reworded",
    "merge",
    "misplaced",
    "mitigate",
    "note",
    "post_update",
    "reopen",
    "resolve",
    "restrict",
    "take_role",
    "try_mitigation",
    "unlink",
    "verify",
    "waive",
]
