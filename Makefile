# One command per need. Each does its own set-up, in .venv, on a machine with Python >= 3.11.
.PHONY: up test coverage attacks slow sweep full check bench format clean

VENV := .venv
BIN := $(VENV)/bin
DATA ?= artstore-data
PORT ?= 8000
# Tests wait for processes, disks and time-outs a third of their time: one worker more than there are cores.
WORKERS ?= $(shell expr $$(nproc) + 1)
# Where the environment forbids it, every process of a test would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE
SETUP := setup.cfg pyproject.toml examples/artstore-storage-memory/pyproject.toml
# The first Python that is new enough; asking each is cheaper than failing in the middle.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

up: $(VENV)/.run ## start all four roles on $(DATA)
	$(BIN)/artstore up --data $(DATA) --base-port $(PORT)

test: $(VENV)/.test ## the whole suite
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

coverage: $(VENV)/.test ## the whole suite, measured
	$(BIN)/coverage erase
	$(MAKE) test ARGS="--cov --cov-report= $(ARGS)"
	$(BIN)/coverage report --skip-covered --skip-empty

attacks: $(VENV)/.test ## the attacks that must fail, counted
	$(BIN)/python -m pytest -q tests/attacks $(ARGS)

slow: $(VENV)/.test ## the long sweeps, which the suite samples
	$(BIN)/python -m pytest -m slow $(ARGS)

sweep: $(VENV)/.test ## kills, power cuts and failing disks at every change of the disk, with numbers
	$(BIN)/python -m pytest -m slow -q -s tests/services/storage_element/test_crash_sweep.py \
		tests/services/storage_element/test_kill_in_flight.py $(ARGS)

full: $(VENV)/.test ## what needs Debian packages: Ceph, nginx, HAProxy
	REQUIRE_REAL=1 $(BIN)/python -m pytest -m full $(ARGS)

check: $(VENV)/.check ## format, lint, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy src tests benchmarks
	$(BIN)/mypy examples/artstore-storage-memory
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(VENV)/.test ## what is promised about speed, side by side with a limit or a peer
	$(BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/.check
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) .coverage* build dist

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found; install one or set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(SETUP) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: $(SETUP) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]' --editable examples/artstore-storage-memory
	@touch $@ $(VENV)/.run

$(VENV)/.check: $(SETUP) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test,check]' --editable examples/artstore-storage-memory
	@touch $@ $(VENV)/.test $(VENV)/.run
