# Every command the project keeps true. `make` alone lists them.

SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 8000
# Where junit reports of test runs go; .ci/run adds them up.
RESULTS := var/reports
PY := .venv/bin/python
STAMP := .venv/installed
PYTEST := $(PY) -m pytest
QUIET := not services and not drill and not browser

export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-services browser check bench drills properties words lock \
	check-style check-format check-types check-layers check-migrations check-system check-templates

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name words; do printf '  make %-14s %s\n' "$$name" "$$words"; done

setup: $(STAMP) ## Install everything into .venv, exactly as locked (instant when nothing changed)

$(STAMP): requirements.lock
	@PYTHON="$(PYTHON)" sh config/setup.sh

demo: setup ## Run the product with a demo organisation: make demo PORT=8000
	@exec $(PY) manage.py up --demo --port "$(PORT)"

test: setup ## The whole suite on SQLite; needs no services
	@DATABASE_URL= REDIS_URL= $(PYTEST) -n 2 --dist worksteal -m "$(QUIET)" --junitxml=$(RESULTS)/test.xml $(ARGS)

# The drills wait most of their time, so three of them go at once.
test-services: setup ## All of it that asks a database, on PostgreSQL and Redis, with real worker processes and the drills
	@$(PY) -m tests.services $(PYTEST) -n 2 --dist worksteal -m "$(QUIET) and not once" --junitxml=$(RESULTS)/postgresql.xml $(ARGS); suite=$$?; \
	$(PY) -m tests.services $(PYTEST) -n 3 --dist worksteal -m "services or drill" --junitxml=$(RESULTS)/services.xml $(ARGS) && exit $$suite

# Two runs: the driver of the flows keeps an event loop in its thread, where Django opens no database.
browser: setup ## The flow test, and the page read closely, in a real headless Chromium
	@$(PYTEST) -m browser tests/flows --junitxml=$(RESULTS)/flows.xml $(ARGS); flows=$$?; \
	$(PYTEST) -m browser --ignore=tests/flows --junitxml=$(RESULTS)/browser.xml $(ARGS) && exit $$flows

drills: setup ## Break things on purpose and count what was lost; one line per drill
	@$(PY) -m tests.services $(PY) -m tests.drills $(ARGS)

properties: setup ## Thousands of random contracts, nights and finance years after which all books must agree; a million months, two ways
	@DATABASE_URL= REDIS_URL= $(PYTEST) --hypothesis-profile=arithmetic tests/postmortems/test_credit_properties.py $(ARGS)
	@DATABASE_URL= REDIS_URL= $(PYTEST) --hypothesis-profile=properties tests/incidents/test_lifecycle_properties.py tests/postmortems/test_credit_machine.py $(ARGS)
	@MONTHS_AT_RANDOM=1000000 $(PY) -m tests.services $(PYTEST) -m services tests/postmortems/test_twin.py $(ARGS)

bench: setup ## Measure page and fan-out beside their references; one line per figure
	@$(PY) -m tests.services $(PY) -m tests.bench $(ARGS)

check: setup ## Style, types, layers, migrations, templates, system checks: all are run, any fault fails
	@$(MAKE) --no-print-directory -k check-style check-format check-types check-layers check-migrations check-system check-templates

check-style:
	$(PY) -m ruff check .

check-format:
	$(PY) -m ruff format --check .

check-types:
	$(PY) -m mypy

check-layers:
	.venv/bin/lint-imports

check-migrations:
	$(PY) manage.py makemigrations --check --dry-run --skip-checks

check-system:
	$(PY) manage.py check

check-templates:
	git -c safe.directory='*' ls-files -z -- '*/templates/*.html' | xargs -0 -r .venv/bin/djade --check --target-version 5.2

words: setup ## Compile the words of other languages after their .po files were edited
	$(PY) -m babel.messages.frontend compile --domain django --directory notifications/locale

# Universal: the oldest and the newest Python need packages that the one at hand does not.
lock: setup ## Write requirements.lock anew from pyproject.toml
	.venv/bin/uv pip compile pyproject.toml --group dev --group bench --universal --python-version 3.11.0 --generate-hashes --no-emit-index-url --no-header -o requirements.lock
