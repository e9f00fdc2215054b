# Two commands are all the set-up there is: `make demo` and `make test`. Everything lands in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check bench core dev clean

demo: core  ## index a real slide and search a region in it (core install only)
	$(BIN)/histokin demo --out demo-archive

test: export OMP_NUM_THREADS = 1  # two workers share the cores
test: dev  ## lint, types, and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

bench: dev  ## where the time goes, against peers in the same run
	$(PIP) install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.stain
	$(BIN)/python benchmarks/search_latency.py
	$(BIN)/python benchmarks/indexing.py

core: $(VENV)/.core
dev: $(VENV)/.dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo-archive .pytest_cache .mypy_cache .ruff_cache .hypothesis
