# One door to everything. `make help` lists what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TEST_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test check fix bench clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 18

setup: $(READY) ## make .venv and install Kaiwa with everything its tests need

# With an NVIDIA driver pip takes its usual torch, which brings CUDA; without one, the version of
# the lock file from PyTorch's index of CPU builds (or from wherever pip finds that build).
$(READY): pyproject.toml constraints.txt tools/install_torch.sh
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Kaiwa needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sh tools/install_torch.sh $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m engine.native.build
	touch $@

run: $(READY) ## serve the demo characters on http://127.0.0.1:8000
	$(BIN)/kaiwa serve $(ARGS)

check: $(READY) ## format, lint, types, import contracts, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -m 'not slow' $(TEST_FLAGS)

test: check ## everything: check, then the slow tests, with coverage of the deciding rooms
	$(BIN)/python tools/coverage_by_room.py
	$(BIN)/python -m pytest -q -m slow $(TEST_FLAGS)

fix: $(READY) ## put format and lint right where a machine can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## measure the engine beside transformers on this machine
	$(BIN)/kaiwa bench engine $(ARGS)

clean: ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .coverage
