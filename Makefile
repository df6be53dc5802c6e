# The one front of the project: `make` lists what there is. GNU make 3.81 (macOS) is enough.
#
#   make demo VENV=/elsewhere      another virtual environment than .venv
#   make test PYTHON=python3.12    the Python that a new virtual environment is made with
#   make test ARGS="-k weights"    arguments for pytest

VENV := .venv
PYTHON :=
ARGS :=
BIN := $(VENV)/bin
READY := PYTHON='$(PYTHON)' scripts/venv '$(VENV)'
CODE := src tests bench scripts/chart scripts/layout

.PHONY: help demo test test-cluster check lint fix bench bench-cluster bench-dataplanes clean

help:
	@echo "make demo    run the guide's example with two echo backends; edit its YAML and watch"
	@echo "make test    run the tests"
	@echo "make test-cluster"
	@echo "             the same with a real Kubernetes API server, which Go builds on first use (some minutes)"
	@echo "make check   format, lint, types, import contracts, layout, tests"
	@echo "make lint    the same without the tests"
	@echo "make fix     repair what formatter and linter can repair, and write the chart anew"
	@echo "make bench   measure, and write docs/benchmarks.md (some ten minutes)"
	@echo "make bench-cluster"
	@echo "             measure the controller on a real API server, and write docs/benchmarks-cluster.md (root, Linux; half an hour)"
	@echo "make bench-dataplanes   compare data planes side by side (root, Linux, half an hour)"
	@echo "make clean   remove the virtual environment and all caches"

demo:
	@$(READY) run
	@$(BIN)/tidegate demo

test:
	@$(READY) dev
	@$(BIN)/python -m pytest $(ARGS)

test-cluster:
	@KUBEBUILDER_ASSETS=$$(scripts/cluster-assets) && export KUBEBUILDER_ASSETS && $(MAKE) --no-print-directory test

check: lint test

lint:
	@$(READY) dev
	$(BIN)/python -m ruff format --check $(CODE)
	$(BIN)/python -m ruff check $(CODE)
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/layout

fix:
	@$(READY) dev
	$(BIN)/python -m ruff check --fix $(CODE)
	$(BIN)/python -m ruff format $(CODE)
	$(BIN)/python scripts/chart

bench:
	@$(READY) run
	$(BIN)/python bench/core.py
	$(BIN)/python bench/propagation.py
	$(BIN)/python bench/report.py

bench-cluster:
	@$(READY) dev
	KUBEBUILDER_ASSETS=$$(scripts/cluster-assets) PYTHONPATH=tests $(BIN)/python bench/cluster.py $(ARGS)

bench-dataplanes:
	@$(READY) dev
	@$(READY) bench
	PYTHONPATH=tests $(BIN)/python bench/controlplane.py $(ARGS)
	cd bench && '$(abspath $(BIN))/python' -m dataplanes $(ARGS)

clean:
	rm -rf '$(VENV)' .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist build
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
