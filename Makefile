# Everything that these targets need is set up by themselves: git, make and Python 3.11 with venv and pip are enough.
PYTHON ?= python3
VENV := .venv
ARGS ?=

.PHONY: help install demo test bench check lock clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 12

install: $(VENV)/.installed  ## Make the environment in .venv, so that .venv/bin/pipeline runs

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; choose it with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## Start everything and show the page; ARGS="--seconds 120 --rate 200" and more, see pipeline demo --help
	@$(VENV)/bin/pipeline demo $(ARGS)

test: install  ## Run all tests; ARGS="tests/unit" for some
	@$(VENV)/bin/pytest $(ARGS)

bench: install  ## Measure throughput against the peers (an hour); ARGS="--records 300000 --workloads a" for less
	@$(VENV)/bin/pipeline bench $(ARGS)

check: install  ## Lint, types, import rules, unit tests: what a commit must pass
	@scripts/check

lock: install  ## Resolve the dependencies again (for developers)
	$(VENV)/bin/uv pip compile -q pyproject.toml --generate-hashes --universal --python-version 3.11 --no-header -o requirements.lock
	$(VENV)/bin/uv pip compile -q pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 --no-header -o requirements-dev.lock

clean:  ## Remove the environment and what tools leave behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build src/*.egg-info
