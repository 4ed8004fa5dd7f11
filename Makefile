# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.

VENV = .venv
BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check
PYTEST_ARGS =
BENCH =

.PHONY: help demo test lint docs bench packages clean

help:
	@echo 'make demo   run one program in each usable backend, and compare them'
	@echo 'make test   install what the tests need, then lint, types and all tests'
	@echo 'make lint   ruff and mypy'
	@echo 'make docs   build the documentation into build/docs; docs/generate.py writes the reference'
	@echo 'make bench  measure launches against the installed peers; writes benchmarks/results'
	@echo 'make clean  remove what these made'

demo: $(VENV)/.installed
	@$(BIN)/isolate backends
	@$(BIN)/python -m isolate.cli.demo
	@mkdir -p build
	@$(BIN)/isolate compare --quick --save build/compare.json
	@$(BIN)/isolate compare show build/compare.json -o build/report.html
	@echo 'The same as a page: build/report.html'

test: packages lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: packages $(VENV)/.installed-dev
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m benchmarks $(BENCH)

packages:
	@.ci/packages tests/system-packages.txt

$(BIN)/python:
	@python=$$(.ci/python) && echo "Making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	@echo 'Installing isolate into $(VENV)'
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml
	@echo 'Installing isolate and its development tools into $(VENV)'
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find benchmarks isolate plugins tests -name __pycache__ -prune -exec rm -rf {} +
