# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench evaluate docs lint release-check clean
SHELL := /bin/bash

# The same interpreter that apt's PyKDL was built for.
SETUP := /usr/bin/python3 scripts/set_up.py
# Jazzy has the plain names; ROS_DISTRO=kilted on make's command line, its own beside them.
SUFFIX := $(if $(filter-out jazzy,$(ROS_DISTRO)),-$(ROS_DISTRO))
BIN := .venv$(SUFFIX)/bin
IN_ENV := source install$(SUFFIX)/setup.bash && export PATH="$(CURDIR)/$(BIN):$$PATH" &&
ARGS ?=
# of pytest: one more than there are cores at least, for tests of nodes mostly wait
PROCESSES ?= 3

help:	## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:	## Set up everything the others need; they do it themselves.
	@$(SETUP)

demo: setup	## Play recorded episodes into the nodes; results in out/demo/. ARGS='--help' for more.
	@$(IN_ENV) exec python scripts/demo.py $(ARGS)

test:	## Run every test. ARGS='test/robot -k fk' for some, ROS_DISTRO=kilted on that ROS.
	@$(SETUP) engine docs cluster browser
	@$(IN_ENV) ROS_LOCALHOST_ONLY=1 ROS_PYTHON_CHECK_FIELDS=1 \
		exec python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder \
		--durations 10 $(ARGS)

bench: setup	## Measure what docs/measured.md states, as JSON.
	@$(IN_ENV) exec python -m bench $(ARGS)

evaluate: setup	## Verdicts on recorded episodes against what happened; out/evaluate/.
	@$(IN_ENV) exec python scripts/evaluate.py $(ARGS)

docs:	## Build the pages of docs/ as a site; out/docs/index.html.
	@$(SETUP) docs
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs out/docs $(ARGS)
	@echo out/docs/index.html

lint: setup	## Check style (ruff) and types (mypy).
	@$(BIN)/ruff check .
	@$(BIN)/mypy

release-check: setup	## List what is open before a release with bloom.
	@$(BIN)/python scripts/release_check.py

clean:	## Remove what was built and made; keeps the virtual environment.
	rm -rf build build-* install install-* log out
