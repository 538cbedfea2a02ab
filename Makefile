# The verbs of the project; CI runs the same ones. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
GOLDEN ?= ../shared/golden

.PHONY: help install serve test check fmt bench demo-policy fuzz chaos soak guard-properties parity-table clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(STAMP) ## a virtual environment in .venv with everything, dev tools too

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Reflex needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

serve: $(STAMP) ## serve the demo policy on http://127.0.0.1:8000 (ARGS='--port 9000')
	$(BIN)/reflex serve $(ARGS)

test: $(STAMP) ## every test that needs no GPU, no container, no root (ARGS='-k guard')
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## formatting, lint, types, import law, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/house_rules.py

fmt: $(STAMP) ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## /act against Triton called directly: a table, and JSON in bench/results/
	$(BIN)/python -m reflex_bench $(ARGS)

demo-policy: $(STAMP) ## make model_repository/demo* again, from its seed
	$(BIN)/python -m reflex_export.demo --output model_repository

fuzz: $(STAMP) ## long fuzzing: 500,000 bodies, 200,000 images (hours)
	REFLEX_FUZZ_BODIES=500000 REFLEX_FUZZ_IMAGES=200000 REFLEX_SCHEMATHESIS_EXAMPLES=2000 \
	  $(BIN)/python -m pytest tests/fuzz --timeout 0 $(ARGS)

chaos: $(STAMP) ## long fault runs: 1,000 kills, 100 stops (hours)
	REFLEX_CHAOS_KILLS=1000 REFLEX_CHAOS_STOPS=100 REFLEX_CHAOS_PUBLISH_KILLS=5000 \
	  $(BIN)/python -m pytest tests/chaos --timeout 0 $(ARGS)

soak: $(STAMP) ## 100,000 requests: memory, descriptors and threads must stay flat (minutes)
	$(BIN)/python -m reflex_bench.soak $(ARGS)

guard-properties: $(STAMP) ## two million random chunks through ActionGuard
	REFLEX_GUARD_EXAMPLES=2000000 $(BIN)/python -m pytest tests/unit/reflex/test_guard.py --timeout 0 $(ARGS)

parity-table: $(STAMP) ## the table of docs/parity.md, measured again (GOLDEN=FOLDER with recorded cases)
	$(BIN)/python -m reflex_bench.parity_table $(GOLDEN)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
