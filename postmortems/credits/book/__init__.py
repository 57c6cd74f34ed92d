"""The book of credits: one function per thing that is done with a credit (R-904, R-905, R-1308).

Nobody else writes credits, their history and postings. Every act locks the months that it touches
(``moves``); acts on many do what can be done and say of each other one why not (``Outcome``).
"""

from .approving import approve, give_back, keep, release, stop
from .correcting import grant, month_of, reverse
from .handing import apply, export
from .moves import MOVES, NotAllowed, Outcome, balances
from .settling import due, settle

__all__ = [
    "MOVES",
    "NotAllowed",
    "Outcome",
    "apply",
    "approve",
    "balances",
    "due",
    "export",
    "give_back",
    "grant",
    "keep",
    "month_of",
    "release",
    "reverse",
    "settle",
    "stop",
]
