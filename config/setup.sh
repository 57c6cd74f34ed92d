#!/bin/sh
# Makes .venv from requirements.lock: every file checked against its hash, nothing else installed.
# Run by `make setup` from the project's folder.
set -eu

PYTHON=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    say "Python 3.11 or newer is needed and '$PYTHON' was not found. On Debian or Ubuntu:"
    say "    sudo apt-get install python3 python3-venv"
    exit 1
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "Python 3.11 or newer is needed; '$PYTHON' is $("$PYTHON" -V 2>&1). Name another one: make setup PYTHON=python3.12"
    exit 1
fi
if ! "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    say "Python's venv module is missing. On Debian or Ubuntu:"
    say "    sudo apt-get install python3-venv"
    exit 1
fi

# A folder that was moved, or made by a Python that is gone, cannot be mended: start afresh.
here=$(pwd -P)
if [ -d .venv ] && ! { [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' >/dev/null 2>&1 && [ "$(cat .venv/made-in 2>/dev/null || echo "$here")" = "$here" ]; }; then
    say "The old .venv cannot be used any more; making a new one."
    rm -rf .venv
fi
if [ ! -d .venv ]; then
    say "Making .venv with $("$PYTHON" -V 2>&1) …"
    "$PYTHON" -m venv .venv
fi
printf '%s' "$here" > .venv/made-in
rm -f .venv/installed

# uv's own lines of the lock, with their hashes: the installer is checked like everything else.
awk '/^uv==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock > .venv/uv.lock.txt
if .venv/bin/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock.txt \
    && .venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python requirements.lock; then
    :
else
    say "uv could not do it; trying plain pip (slower) …"
    .venv/bin/python -m ensurepip --upgrade >/dev/null 2>&1 || true
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements.lock
fi
touch .venv/installed
say "Installed into .venv."
