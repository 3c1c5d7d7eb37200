# Every target is a command a person could type. They run in .venv, which is built from constraints.txt; `make demo` has
# an environment of its own, which is small: recognition needs no torch.
# Variables: DATA fer2013.csv, RECIPE a name printed by `ferkit recipes`, OUT the run folder, PYTHON the interpreter.

DATA ?= fer2013.csv
RECIPE ?= model1
OUT ?= runs/$(RECIPE)
PYTHON ?= python3

BIN := .venv/bin
STAMP := .venv/.complete

.PHONY: demo train test test-browser lint format bench results clean

demo: .venv-demo/.complete  ## recognise the faces in two portraits and write annotated copies to demo/
	.venv-demo/bin/python examples/demo.py

train: $(STAMP)  ## train a network, evaluate it and write its report page; goes on where it stopped
	$(BIN)/ferkit train --data "$(DATA)" --recipe "$(RECIPE)" --out "$(OUT)" --resume

test: $(STAMP)  ## all tests, a process a core; those on the real data need FER2013_CSV=path/to/fer2013.csv
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal -m "not browser and not alone"
	$(BIN)/python -m pytest -m alone $$(grep -rl --include='*.py' 'mark\.alone' tests)

test-browser: $(STAMP)  ## the page of the service in Chromium: FERKIT_CHROMIUM, one that is installed, or playwright's own
	$(BIN)/python -m pytest -m browser tests/browser

lint: $(STAMP)  ## formatting, lint, types, direction of imports, generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/ferkit results --check

format: $(STAMP)  ## mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## ferkit beside a plain version of what the report describes
	$(BIN)/python benchmarks/training.py --data "$(DATA)"

results: $(STAMP)  ## render docs/results and the README's table from results/
	$(BIN)/ferkit results

clean:
	rm -rf .venv .venv-demo demo dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# A stamp is written last, so a half-built environment is built again.
$(STAMP): EXTRAS = all,dev
.venv-demo/.complete: EXTRAS = demo
$(STAMP) .venv-demo/.complete: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ferkit needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@
