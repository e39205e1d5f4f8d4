# Everything a person types: run, demo, test, short, coverage, bench, check, lock, clean.
# A machine needs Python 3.11 or newer and make; the rest is fetched into .venv once.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/locks
# The first interpreter that is new enough; PYTHON=… on the command line decides otherwise.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes
WORKERS ?= auto

.PHONY: run demo test short coverage pictures bench check lock clean setup format audit

run: setup  ## set up what is missing and serve
	@exec $(BIN)/python manage.py serve

demo: $(VENV)/.run  ## the same, with agents that work before your eyes
	@exec $(BIN)/python manage.py demo

setup: $(VENV)/.run
	@$(BIN)/python manage.py setup

test: $(VENV)/.test  ## all tests, in a real browser too
	@$(BIN)/python -m tests.browsers --install
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

short: $(VENV)/.test  ## the tests that are not marked slow: less than ten minutes on two processors
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not browser"

coverage: $(VENV)/.test  ## the same, and which lines no test reached; takes nearly twice as long
	@$(BIN)/python -m tests.browsers --install
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term

pictures: $(VENV)/.dev  ## the pictures of README and docs, from the demo's agents
	@$(BIN)/python -m tests.browsers --install
	@$(BIN)/python -m tests.browser.pictures

bench: $(VENV)/.test .bench/.peers .bench/.phoenix  ## speed, beside the limits and the neighbours; a quarter of an hour, wants the machine alone; BENCH="--only pages" for less
	@$(BIN)/python -m tests.browsers --install
	@$(BIN)/python -m benchmarks --peers .bench/bin/python --peers .bench/phoenix/bin/python $(if $(BENCH),$(BENCH),--write)

check: $(VENV)/.dev  ## format, lint, types, floors, templates, migrations, settings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@find templates -name '*.html' -exec $(BIN)/djade --target-version 5.2 --check {} +
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; export KODA_DATA_DIR="$$folder/data"; \
	$(BIN)/python manage.py makemigrations --check --dry-run; \
	KODA_PUBLIC_URL=https://koda.example.org KODA_PROXY_COUNT=1 \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	@$(MAKE) --no-print-directory audit

# Known weaknesses of what is locked fail the check; an index that cannot be reached does not.
audit: $(VENV)/.dev  ## hold the locked dependencies against known weaknesses
	@found=$$($(BIN)/pip-audit --requirement $(LOCKS)/run.txt --require-hashes --disable-pip \
		--progress-spinner off --timeout 10 2>&1) || { \
		case "$$found" in \
			*"known vulnerabilit"*) echo "$$found"; exit 1;; \
			*) echo "pip-audit: the index of known weaknesses cannot be reached; not checked"; exit 0;; \
		esac; }; \
	case "$$found" in *"could not be audited"*) echo "pip-audit: the index does not know some of what is locked";; esac

format: $(VENV)/.dev  ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@find templates -name '*.html' -exec $(BIN)/djade --target-version 5.2 {} +

lock: $(VENV)/.dev  ## choose new versions within pyproject.toml's bounds, with hashes
	@for part in run test dev; do \
		group=; [ $$part = run ] || group="--group $$part"; \
		constraints=; [ $$part = run ] || constraints="--constraints $(LOCKS)/run.txt"; \
		$(BIN)/uv pip compile pyproject.toml $$group $$constraints --universal --python-version 3.11 --generate-hashes --no-strip-extras \
			--upgrade --quiet --custom-compile-command "make lock" --output-file $(LOCKS)/$$part.txt; \
	done
	@! grep -nE '(https?|file)://|--(index|find)' $(LOCKS)/*.txt

clean:  ## remove what make built; the data folder stays
	rm -rf $(VENV) .bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage .coverage.*

# The environment grows: dev holds test, test holds run.
$(VENV)/.run: $(LOCKS)/run.txt | $(VENV)/bin/python
	@echo "Installing dependencies (once, about a minute)"
	@$(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.test: $(LOCKS)/test.txt $(VENV)/.run
	@$(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.dev: $(LOCKS)/dev.txt $(VENV)/.test
	@$(PIP_INSTALL) -r $<
	@touch $@

# The neighbours have dependencies of their own, which are none of ours. One that cannot be had within its time is left
# out, and its rows say so.
.bench/.%: benchmarks/%.txt | $(VENV)/bin/python
	@folder=.bench; [ $* = peers ] || folder=.bench/$*; \
	$(BIN)/python -m venv $$folder \
		&& timeout 180 $$folder/bin/python -m pip install -qq --disable-pip-version-check --no-input -r $< \
		&& touch $@ || echo "The neighbours of $< could not be installed."

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Koda Web needs Python 3.11 or newer, and none is on the PATH." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif command -v uv >/dev/null 2>&1; then uv venv --quiet --seed --python "$$(command -v $(PYTHON))" $(VENV); \
	elif command -v virtualenv >/dev/null 2>&1; then virtualenv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
	else \
		echo "This Python cannot make virtual environments: its venv module lies in a package of its own." >&2; \
		echo "On Debian and Ubuntu: sudo apt-get install python3-venv    Then run make again." >&2; exit 1; fi
