# Two commands matter: `make run` and `make test`. Everything they need lands inside this folder
# (.venv, .venvs, tests/npm/node_modules); `make clean` takes it away again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

LISTEN ?= 127.0.0.1:8787
POLICY ?=
WORKERS ?= 3
PYTEST_ARGS ?=
SECONDS ?= 60
TARGET ?=

BIN := .venv/bin
export PYTHON
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Many containers set it; every start of a gate, and there are thousands, would compile all of its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run demo test test-full conformance bench fuzz dist lint format eval records reference lock clean \
  ready peers apart

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: .venv/stamp-run ## Python behind walls, through a gate, on $(LISTEN); SERVER=time for a published server
	@exec scripts/run.sh $(LISTEN) $(POLICY)

demo: .venv/stamp-run ## a policy between an official client and a published server, and hostile code
	@command -v bwrap >/dev/null || $(MAKE) -s .venvs/programs/stamp-bubblewrap 2>/dev/null || true
	@PATH=$$PATH:$(CURDIR)/.venvs/programs/usr/bin $(BIN)/ostiary demo

test: ready ## everything that is checked before a commit
	@$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal $(PYTEST_ARGS)

test-full: export OSTIARY_TEST_FULL := 1
test-full: ready ## the same at full size (minutes to hours)
	@$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal --timeout=3600 $(PYTEST_ARGS)

conformance: export CONFORMANCE_TABLE := 1
conformance: peers ## the official suite and the Inspector, without the gate and through it
	@$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal --quiet tests/conformance $(PYTEST_ARGS)

lint: .venv/stamp-dev ## style, types, import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo 'lint: `make format` would change these files' >&2; \
	  $(BIN)/ruff format --check . >&2; exit 1; }
	@$(BIN)/pyright -p pyproject.toml
	@$(BIN)/lint-imports --no-logo

format: .venv/stamp-dev ## rewrite the sources in the house style
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

bench: .venv/stamp-dev ## speed against nginx, haproxy and Python gateways, all measured in this run
	@for gateways in 1 2; do $(MAKE) -s .venvs/gateways$$gateways/stamp || true; done
	@{ command -v nginx && command -v haproxy; } >/dev/null || $(MAKE) -s .venvs/proxies/stamp || true
	@$(MAKE) -s .venvs/programs/stamp-bubblewrap .venvs/containers/stamp || true
	@$(MAKE) -s .venvs/django-peer/stamp || true
	@$(BIN)/python -m benchmarks
	@export PATH=$$PATH:$(CURDIR)/.venvs/programs/usr/bin; \
	  $(BIN)/ostiary sandbox prepare >/dev/null && $(BIN)/ostiary sandbox prepare --engine pyodide >/dev/null || true; \
	  for one in execution tools inner code containers django; do $(BIN)/python -m benchmarks.$$one; done

fuzz: .venvs/fuzz/stamp ## look for faults in the parsers: SECONDS=60 for each, TARGET=name for one
	@PYTHONPATH=.:src PYTHONDONTWRITEBYTECODE=1 .venvs/fuzz/bin/python -m tests.fuzz.run --seconds $(SECONDS) $(TARGET)

eval: .venv/stamp-dev ## the classifier on labelled tools: agreement, confusions, held-out servers
	@$(BIN)/python scripts/eval.py

records: .venv/stamp-dev ## scan the published servers of the list behind walls, and write their records and page
	@command -v bwrap >/dev/null || $(MAKE) -s .venvs/programs/stamp-bubblewrap
	@PATH=$$PATH:$(CURDIR)/.venvs/programs/usr/bin $(BIN)/python scripts/scan-servers.py

dist: .venv/stamp-dev ## wheel, sdist and single-file build, each started once
	@scripts/dist.sh

reference: .venv/stamp-dev ## write the reference pages that come from the code
	@$(BIN)/python scripts/reference.py

lock: .venv/stamp-dev ## resolve every lock file anew
	@scripts/lock.sh

clean: ## remove environments and build results
	rm -rf .venv .venvs build dist tests/npm/node_modules .ruff_cache .pytest_cache .import_linter_cache

# --- environments: a stamp is as new as the lock it was made from ---------------------------------

.venv/stamp-run: requirements/demo.lock requirements/build.lock pyproject.toml
	@scripts/make-environment.sh .venv requirements/demo.lock requirements/build.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/stamp-dev: requirements/dev.lock .venv/stamp-run
	@scripts/make-environment.sh .venv requirements/dev.lock
	@touch $@

.venvs/%/stamp: requirements/%.lock
	@scripts/make-environment.sh .venvs/$* requirements/$*.lock
	@touch $@

.venvs/programs/stamp-%: scripts/debian-programs.sh
	@scripts/debian-programs.sh .venvs/programs $*
	@touch $@

# Django 6 wants a newer Python than everything else here.
.venvs/django6/stamp: requirements/django6.lock
	@OLDEST=12 scripts/make-environment.sh .venvs/django6 requirements/django6.lock
	@touch $@

# Pyodide as its engine pins it, for the tests of that engine.
.venvs/pyodide/stamp: .venv/stamp-dev src/ostiary/sandbox/pyodide/fetch.py tests/tools/pyodide.py
	@PYTHONPATH=. $(BIN)/python tests/tools/pyodide.py .venvs/pyodide
	@touch $@

.venvs/shells/stamp: scripts/shells.sh scripts/debian-programs.sh
	@scripts/shells.sh .venvs/shells
	@touch $@

# With them come the libraries of haproxy that not every system has.
.venvs/proxies/stamp: scripts/debian-programs.sh
	@scripts/debian-programs.sh .venvs/proxies nginx haproxy liblua5.3-0 libopentracing1 libopentracing-c-wrapper0
	@touch $@

.venvs/containers/stamp: scripts/containers.sh scripts/debian-programs.sh
	@rm -rf $(@D) && scripts/containers.sh $(@D)
	@touch $@

# A server of PostgreSQL, with the libraries that not every system has.
.venvs/postgres/stamp: scripts/debian-programs.sh
	@scripts/debian-programs.sh .venvs/postgres postgresql-15 libpq5 libicu72 libxml2 libldap-2.5-0 \
	  libsasl2-2 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libcom-err2 liblz4-1 libzstd1
	@touch $@

# Chromium without a window, with the libraries that not every system has.
.venvs/browser/stamp: scripts/debian-programs.sh
	@scripts/debian-programs.sh .venvs/browser chromium-headless-shell chromium-common libdouble-conversion3 \
	  libogg0 libflac12 libharfbuzz-subset0 libminizip1 libopenh264-7 libopenjp2-7 libopus0 libasyncns0 \
	  libmp3lame0 libmpg123-0 libvorbis0a libvorbisenc2 libsndfile1 libpulse0 libxnvctrl0
	@touch $@

tests/npm/node_modules/stamp: tests/npm/package.json tests/npm/package-lock.json .venv/stamp-dev
	@cd tests/npm && ../../$(BIN)/python ../tools/node.py npm ci --ignore-scripts --silent
	@touch $@

# Programs the tests talk to. Without a network the tests that need one are skipped and say so; with
# CI=true a missing one is a failure. Those of APART are set up without our own environment.
APART := .venvs/mcp1/stamp .venvs/servers/stamp .venvs/containers/stamp
# Django 6 wants a newer Python than we do: where there is none, its tests are skipped, in CI as well.
ifneq ($(shell OLDEST=12 scripts/find-python.sh 2>/dev/null),)
APART += .venvs/django6/stamp
endif
ifeq ($(shell command -v tinyproxy),)
APART += .venvs/programs/stamp-tinyproxy-bin
endif
ifeq ($(wildcard /usr/lib/postgresql/*/bin/initdb),)
APART += .venvs/postgres/stamp
endif
ifeq ($(or $(shell command -v chromium-headless-shell),$(shell command -v chromium)),)
APART += .venvs/browser/stamp
endif
ifeq ($(shell command -v bwrap),)
APART += .venvs/programs/stamp-bubblewrap
endif
ifeq ($(and $(shell command -v zsh),$(shell command -v fish)),)
APART += .venvs/shells/stamp
endif
PEERS := $(APART) tests/npm/node_modules/stamp .venvs/pyodide/stamp

# One after another, because some of them share a folder.
set_up = for peer in $(1); do \
    $(MAKE) -s $$peer || { \
      echo "peers: $${peer%/stamp} could not be set up; tests that need it are skipped" >&2; \
      if [ "$${CI:-}" = true ]; then exit 1; fi; \
    }; \
  done

peers: .venv/stamp-dev
	+@$(call set_up,$(PEERS))

apart:
	+@$(call set_up,$(APART))

# Downloading and checking beside each other, in two rounds: what is checked comes out of the first.
ready:
	@$(MAKE) -j2 .venv/stamp-dev apart
	@$(MAKE) -j2 lint peers
