"""``python -m tests.drills``: runs every drill and ends with one line per drill."""

from __future__ import annotations

import subprocess
import sys


def main(arguments: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", "tests/drills", "-m", "drill", "-s", "-q", "--no-header", *arguments]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    found: list[str] = []
    for line in run.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if line.startswith("drill "):
            found.append(line)
    sys.stdout.write("\n" + "".join(found))
    return run.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
