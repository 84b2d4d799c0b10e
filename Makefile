# Every target does its own set-up: git, make and Python 3.11 or newer are all that is needed.
.PHONY: setup setup-demo check conformance cov fix test torture fuzz audit-deps bench demo clean help
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it or set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The demo needs less than the tests, and its users should not wait for more.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@$(call install,.[demo])
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@$(call install,.[redis$(comma)demo$(comma)dev$(comma)browser$(comma)bench])
	@touch $@ $(VENV)/.demo

comma := ,
define install
echo "installing $(1) …"; if command -v uv >/dev/null 2>&1; then \
	VIRTUAL_ENV=$(VENV) uv pip install -q -c constraints.txt -e '$(1)'; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '$(1)'; fi
endef

setup: $(VENV)/.dev ## Install everything for work on the project

setup-demo: $(VENV)/.demo

demo: $(VENV)/.demo ## Run hub, EHR, images and the three applications; prints the page to open
	@exec $(BIN)/fhircast demo

test: $(VENV)/.dev ## All tests; those with a browser say so if there is none
	@$(BIN)/python -m pytest

cov: $(VENV)/.dev ## Branch coverage of the core by its own tests
	@$(BIN)/python -m pytest tests/protocol --cov=fhircast_hub.protocol --cov-branch --cov-fail-under=100

check: $(VENV)/.dev ## Lint, types, import rules, a test for each requirement; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/traceability.py --check
	@$(BIN)/python tests/scaling.py --check

conformance: $(VENV)/.dev ## Judge the hub with the conformance kit, alone and shared, both profiles; writes docs/conformance.md
	@$(BIN)/python tests/traceability.py --judge

fix: $(VENV)/.dev ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/python tests/traceability.py
	@$(BIN)/python tests/scaling.py

SECONDS ?= 60
SEED ?= 1
NODES ?= 3
TOPICS ?= 3
MIX ?= all
PAGE ?=

torture: $(VENV)/.dev ## Kill, cut and stop hubs and Redis, then prove that nothing was lost; SECONDS=600 SEED=2
	@PYTHONPATH=tests $(BIN)/python -m torture --seconds $(SECONDS) --seed $(SEED) --nodes $(NODES) \
		--topics $(TOPICS) --mix $(MIX) $(if $(PAGE),--page $(PAGE))

INPUTS ?= 100000

fuzz: $(VENV)/.dev ## Fuzz every parser; INPUTS=1000000 for a long run (atheris if installed)
	@PYTHONPATH=tests $(BIN)/python -m security.fuzz --inputs $(INPUTS)

audit-deps: $(VENV)/.dev ## Known vulnerabilities of the pinned packages; warns if it cannot ask
	@$(BIN)/python -c 'import pip_audit' 2>/dev/null || $(BIN)/python -m pip install -q \
		--disable-pip-version-check -c constraints.txt pip-audit || true
	@$(BIN)/python tests/audit_deps.py

$(VENV)/.bench: $(VENV)/.dev
	@$(call install,.[bench]) && touch $@

BENCH ?=

bench: $(VENV)/.dev ## Measure the hub beside its peers (half an hour); BENCH="--only S2" for a part
	@$(MAKE) -s $(VENV)/.bench || echo "without plots and profile: matplotlib or py-spy cannot be had"
	@$(BIN)/python tests/bench/run.py $(BENCH)

clean: ## Remove what the other targets made
	@rm -rf $(VENV) tests/bench/.build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist fuzz-findings
