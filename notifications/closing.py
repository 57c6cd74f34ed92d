"""Closing time: how every thread and child process learns that it shall stop claiming (F30).

The flag lies in memory that forked children share: Celery's parent hears SIGTERM, its children
do the work.
"""

from __future__ import annotations

from multiprocessing.sharedctypes import RawValue

_flag = RawValue("b", 0)


def stopping() -> bool:
    return bool(_flag.value)


def stop() -> None:
    """Finish what is in flight, hand back the rest."""
    _flag.value = 1


def reopen() -> None:
    _flag.value = 0
