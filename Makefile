# Medbot's chores. Nothing is needed but make and a Python from 3.11 on; `make` alone lists them.

UV_VERSION := 0.13.8
LIVEKIT_VERSION := 1.13.5
WORKERS ?= auto
PACKAGES := api_gateway assistant auth_service contracts conversation_service kit medbot privacy serving telemetry tokens voice_service
TESTS := $(wildcard api-gateway/tests auth-service/tests conversation-service/tests \
	libs/*/tests medbot/tests voice-service/tests tests)

PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v $$name; break; }; done)
UV := $(or $(shell uv --version 2>/dev/null | grep -q '^uv 0\.13\.' && command -v uv),.uv/bin/uv)
BIN := .venv/bin
READY := .venv/.ready
export UV_PYTHON_DOWNLOADS := never
# Each process would compile everything anew: seconds at every start, and minutes of the tests.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test prove check fmt bench openapi schema answers clean livekit

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Makes .venv with everything in it

run: $(READY) ## Starts everything on this machine; PORT=9000 picks other ports
	@exec $(BIN)/medbot up

test: $(READY) ## Runs the tests but the long ones, on all cores; WORKERS=2 on fewer
	@$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "not long"

prove: $(READY) ## Runs every test, the long ones too
	@status=0; $(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "not alone" || status=$$?; \
	$(BIN)/pytest -q -m alone || status=$$?; exit $$status

check: $(READY) ## Format, lint, imports, types, lock, cards and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy $(addprefix -p ,$(PACKAGES))
	@set -e; for folder in $(TESTS) bench; do \
		echo "mypy $$folder"; $(BIN)/mypy $$folder; done
	@set -e; for folder in $(sort $(dir $(wildcard *-service/tests/*/*.py))); do \
		echo "mypy $$folder"; $(BIN)/mypy $$folder*.py; done
	@set -e; for file in $(wildcard tests/*/conftest.py); do \
		echo "mypy $$file"; $(BIN)/mypy $$file; done
	$(UV) lock --check
	$(BIN)/python -m assistant.knowledge.lint library
	$(BIN)/medbot schema --check
	$(BIN)/medbot openapi --check

fmt: $(READY) ## Formats the code and mends what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Runs the benchmarks, one after the other
	@set -e; for name in chat knowledge gateway voice watching; do \
		echo "== bench/$$name.py"; $(BIN)/python bench/$$name.py; done

openapi: $(READY) ## Writes the OpenAPI documents from the code
	@$(BIN)/medbot openapi

schema: $(READY) ## Writes database/schema.sql from the migrations
	@$(BIN)/medbot schema

answers: $(READY) ## Writes docs/answers.md: library mode's answers to everyday questions
	@$(BIN)/medbot answers

livekit: .medbot/bin/livekit-server-$(LIVEKIT_VERSION) ## Builds the media server for voice in rooms; needs Go 1.26

clean: ## Removes what was installed and cached; your data in .medbot stays
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.medbot/bin/livekit-server-$(LIVEKIT_VERSION):
	@command -v go >/dev/null || { echo "make livekit builds livekit-server $(LIVEKIT_VERSION) with Go 1.26 or newer: no go is on the PATH (https://go.dev/dl)." >&2; exit 1; }
	@echo "Building livekit-server $(LIVEKIT_VERSION); this takes a minute or two"
	@mkdir -p .medbot/bin
	@GOBIN="$(CURDIR)/.medbot/bin/building" go install github.com/livekit/livekit-server/cmd/server@v$(LIVEKIT_VERSION)
	@mv .medbot/bin/building/server $@ && rmdir .medbot/bin/building
	@ln -sf $(notdir $@) .medbot/bin/livekit-server

$(READY): uv.lock pyproject.toml $(wildcard */pyproject.toml libs/*/pyproject.toml) | $(filter .uv/%,$(UV))
	@test -n "$(PYTHON)" || { echo "Medbot needs Python 3.11 or newer: none is on the PATH." >&2; exit 1; }
	@echo "Installing what Medbot needs into .venv"
	@$(UV) sync --frozen --all-extras --python "$(PYTHON)"
	@touch $@

.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Medbot needs Python 3.11 or newer: none is on the PATH." >&2; exit 1; }
	@echo "Bringing uv $(UV_VERSION) into .uv"
	@if "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		"$(PYTHON)" -m venv .uv && .uv/bin/python -m pip install --quiet uv==$(UV_VERSION); \
	elif "$(PYTHON)" -m pip --version >/dev/null 2>&1; then \
		"$(PYTHON)" -m pip install --quiet --target .uv uv==$(UV_VERSION); \
	else \
		echo "This Python has neither venv nor pip: on Debian and Ubuntu, apt-get install python3-venv" >&2; \
		exit 1; \
	fi
