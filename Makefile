# One target per job. `make help` lists them. Everything Python lives in .venv, with the oldest
# Django that is supported, and in .venv-newest; nothing is taken from the machine's own Python
# packages.

PYTHON ?= $(shell scripts/find_python.sh oldest)
BENCH ?= ../shared/bench
VENV := .venv
NEWEST := .venv-newest
BIN := $(VENV)/bin
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help install install-dev node-packages system-packages demo test test-fast test-newest coverage check format client bench bench-templates bench-client bench-state bench-turns bench-parking isolation capacity publish soak clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

# ---- what is installed --------------------------------------------------------------------------------------------

$(VENV)/.created: scripts/create_venv.sh
	@scripts/create_venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]' 'django~=5.2.0'
	@touch $@ $(VENV)/.demo

$(NEWEST)/.dev: scripts/newest_venv.sh pyproject.toml
	@scripts/newest_venv.sh $(NEWEST)
	@touch $@

client/node_modules/.installed: client/package.json client/package-lock.json
	@scripts/node_packages.sh $(VENV)
	@touch $@

install: $(VENV)/.demo ## create .venv and install djust with what the demo needs

install-dev: $(VENV)/.dev ## the same with everything that the tests and gates need

node-packages: install-dev client/node_modules/.installed

system-packages:
	@scripts/system_packages.sh

# ---- what you can do ----------------------------------------------------------------------------------------------

demo: install ## serve the demo at http://127.0.0.1:8000/ (Ctrl-C ends it)
	@exec $(BIN)/python -m examples.services $(ARGS)

test: system-packages node-packages $(NEWEST)/.dev ## install what the tests need; run every gate and every test, on the oldest and on the newest Django
	@scripts/test.sh $(VENV) $(NEWEST)

test-fast: install-dev ## the tests that need no browser, no other server and little time (ARGS="-k upward")
	@scripts/pytest.sh $(VENV) -m 'not (browser or services or slow)' --timeout 30 $(ARGS)

test-newest: system-packages node-packages $(NEWEST)/.dev ## all but the browser tests on the newest Django (ARGS=options of pytest)
	@scripts/pytest.sh $(NEWEST) -m 'not browser' $(ARGS)

coverage: system-packages node-packages ## which lines the tests on the oldest Django run; a quarter slower than without (ARGS=options of pytest)
	@scripts/pytest.sh $(VENV) --cov --cov-report=term:skip-covered $(ARGS)

check: node-packages ## format, lint and types of Python and TypeScript
	@scripts/check.sh $(VENV)

format: node-packages ## rewrite Python and TypeScript in the project's format
	@scripts/format.sh $(VENV)

client: node-packages ## build client/ into src/djust/static/
	@cd client && ../scripts/with_node.sh ../$(VENV) npm run build

bench: install-dev ## compare with other frameworks side by side (BENCH=path of the harness, ARGS=its options)
	@scripts/bench.sh $(VENV) '$(BENCH)' $(ARGS)

bench-templates: install-dev ## compare compiled templates with Django's engine and jinja2 (ARGS=pages to measure)
	@$(BIN)/python -m benchmarks.templates $(ARGS)

benchmarks/client/node_modules/.installed: benchmarks/client/package.json benchmarks/client/package-lock.json
	@scripts/node_packages.sh $(VENV) benchmarks/client
	@touch $@

bench-client: system-packages node-packages benchmarks/client/node_modules/.installed ## compare script time in the browser with vanilla, lit-html, morphdom, idiomorph (ARGS=--quick)
	@$(BIN)/python -m benchmarks.client $(ARGS)

bench-state: install-dev ## what it costs to check, write and read the state of a view (ARGS=states to measure)
	@$(BIN)/python -m benchmarks.state $(ARGS)

bench-turns: install-dev ## what a turn of a page costs, with and without a receiver of event_finished
	@$(BIN)/python -m benchmarks.turns

bench-parking: install-dev ## what it costs to park and to restore a page, and the memory that a parked page takes
	@$(BIN)/python -m benchmarks.parking

isolation: install-dev ## how long clicks wait while other pages sit in blocking handlers
	@$(BIN)/python -m benchmarks.isolation

capacity: install-dev ## pages, memory and events per second of one worker (ARGS="--pages 5000")
	@$(BIN)/python -m benchmarks.capacity $(ARGS)

publish: install-dev ## one publish to many pages: when the last browser has it, and what it costs (ARGS="--pages 1 100")
	@$(BIN)/python -m benchmarks.publish $(ARGS)

soak: install-dev ## ten minutes of visits: do memory and threads stay flat? (ARGS="--minutes 1")
	@$(BIN)/python -m benchmarks.soak $(ARGS)

clean: ## remove everything that was built or installed
	rm -rf $(VENV) $(NEWEST) .bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage client/node_modules benchmarks/client/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
