"""What is owed, and by when: obligations as rows whose moments are frozen when they arise (R-107, R-109, R-301).

What is owed follows from the facts of an incident (or a maintenance) and the duties of its severity;
``open_duties`` writes down what is owed now and not written yet, so it may be called after every act.
Nobody else writes these rows, but for ``incidents.reminders``, which notes whom it told.
"""

from .book import Change, close_out, compare, drop, meet, open_duties, replan, replan_times, waive
from .due import Due, calendar_of, must_promise, owed, review_owed
from .kinds import AFTERWARDS, BY_HAND, LONG, MEETS, ONLY_BY_ACT, PUBLIC, REPEATING, UNTIL_MITIGATED, UPKEEP, WHILE_OPEN
from .upkeep import drop_maintenance, meet_maintenance, open_maintenance_duties

__all__ = [
    "AFTERWARDS",
    "BY_HAND",
    "LONG",
    "MEETS",
    "ONLY_BY_ACT",
    "PUBLIC",
    "REPEATING",
    "UNTIL_MITIGATED",
    "UPKEEP",
    "WHILE_OPEN",
    "Change",
    "Due",
    "calendar_of",
    "close_out",
    "compare",
    "drop",
    "drop_maintenance",
    "meet",
    "meet_maintenance",
    "must_promise",
    "open_duties",
    "open_maintenance_duties",
    "owed",
    "replan",
    "replan_times",
    "review_owed",
    "waive",
]
