"""``python -m tests.bench [NAME …]``: measures, prints, asserts nothing about time.

Each module of this folder with a function ``figures`` takes part; one line per figure at the end.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.bench.figures import Figure, MissingError  # noqa: E402 -- Django is set up first

TAKES_PART = "def figures("


def main(chosen: list[str]) -> int:
    folder = Path(__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem[0] != "_" and TAKES_PART in path.read_text())
    unknown = set(chosen) - set(names)
    if unknown:
        print(f"No such benchmark: {', '.join(sorted(unknown))}. There are: {', '.join(names)}.")
        return 2
    found: list[Figure] = []
    for name in chosen or names:
        print(f"Measuring {name} …", flush=True)
        try:
            found += importlib.import_module(f"tests.bench.{name}").figures()
        except MissingError as missing:
            print(f"{name}: {missing}")
            return 1
    _table(found)
    for figure in found:
        print(figure.line)
    return 0


def _table(found: list[Figure]) -> None:
    width = max((len(figure.name) for figure in found), default=0)
    print()
    for figure in found:
        compared = "" if figure.ratio is None else f"{figure.ratio:8.2f} × {figure.of}"
        print(f"{figure.name:<{width}}  {figure.value:>12,.1f} {figure.unit:<12}{compared}")
    print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
