"""The life of planned work: one function per thing an operator says (R-501, R-503).

Every act locks the row, refuses a form that is older than it (F09) or was sent twice (F11), raises the
version and leaves one row of history: who, when, the words, and the window as it was then.

What figures and credits read (R-503): the seconds themselves are the impacts of ``maintenance.source`` in
the ledger, from when it really began to when it really ended; ``recorded_at`` of an impact is when its
beginning was written down. Whether they were announced in time follows from the history: its row
"announced" holds the window that the public was told first, and the moment (``announced_at``, which is
``published_at`` of the notice too); "rescheduled" and "extended" hold the windows told later, at
``history_date``. Nothing of this is ever written anew.
"""

from .book import MOVES, RUNNING_PHASES, AlreadyDone, Changed, Said, components_of, done_before, log
from .planning import announce, cancel, reschedule, schedule
from .working import begin, extend, finish, post_update

__all__ = [
    "MOVES",
    "RUNNING_PHASES",
    "AlreadyDone",
    "Changed",
    "Said",
    "announce",
    "begin",
    "cancel",
    "components_of",
    "done_before",
    "extend",
    "finish",
    "log",
    "post_update",
    "reschedule",
    "schedule",
]
