# Every verb of the project. `make help` lists them; each works on a fresh clone with Python 3.11+, pip, make and git.

PYTHON ?= python3
# One process more than there are processors: that with the running stack waits for it most of the time.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALLED := $(VENV)/.installed

OWN := agents flows platform_api deployments migrations
SOURCES := $(shell find $(OWN) tests -name '*.py' -not -path '*/__pycache__/*' 2>/dev/null)
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8
COVER := --cov --cov-report=

# Where it is set (images of containers do), every process compiles all of ours anew: a stack has a dozen of them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo up down test check bench client lock fmt
.PHONY: check-format check-lint check-types check-imports check-house check-coverage

help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Sets up .venv from the lock file; does nothing when that is up to date

demo: $(INSTALLED) ## Runs a real data pipeline through every layer; KEEP=1 leaves the stack running
	@$(BIN)/turbocat demo $(if $(KEEP),--keep) $(ARGS)

up: $(INSTALLED) ## Starts database, Prefect, API and worker; ctrl-C stops them (ARGS="--api-port 0")
	@$(BIN)/turbocat up $(ARGS)

down: $(INSTALLED) ## Stops a stack that runs in the background
	@$(BIN)/turbocat down $(ARGS)

test: $(INSTALLED) ## Runs every test and measures coverage; ARGS="tests/flows -k cycle" runs some, without measuring
ifeq ($(strip $(ARGS)),)
	$(PYTEST) $(COVER)
else
	$(PYTEST) $(ARGS)
endif

check: check-format check-lint check-types check-imports check-house check-coverage ## Format, lint, types, import rules, architecture tests, coverage bars

check-format: $(INSTALLED)
	$(BIN)/ruff format --check .

check-lint: $(INSTALLED)
	$(BIN)/ruff check .

check-types: $(INSTALLED)
	$(BIN)/mypy
	$(BIN)/mypy docs/client-typescript/generate.py

check-imports: $(INSTALLED)
	$(BIN)/lint-imports

check-house: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 0 tests/architecture

# Coverage is measured by `make test`; only when nothing fresh is there, the tests that need no running stack run here.
check-coverage: .coverage
	$(BIN)/python -m tests.bars.check

.coverage: $(INSTALLED) $(SOURCES)
	$(PYTEST) $(COVER) -m "not e2e"

bench: $(INSTALLED) ## Measures what must be fast; a table and one JSON line per figure
	@$(BIN)/python -m tests.bench $(ARGS)

client: $(INSTALLED) ## Writes the TypeScript client from the REST contract
	@$(BIN)/turbocat openapi | $(BIN)/python docs/client-typescript/generate.py

lock: $(UV) ## Resolves pyproject.toml into requirements.lock (ARGS=--upgrade takes newer releases)
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --no-emit-index-url \
		--generate-hashes --no-header --quiet --output-file requirements.lock $(ARGS)

fmt: $(INSTALLED) ## Formats the code, mends what the linter can mend, writes docs/settings.md
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m tests.architecture.settings_page

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Turbocat needs Python 3.11 or newer; name one with: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@echo "Setting up $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# pip is the second choice: some machines have only pip configured for the place that packages come from. The lock is
# complete, and pip's resolver does not see that `x[extra]` and `x` are one: it has nothing to resolve. Compiled here
# once, as pip does by itself, is not compiled by each process that starts and may not write beside the libraries.
$(INSTALLED): requirements.lock pyproject.toml | $(UV)
	@echo "Installing what requirements.lock names …"
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 $(OWN) || true
	@touch $@
