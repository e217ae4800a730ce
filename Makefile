# Each target does all of its own set-up in .venv; the second call of any of them starts at once.
#   make demo         train, evaluate, export and verify on embedded pictures, with real ImageNet weights
#   make test         every check: format, lint, types, tests
#   make test-all     the same and the slow tests: every network of the shelf
#   make lint         the quick ones of them
#   make audit        look up known vulnerabilities of the installed packages (needs a network)
#   make test-colab   the tests with the versions that stock Colab has (needs Python 3.13)
#   make notebooks    write the notebooks anew from the recipes
#   make clean        remove the environments, caches and builds; runs stay

# The first Python that TensorFlow has wheels for and that can make environments; `make demo PYTHON=…` names another.
fits = -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	if $$python $(fits); then command -v $$python; break; fi; done)
COLAB_PYTHON ?= python3.13

bin := .venv/bin
pip := -m pip install --quiet --quiet --disable-pip-version-check
colab := .venv-colab/bin/python

.PHONY: demo test test-all lint audit test-colab notebooks clean
.DELETE_ON_ERROR:

demo: .venv/installed
	@$(bin)/tlkeras demo

test: lint
	@$(bin)/python -m pytest -n 2 --dist loadfile

test-all: lint
	@$(bin)/python -m pytest -m 'slow or not slow' --timeout 1800

lint: .venv/installed-test
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy

audit: .venv/installed
	@test -x .venv-audit/bin/pip-audit || { .venv/bin/python -m venv .venv-audit && .venv-audit/bin/python $(pip) 'pip-audit>=2.7'; }
	@$(bin)/python -m pip freeze --exclude-editable > .venv-audit/installed.txt
	@.venv-audit/bin/pip-audit --strict --requirement .venv-audit/installed.txt --no-deps --disable-pip --progress-spinner off

notebooks: .venv/installed-test
	@$(bin)/python notebooks/build.py

test-colab: .venv-colab/installed
	@$(colab) -m pytest -n 2 --dist loadfile

clean:
	rm -rf .venv .venv-colab .venv-audit build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "tlkeras needs Python 3.11, 3.12 or 3.13, because TensorFlow does (with its venv module: on Debian and" \
		"Ubuntu 'apt install python3-venv'). None was found; name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) $(fits) || { echo "$(PYTHON) does not do: tlkeras needs Python 3.11, 3.12 or 3.13 with its venv module." >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml requirements-samples.txt
	@echo "Installing into .venv. The first time this downloads about 1 GB and takes about 3 GB of disk, because TensorFlow does ..."
	@$(bin)/python $(pip) -e .
	@$(bin)/python $(pip) --no-deps -r requirements-samples.txt
	@touch $@

.venv/installed-test: .venv/installed
	@echo "Installing the test tools ..."
	@$(bin)/python $(pip) -e '.[test]'
	@touch $@

.venv-colab/installed: pyproject.toml requirements-samples.txt tests/colab-constraints.txt tests/colab_plan.py
	@$(COLAB_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' \
		|| { echo "Colab has Python 3.13. Name one: make test-colab COLAB_PYTHON=/path/to/python3.13" >&2; exit 1; }
	@echo "Installing Colab's versions into .venv-colab: about 1 GB to download, 3 GB of disk ..."
	@test -x $(colab) || $(COLAB_PYTHON) -m venv .venv-colab
	@$(colab) $(pip) -r tests/colab-constraints.txt
	@$(colab) tests/colab_plan.py
	@$(colab) $(pip) -e .
	@$(colab) $(pip) --no-deps -r requirements-samples.txt
	@$(colab) -m pip freeze --exclude-editable > .venv-colab/constraints.txt
	@$(colab) $(pip) -e '.[test]' -c .venv-colab/constraints.txt
	@touch $@
