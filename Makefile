# On a fresh machine `make demo` and `make test` set everything up by themselves.

PYTHON ?= python3
VENV := .venv
COLLECTED := tests/__pycache__/.collected
BIN := $(VENV)/bin
# Two more than a small machine has cores: many tests wait for other processes.
WORKERS ?= 4

# One thread a process: the processes are what runs in parallel.
export OMP_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE := 1
# Compiled files are kept, whatever the shell says: each of many processes would compile them again.
export PYTHONDONTWRITEBYTECODE :=

# uv where it is, else pip. uv does not read what pip's environment says of package sources.
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
MAKE_VENV := uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
INSTALL := uv pip install --quiet --python $(BIN)/python -c constraints.txt
else
MAKE_VENV := $(PYTHON) -m venv $(VENV)
# Python compiles what is imported, when it is: a tenth of what pip would compile, one file by one.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	-c constraints.txt
endif

# A file stays in one process, which makes what its tests share once; tests/support/schedule.py says
# which files do so together.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-quick test-slow test-fleet lint bench dist setup browser database compose clean

demo: setup
	$(BIN)/modomodo demo $(if $(DEMO_EXIT),--exit) $(DEMO_ARGS)

# All that a change can break; what CI runs.
test: setup browser database compose $(COLLECTED)
	$(PYTEST) -m "not slow and not fleet" $(PYTEST_ARGS)

# While you work: no servers, browsers or training.
test-quick: setup $(COLLECTED)
	$(PYTEST) tests/unit -m "not slow" --hypothesis-profile quick $(PYTEST_ARGS)

# Before a release: long chaos, properties on many examples, Ax everywhere.
test-slow: setup browser database $(COLLECTED)
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile slow $(PYTEST_ARGS)

# A fleet on a real Ray cluster of this machine; some minutes.
test-fleet: $(VENV)/.installed-fleet
	$(BIN)/python -m pytest tests/acceptance -m fleet $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A release: a wheel and the sources, in dist/. The version stands in pyproject.toml.
dist: setup
	rm -rf dist
	$(BIN)/python -m hatchling build -t sdist -t wheel -d dist

bench: $(VENV)/.installed-bench
	$(BIN)/python -m bench.paper
	$(BIN)/python -m bench.surrogates
	$(BIN)/python -m bench.search
	$(BIN)/python -m bench.living
	$(BIN)/python -m bench.speed
	$(BIN)/python -m bench.rewards
	$(BIN)/python -m bench.trainer
	$(BIN)/python -m bench.merged
	$(BIN)/python -m bench.switches
	$(BIN)/python -m bench.evidence
	$(BIN)/python -m bench.merge_reach
	$(BIN)/python -m bench.search_cost
	$(BIN)/python -m bench.goals
	$(BIN)/python -m bench.chaos
	$(BIN)/python -m bench.contract
	$(BIN)/python -m bench.service
	$(BIN)/python -m bench.fleet
	$(BIN)/python -m bench.tiny_world
	$(BIN)/python -m bench.tiny_search
	$(BIN)/python -m bench.schedules
	$(BIN)/python -m bench.schedule_search
	$(BIN)/python -m bench.tests

setup: $(VENV)/.installed

# Once in a new checkout one process collects the tests, and keeps what it compiled: of several that
# begin at the same time, each would compile all of it. What cannot be collected, these tell.
$(COLLECTED): $(VENV)/.installed
	-$(BIN)/python -m pytest --collect-only -qq >/dev/null
	mkdir -p $(@D)
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt
	$(MAKE_VENV)
	$(INSTALL) -e '.[dev]'
	touch $@

# What only benches need: the peers they compare with.
$(VENV)/.installed-bench: $(VENV)/.installed
	$(INSTALL) -e '.[dev,bench]'
	touch $@

$(VENV)/.installed-fleet: $(VENV)/.installed
	$(INSTALL) -e '.[dev,ray]'
	touch $@

# The browser tests drive a Chromium that is there, Debian's (as root), or Playwright's own.
browser: setup
	@$(BIN)/python -m tests.support.browser

# The tests start a PostgreSQL server themselves; this says so when none can be had.
database: setup
	@$(BIN)/python -m tests.support.postgres

# The compose file is read by Docker Compose itself, which needs no engine for that.
compose: setup
	@$(BIN)/python -m tests.support.compose

clean:
	rm -rf $(VENV) runs
