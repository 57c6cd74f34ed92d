"""``python -m tests.drills [NAME …]``: runs the drills in full, one line per drill.

``--short`` runs them as every push does; ``--broken`` runs the short forms on machines that lack
what each drill is about, and says whether the drill noticed. Ends with 1 when a drill failed, or
failed to notice.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from tests.drills.programme import Drill, programme


def main(arguments: list[str]) -> int:
    drills = {drill.name: drill for drill in programme()}
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="Break things on purpose.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(drills))
    parser.add_argument("--short", action="store_true", help="the forms of every push")
    parser.add_argument("--broken", action="store_true", help="machines that must fail")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(drills):
        parser.error(f"no such drill: {', '.join(sorted(unknown))}")
    lines, wrong = [], 0
    for name in options.names or drills:
        began = time.monotonic()
        line, fine = _broken(drills[name]) if options.broken else _whole(drills[name], full=not options.short)
        wrong += not fine
        lines.append(line)
        print(f"{line}\n# {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    print("", *lines, sep="\n")
    return 1 if wrong else 0


def _whole(drill: Drill, *, full: bool) -> tuple[str, bool]:
    verdict = drill.run(full=full)
    return str(verdict), verdict.good


def _broken(drill: Drill) -> tuple[str, bool]:
    verdict = drill.run_broken()
    caught = "no" if verdict.good else "yes"
    return f"drill {drill.name} broken={drill.broken} caught={caught} {verdict.counts}", not verdict.good


if __name__ == "__main__":
    # Asked to end, it takes its programs and its databases with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
