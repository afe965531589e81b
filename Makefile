# Thin lines over the `horror` command and the tools; set-up happens once, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PARALLEL := -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
COVERAGE :=
COMPILE := $(BIN)/uv pip compile --system-certs --quiet --universal --python-version 3.11 --no-header --no-emit-index-url

# uv takes seconds where pip takes a minute; like pip it trusts the certificates of the system. pip takes over where only its own configuration names a reachable index.
install = $(BIN)/uv pip install --system-certs --quiet --python $(BIN)/python $(1) \
  || { echo "uv cannot install; using pip" >&2; $(PIP) install $(1); }

# Tests and runs start dozens of processes; without its bytecode, each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run up dev test test-fast lint lock bench soak clean

run: $(VENV)/.ready
	$(BIN)/horror run

up: $(VENV)/.ready
	exec $(BIN)/horror up

dev: $(VENV)/.ready
	exec $(BIN)/dg dev

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) $(COVERAGE)

test-fast: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) -m unit

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy

# Keeps the pins that still fit; `make lock UPGRADE=--upgrade` takes the newest versions.
lock: $(VENV)/.ready-dev
	$(COMPILE) $(UPGRADE) pyproject.toml --output-file requirements.lock
	$(COMPILE) $(UPGRADE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --extra celery --extra docker --extra k8s --constraint requirements-dev.lock --output-file requirements-image.lock

bench: $(VENV)/.ready-dev
	for name in ingest history models learning forecasts overhead web; do $(BIN)/python benchmarks/$$name.py || exit 1; done

soak: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/soak.py --rounds $(or $(N),200)

clean:
	rm -rf $(VENV) .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "horror needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	-@$(PIP) install --constraint requirements-dev.lock uv

$(VENV)/.ready: requirements.lock pyproject.toml | $(BIN)/python
	@$(call install,--requirement requirements.lock)
	@$(call install,--no-deps --editable .)
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	@$(call install,--requirement requirements-dev.lock)
	@touch $@
