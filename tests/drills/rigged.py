"""A program of ours with something broken in it: ``python -m tests.drills.rigged <rig>[,…] <python arguments>``.

The rigs stand in ``tests.drills.rigs``: what a drill needs to happen inside a program (a message
that kills its worker), and machines that lack what a drill is about.
"""

from __future__ import annotations

import os
import runpy
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from tests.drills.rigs import RIGS  # noqa: E402 -- Django is set up first


def main(rigs: str, argv: list[str]) -> None:
    for rig in filter(None, rigs.split(",")):
        name, _, option = rig.partition(":")
        RIGS[name](option)
    module = argv[0] == "-m"
    sys.argv = argv[1:] if module else argv
    if module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.getcwd())
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
