# `make help` lists the targets. Each does its own set-up: a virtual environment in .venv and a build of the package.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
export PYO3_PYTHON := $(abspath $(PY))

.DEFAULT_GOAL := help
.PHONY: help build demo test check lint wheel bench bench-peers stubs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.stamp: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

build: $(VENV)/.stamp ## build the package and install it into .venv
	$(PY) -m maturin develop --release --quiet

demo: build ## run the examples: fitting a line, then handwritten digits
	$(PY) examples/walkthrough.py
	$(PY) examples/digits_mlp.py

test: check ## build and run everything: Rust and Python tests, lints

check: lint build ## what CI runs
	cargo test --quiet
	$(PY) -m pytest
	$(PY) -m mypy
	$(PY) -m mypy.stubtest oxiflux._core --ignore-missing-stub

lint: $(VENV)/.stamp
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --features python -- -D warnings
	$(PY) -m ruff check
	$(PY) -m ruff format --check

wheel: $(VENV)/.stamp ## build the wheel and try it in a clean environment
	$(PY) -m maturin build --release --quiet --out dist
	$(PY) scripts/try_wheel.py dist

bench: ## cargo bench: matmul, operations, training steps
	cargo bench

bench-peers: build ## the peers' benchmark; PEERS names a Python with torch and jax
	$(or $(PEERS),$(PY)) benches/python/peers.py run --backends torch,torch-tuned,torch-compile,jax,numpy,oxiflux --plugin benches/python/oxiflux_cases.py --threads 2 --against oxiflux

clean: ## remove what was built
	rm -rf $(VENV) target dist
