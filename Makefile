# `make help` lists the targets. Each does its own set-up: a virtual environment in .venv and a build of the package.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(abspath $(VENV))/bin
PY := $(BIN)/python
ZIG := ziglang==0.17.1
TOOLS := $(abspath target/tools)/bin
ARRAY_API_TESTS := https://github.com/data-apis/array-api-tests
LIBFUZZER = -max_total_time=$(or $(SECONDS),300) -timeout=20 -rss_limit_mb=4096
# What reads and writes memory by indices and beside edges.
VALGRIND_TESTS := tests/test_gather.py tests/test_padding.py tests/test_ctc.py tests/test_indexing_numpy.py

# Cargo and maturin use .venv, whatever environment the shell is in.
export PYO3_PYTHON := $(PY)
export VIRTUAL_ENV := $(abspath $(VENV))
unexport CONDA_PREFIX

.DEFAULT_GOAL := help
.PHONY: help venv build dev demo test check lint types test-rust test-python test-isas test-avx2 test-portable wheel
.PHONY: bench bench-peers bench-memory bench-overhead bench-start bench-scaling bench-growth bench-distributed bench-estimators bench-functions parity array-api onnx-backend fuzz fuzz-rust valgrind mutants stubs docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.stamp ## create .venv with the tools of requirements-dev.txt

$(VENV)/.stamp: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

build: venv ## build the package and install it into .venv
	$(PY) -m maturin develop --release --locked --quiet

dev: venv ## the package for a first look at a change: built in seconds, runs slower than `make build`'s
	$(PY) -m maturin develop --profile quick --locked --quiet

demo: ## run the examples: fitting a line, handwritten digits, diabetes, wine
	@echo "Building the package into $(VENV): the Rust core takes some minutes the first time."
	@$(MAKE) --no-print-directory build
	@for name in walkthrough digits_mlp diabetes wine; do \
		printf '\n== examples/%s.py\n' $$name; $(PY) -W error examples/$$name.py || exit; \
	done
	@printf '\nLook at the pictures in examples/out, then at docs/index.md, or run `make docs` and open site/index.html.\n'

test: check ## build everything and run all tests and lints

check: lint test-rust test-python test-isas ## what CI runs

lint: venv ## formatting and lints of Rust and Python
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets --features python -- -D warnings
	cargo clippy --locked --quiet --no-default-features -- -D warnings
	$(PY) -m ruff check --quiet
	$(PY) -m ruff format --check --quiet
	$(PY) -m mypy

# Not a part of `make test`: it brings its own Node.js, of 60 MB.
types: build ## basedpyright, which editors run: strict on the examples, what it must refuse, type completeness
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-types.txt
	$(PY) -m pytest tests/test_typing.py

test-rust: ## unit tests, tests/*.rs and examples in the docs
	cargo test --locked --quiet

# Most tests are Python on one core, so that there are as many processes as cores.
test-python: build ## tests/*.py, examples in the docs, and the stub against the module
	$(PY) -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal
	$(PY) scripts/stubs.py --check
	$(PY) scripts/exports.py --check
	$(PY) -m mypy.stubtest oxiflux._core --mypy-config-file pyproject.toml --allowlist scripts/stubtest.allow

# These two go side by side for the same reason. Each runs half of the rows of a long test, between them all.
test-isas: build ## what depends on kernels again, as a processor without AVX-512 and one without AVX2 run it
	$(MAKE) --no-print-directory --jobs=2 --output-sync test-avx2 test-portable

test-avx2 test-portable: test-%:
	OXIFLUX_FUZZ_SECONDS=10 OXIFLUX_ISA=$* $(PY) -m pytest -p no:cacheprovider --kernels

# zig links against an old glibc, so that the wheel runs where this machine's glibc would be too new.
ifeq ($(shell uname -s),Linux)
WHEEL_FLAGS ?= --zig --compatibility manylinux_2_17
endif

wheel: venv ## build the wheel, try it in a clean environment, print its size and import time
	$(if $(findstring --zig,$(WHEEL_FLAGS)),$(PY) -m pip install --quiet --disable-pip-version-check $(ZIG))
	PATH="$(BIN):$$PATH" $(PY) -m maturin build --release --locked --quiet --out dist $(WHEEL_FLAGS)
	$(PY) scripts/try_wheel.py dist

bench: ## cargo bench: matmul, operations, training steps
	cargo bench --locked

# PEERS names a Python with torch and jax beside NumPy; this package is imported from the checkout. ISA=avx2 keeps all to AVX2.
bench-peers: build ## training steps beside PyTorch, JAX and the machine's limits: make bench-peers PEERS=/path/to/python
	mkdir -p benches/python/results
	for threads in 2 1; do \
		PYTHONPATH=python OXIFLUX_ISA=$(ISA) $(or $(PEERS),$(PY)) benches/python/peers.py run --against oxiflux --threads $$threads \
			--backends torch,torch-tuned,torch-compile,jax,numpy,oxiflux,oxiflux-compiled,limit --plugin oxiflux_cases,more_cases,more_torch,more_oxiflux,compiled_cases,limits \
			--json benches/python/results/peers-$(if $(ISA),$(ISA)-)$$threads.json || exit; \
	done
	PYTHONPATH=python $(PY) benches/python/tables.py

bench-memory: build ## peak memory of training steps beside PyTorch and JAX: make bench-memory PEERS=/path/to/python
	PYTHONPATH=python $(or $(PEERS),$(PY)) benches/python/memory.py --page docs/costs.md

bench-overhead: build ## small calls beside PyTorch's and an empty call: make bench-overhead PEERS=/path/to/python
	PYTHONPATH=python $(or $(PEERS),$(PY)) benches/python/overhead.py --page docs/costs.md

bench-start: build ## the import and first steps beside PyTorch and JAX: make bench-start PEERS=/path/to/python
	PYTHONPATH=python $(or $(PEERS),$(PY)) benches/python/start.py --page docs/costs.md
	PYTHONPATH=python $(or $(PEERS),$(PY)) benches/python/first_calls.py --page docs/costs.md

bench-scaling: build ## steps on 1 to N threads, of two processes at once, with too many threads
	$(PY) benches/python/scaling.py --page docs/costs.md

bench-growth: build ## how time grows with sizes: plots, and sizes that cost more than their neighbours
	$(PY) benches/python/growth.py --page docs/costs.md

bench-estimators: build ## FluxClassifier and FluxRegressor beside scikit-learn's networks: time to fit, and scores
	$(PY) benches/python/estimators.py

bench-distributed: build ## training on several ranks beside PyTorch with gloo: make bench-distributed PEERS=/path/to/python
	$(PY) benches/python/distributed.py $(if $(PEERS),--peer $(PEERS))

bench-functions: build ## functions and layers beside PyTorch's: make bench-functions PEERS=/path/to/python
	PYTHONPATH=python $(or $(PEERS),$(PY)) benches/python/functions.py --page docs/functions.md

parity: ## let PyTorch compute the numbers in tests/parity/results anew: make parity PEERS=/path/to/python
	$(or $(PEERS),$(PYTHON)) tests/parity/make.py

array-api: build ## the array API standard's own tests, from its repository; arguments of pytest in ARGS=…
	test -d target/array-api-tests || git clone --quiet --recurse-submodules $(ARRAY_API_TESTS) target/array-api-tests
	$(PY) -m pip install --quiet --disable-pip-version-check -r target/array-api-tests/requirements.txt
	$(PY) scripts/array_api.py target/array-api-tests $(ARGS)

onnx-backend: build ## the onnx package's own tests of backends, and the page of what is refused: NAMES=… for some of them
	$(PY) scripts/onnx_backend.py $(NAMES)

fuzz: build ## random calls of everything public, 600 s of them or SECONDS=…, of other seeds with SEED=…
	$(PY) scripts/fuzz.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1000)

# cargo-fuzz asks for a nightly compiler only because a sanitizer is an unstable option, which RUSTC_BOOTSTRAP allows.
# Blocks have the size that was asked for, so that reading past one is seen.
fuzz-rust: $(TOOLS)/cargo-fuzz ## the file reader and the index checks under AddressSanitizer, 300 s or SECONDS=… for each
	export PATH="$(TOOLS):$$PATH" RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg exact_blocks"; \
	mkdir -p fuzz/corpus/files; \
	cargo fuzz run files fuzz/corpus/files fuzz/seeds/files -- -dict=fuzz/files.dict $(LIBFUZZER) && \
	cargo fuzz run index -- $(LIBFUZZER)

valgrind: venv ## tests of the core under valgrind's memcheck, or those of TESTS=…
	PYO3_BUILD_EXTENSION_MODULE=1 cargo rustc --locked --quiet --lib --profile quick --features python --crate-type cdylib \
		-- --cfg exact_blocks -C debuginfo=line-tables-only
	rm -rf target/exact && mkdir -p target/exact && cp -r python target/exact/python
	cp target/quick/liboxiflux.so target/exact/python/oxiflux/_core.abi3.so
	PYTHONPATH=target/exact/python $(PY) scripts/valgrind.py $(or $(TESTS),$(VALGRIND_TESTS))

mutants: $(TOOLS)/cargo-mutants build ## small faults in the sources, one at a time: which do the tests not see? OPTIONS=…
	PATH="$(TOOLS):$$PATH" $(PY) scripts/mutants.py $(OPTIONS)

$(TOOLS)/cargo-%:
	cargo install --quiet --locked --root $(dir $(TOOLS)) cargo-$*

stubs: dev ## write the operations into python/oxiflux/_core.pyi, and the lists of public names into each __init__.py
	$(PY) scripts/stubs.py
	$(PY) scripts/exports.py

docs: build ## the tutorials and the reference, in site, and the Rust crate's documentation, in target/doc
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

clean: ## remove what was built
	rm -rf $(VENV) target dist python/oxiflux/_core*.so
