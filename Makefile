# Two commands on a fresh machine: `make run` and `make test`. `make help` lists the others.
# Every path here is relative: make cannot hold a name with a space, and a checkout's path may have one.

PYTHON ?= python3
PORT ?= 8000
DATA_DIR ?=
ARGS ?=
export DATA_DIR

PY = .venv/bin/python
PIP = $(PY) -m pip install --quiet --disable-pip-version-check --no-input
UP = exec $(PY) manage.py up --port "$(PORT)" $${DATA_DIR:+--data-dir "$$DATA_DIR"}

.PHONY: run dev test stress lint format bench help
.DEFAULT_GOAL := help

help:
	@echo 'make run     start everything on http://127.0.0.1:8000/ (PORT=8001 DATA_DIR=/some/folder ARGS=--no-demo)'
	@echo 'make dev     the same with DEBUG, restarting when code changes'
	@echo 'make test    run all tests, two files at a time (ARGS="-k name": those, one by one)'
	@echo 'make stress  run the heavy proofs with their full counts'
	@echo 'make lint    formatting, lint, types, import floors, missing migrations'
	@echo 'make format  format the code'
	@echo 'make bench   measure the figures we promise'

run: .venv/installed
	@$(UP) $(ARGS)

dev: .venv/installed
	@$(UP) --reload $(ARGS)

test: .venv/installed-dev
	@$(PY) -m pytest $(if $(ARGS),$(ARGS),-n 3 --dist loadfile --no-loadscope-reorder)

stress: .venv/installed-dev
	@STRESS=1 $(PY) -m pytest -m stress -s $(ARGS)

lint: .venv/installed-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	$(PY) manage.py makemigrations --check --dry-run --skip-checks

format: .venv/installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: .venv/installed-dev
	@$(PY) -m benchmarks $(ARGS)

# The stamps are written last: an installation that was interrupted starts over.
.venv/installed: requirements.txt constraints.txt
	@python=$$(for each in "$(PYTHON)" python3.13 python3.12 python3.11; do \
		if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$each"; break; fi; \
	done); \
	if [ -z "$$python" ]; then \
		echo 'Python 3.11 or newer was not found. Install it, or name it: make run PYTHON=/path/to/python3' >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make virtual environments: its module ensurepip is missing." >&2; \
		echo 'On Debian and Ubuntu install the package python3-venv (apt-get install python3-venv), then try again.' >&2; \
		exit 1; \
	fi; \
	$(PY) -m pip --version >/dev/null 2>&1 || "$$python" -m venv --clear .venv
	@echo 'Installing requirements.txt into .venv'
	@$(PIP) -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo 'Installing requirements-dev.txt into .venv'
	@$(PIP) -r requirements-dev.txt
	@touch $@
