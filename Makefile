# `make run` and `make test` need Python 3.11 or later; `make test-sam` needs Docker and Python 3.13, too.
PYTHON ?= python3
VENV ?= .venv
EVENT ?= events/direct.json
HOST ?= 127.0.0.1
PORT ?= 8000
DELAY ?= 0.05

bin := $(VENV)/bin
compile = $(bin)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-strip-extras \
	--custom-compile-command 'make lock' $(UPGRADE)

.PHONY: run test test-sam check format pokeapi bench lock clean

run: $(VENV)/run  ## the names of a range; RANGE=1-3 STRATEGY=index EVENT=events/direct-one.json LIVE=1 LOGS=1
	@PYTHONPATH=src $(bin)/python -m tests.run $(EVENT) --delay $(DELAY) $(if $(LIVE),--live) $(if $(LOGS),--logs) \
		$(if $(RANGE),--range '$(RANGE)') $(if $(STRATEGY),--strategy '$(STRATEGY)')

test: $(VENV)/test  ## every test that needs no Docker
	$(bin)/coverage erase
	$(bin)/coverage run -m pytest -m 'not sam' $(ARGS)
	$(bin)/coverage report

test-sam: $(VENV)/test $(VENV)/sam  ## the rest: the real `sam local`
	SAM=$(VENV)/sam-cli/bin/sam $(bin)/python -m pytest -m sam $(ARGS)

check: $(VENV)/test  ## lint, format, types, template
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/cfn-lint template.yaml

format: $(VENV)/test
	$(bin)/ruff check --fix
	$(bin)/ruff format

pokeapi: $(VENV)/run  ## the local PokeAPI, until Ctrl-C; HOST= PORT= DELAY= BODIES=
	@$(bin)/python -m tests.pokeapi --host $(HOST) --port $(PORT) --delay $(DELAY) $(if $(BODIES),--bodies '$(BODIES)')

bench: $(VENV)/test  ## the function against its peers, over TLS and a round trip; needs nginx and two cores; BODIES= PAIRS=
	@for tool in nginx taskset; do command -v $$tool >/dev/null || { echo "make bench needs $$tool"; exit 1; }; done
	@PYTHONPATH=src $(bin)/python -m tests.bench --pairs $(or $(PAIRS),5) \
		$(addprefix --bodies ,$(or $(BODIES),$(wildcard ../shared/pokeapi/pokemon)))

lock: $(VENV)/test  ## pin what pyproject.toml asks for; UPGRADE=--upgrade for the newest
	$(bin)/pip install --quiet uv
	$(compile) --generate-hashes --group function --output-file src/requirements.txt
	$(compile) --generate-hashes --group pokeapi --output-file tests/pokeapi/requirements.txt
	$(compile) --generate-hashes --group test --output-file tests/requirements.txt
	$(compile) --group sam --output-file tests/requirements-sam.txt

clean:
	rm -rf $(VENV) .aws-sam .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/run: src/requirements.txt tests/pokeapi/requirements.txt
$(VENV)/test: tests/requirements.txt
$(VENV)/run $(VENV)/test: | $(bin)/pip
	@echo 'Installing into $(VENV), once …'
	$(bin)/pip install --disable-pip-version-check $(foreach file,$^,--requirement $(file))
	@touch $@

# By itself, because it pins much.
$(VENV)/sam: tests/requirements-sam.txt
	@echo 'Installing SAM into $(VENV)/sam-cli, once …'
	$(PYTHON) -m venv $(VENV)/sam-cli
	$(VENV)/sam-cli/bin/pip install --disable-pip-version-check --requirement $<
	@touch $@

$(bin)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; PYTHON=… names one")'
	$(PYTHON) -m venv $(VENV)
