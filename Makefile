PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-full test-faults lint format bench docs figures clean

demo: $(VENV)/.installed  ## the 2-pi spiral at full thesis size, then zeros and ones of MNIST, each with its report
	$(BIN)/undiffuse run spiral-2pi --out demo/spiral-2pi $(if $(wildcard demo/spiral-2pi/manifest.json),--overwrite)
	$(BIN)/undiffuse run mnist-01-quick --out demo/mnist-01 $(if $(wildcard demo/mnist-01/manifest.json),--overwrite)

test: $(VENV)/.developer  ## the whole test suite, on two processes; COVERAGE=1 counts the lines it runs
	$(BIN)/python -m pytest -n 2 -m "not full_size and not faults" $(if $(COVERAGE),--cov --cov-report=term:skip-covered)

test-full: $(VENV)/.developer  ## the checks at full size: 35 minutes, most of them for the laptop bank
	$(BIN)/python -m pytest -m full_size

test-faults: $(VENV)/.developer  ## kills at every file operation, disks of every size: half an hour
	$(BIN)/python -m pytest -m faults

lint: $(VENV)/.developer  ## style, types, and imports that run one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developer
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.developer  ## training and sampling beside their floors, then training beside the alternatives; ten minutes
	$(BIN)/python benchmarks/floors.py
	$(BIN)/python benchmarks/spiral_training.py

docs: $(VENV)/.docs  ## the documentation as a site in build/docs; a warning is an error
	$(BIN)/python -m sphinx -b html -q -W --keep-going docs build/docs

figures: $(VENV)/.developer  ## the pictures of the gallery that take minutes, by the commands on its page
	$(BIN)/python tools/gallery.py

clean:  ## everything that make made, but not runs/
	rm -rf $(VENV) demo pictures build dist docs/_reference docs/notebooks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "undiffuse needs Python 3.11 or newer; give one with PYTHON=python3.12 make ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[torch]'
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[docs]'
	touch $@ $(VENV)/.installed

$(VENV)/.developer: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/.docs $(VENV)/.installed
