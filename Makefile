# The whole set-up: `make demo` and `make test`. Both make the environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin
PHOTOS ?= toy
PARTS ?= 6
ARGS ?= -n 2 --dist loadfile

.PHONY: demo test check docs
.DEFAULT_GOAL := demo

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: .venv/ready  ## find the parts of drawn creatures, or of your own photos: make demo PHOTOS=folder PARTS=8
	$(BIN)/meronym demo "$(PHOTOS)" --parts $(PARTS)

test: .venv/ready  ## the fast tests, in two processes; `make test ARGS="-m slow"` for the long ones
	$(BIN)/python -m pytest $(ARGS)

docs: .venv/ready  ## the documentation, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

check: docs  ## style, types, and that the documentation builds
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright
