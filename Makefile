# make quickstart   environment, then a recipe from text to a trained and evaluated encoder, with a report
# make test         environment, checks and all tests
# make check        formatting, lint, types and recipes
# make pictures     the pictures of the documentation, drawn again
# make tables       the parser's tables, where the grammar has changed
# make environment  .venv with the pinned versions; done again only when pyproject.toml or constraints.txt change
#
# All that is needed is Python 3.11 or later and a package index.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that runs and is new enough; `make PYTHON=...` names another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
RECIPE ?= recipes/m3i_digits.m3i

RECIPES := $(wildcard recipes examples)
# examples/faults has errors on purpose; tests/docs checks that it has them.
SOUND := recipes $(wildcard examples/*.m3i examples/own_images)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
PROCESSES ?= 2

.PHONY: help quickstart test check format pictures tables environment clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

quickstart: $(VENV)/.installed
	$(BIN)/m3ic compile $(RECIPE)
	$(BIN)/m3ic train
	$(BIN)/m3ic eval --report

# One thread for each test process: the tests are small, and many threads on few cores only wait for each other.
test: check
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(PROCESSES)

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/m3ic fmt --check $(RECIPES)
	$(BIN)/m3ic check $(SOUND)

format: environment
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/m3ic fmt $(RECIPES)

pictures: $(VENV)/.installed
	$(BIN)/m3ic graph recipes/m3i.m3i -o docs/m3i.svg

tables: $(VENV)/.installed
	$(BIN)/python -c 'from m3i_dsl.syntax import grammar; grammar.keep()'

environment: $(VENV)/.installed-dev

# Packages of [train] are needed to train; those of [dev] only to test.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; name one with make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) target runs .pytest_cache .ruff_cache .hypothesis
