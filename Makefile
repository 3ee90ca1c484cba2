# On a fresh machine `make demo` and `make test` set everything up by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

# One thread a process: the processes are what runs in parallel.
export OMP_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE := 1

.PHONY: demo test test-slow lint bench setup browser database compose clean

demo: setup
	$(BIN)/modomodo demo $(if $(DEMO_EXIT),--exit) $(DEMO_ARGS)

test: setup browser database compose
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(PYTEST_ARGS)

test-slow: setup browser database
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m bench.paper
	$(BIN)/python -m bench.surrogates
	$(BIN)/python -m bench.search
	$(BIN)/python -m bench.speed
	$(BIN)/python -m bench.rewards
	$(BIN)/python -m bench.trainer
	$(BIN)/python -m bench.chaos
	$(BIN)/python -m bench.contract
	$(BIN)/python -m bench.service
	$(BIN)/python -m bench.tiny_world
	$(BIN)/python -m bench.tiny_search

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# The browser tests drive a Chromium that is there, Debian's (as root), or Playwright's own.
browser: setup
	@$(BIN)/python -m tests.browser

# The tests start a PostgreSQL server themselves; this says so when none can be had.
database: setup
	@$(BIN)/python -m tests.postgres

# The compose file is read by Docker Compose itself, which needs no engine for that.
compose: setup
	@$(BIN)/python -m tests.compose

clean:
	rm -rf $(VENV) runs
