# Everything happens in .venv, which the first target that needs it makes; each set of dependencies
# is installed once, and again when setup.cfg or pyproject.toml changes.

PYTHON ?= python3
CONFIG ?= etc/bmnode.toml
TESTS ?= tests
GUEST_TESTS ?= tests.guest
TRIAL_FLAGS ?= -j auto --reporter text

BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet
BENCHMARKS = $(basename $(notdir $(wildcard benchmarks/[!_]*.py)))

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run demo examples test test-guest check bench soak

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/node.stamp ## one node as CONFIG says (etc/bmnode.toml), in the foreground
	@$(BIN)/twistd -n --pidfile= bmnode --config $(CONFIG)

demo: .venv/node.stamp ## two nodes, four hotspots, calls over every transport here, every frame counted
	@$(BIN)/python -m examples.demo

examples: .venv/test.stamp ## the tests of the examples: somebody else's transport, somebody else's application
	@$(BIN)/python -m twisted.trial --reporter text tests.test_examples

# CI: Hypothesis draws the same cases each time, and has no deadline that a busy machine could miss.
test: .venv/test.stamp ## the tests, or some of them: make test TESTS=tests.wire
	@$(if $(BMFF_SOAK),,CI=1) $(BIN)/python -m twisted.trial $(TRIAL_FLAGS) $(TESTS)

test-guest: .venv/test.stamp ## the tests that need RDMA or vSockets, in a guest of QEMU (Debian; root once)
	@$(if $(BMFF_SOAK),,CI=1) BMFF_REQUIRE=vsock,rdma VIRTUAL_ENV=$(CURDIR)/.venv \
	    tests/guest/run -- python -m twisted.trial --temp-directory /run/bmff/trial \
	    --reporter text $(GUEST_TESTS)

check: .venv/check.stamp ## style, types and layout
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python -m twisted.trial --reporter text tests.test_layout

bench: .venv/bench.stamp ## every benchmark, a line of JSON each
	@set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name --json; done
	@$(BIN)/python -m benchmarks.fanout --everything --json

soak: export BMFF_SOAK = 1
soak: test ## the tests with many more random cases

.venv/node.stamp: setup.cfg pyproject.toml | .venv/made.stamp
	@$(INSTALL) --editable .
	@touch $@

# The tests build and install examples/acme-transport, with nothing from the network.
.venv/test.stamp: ALSO := 'setuptools>=77'

.venv/test.stamp .venv/check.stamp .venv/bench.stamp: .venv/%.stamp: setup.cfg pyproject.toml | .venv/made.stamp
	@$(INSTALL) --editable '.[$*]' $(ALSO)
	@touch $@

.venv/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, as in: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv"
	@$(PYTHON) -m venv .venv
	@touch $@
