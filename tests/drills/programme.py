"""The programme: every drill, its two sizes, and how its machine is broken to see that the drill bites.

A module of this folder takes part by naming its drills: ``DRILLS = (Drill(…), …)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.drills.verdict import Verdict

_TAKES_PART = "\nDRILLS = ("


@dataclass(frozen=True)
class Drill:
    """``play`` runs it with the arguments of a size and returns what it found; it prints nothing.

    ``short`` is for every push (a few seconds), ``full`` for ``make drills``. ``broken`` names what
    ``play`` is told to break (its argument ``broken``; "" breaks nothing): the drill must notice.
    ``when_broken`` changes the short size for that run.
    """

    name: str
    play: Callable[..., Verdict]
    short: Mapping[str, Any]
    full: Mapping[str, Any]
    broken: str
    when_broken: Mapping[str, Any] = field(default_factory=dict)

    def run(self, *, full: bool = False) -> Verdict:
        return self.play(**(self.full if full else self.short))

    def run_broken(self) -> Verdict:
        """The short form on a machine that lacks what this drill is about."""
        return self.play(**{**self.short, **self.when_broken}, broken=self.broken)


def programme() -> list[Drill]:
    folder = Path(__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if _TAKES_PART in path.read_text())
    return [drill for name in names for drill in importlib.import_module(f"tests.drills.{name}").DRILLS]
