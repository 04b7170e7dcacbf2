# `make run` and `make test` need Python 3.11 or later, `make test-sam` also Docker and Python 3.13.
PYTHON ?= python3
VENV ?= .venv
CONFIG ?= default
# What a user sets reaches the programs by the environment, because "$$EVENT" is safe in the shell
# whatever it contains. Make itself exports the variables of its command line.
export EVENT ?= events/direct.json
export DELAY ?= 0.05

# Without this, a mistyped variable would be ignored, or replace one of this file's own.
known = ARGS BODIES CONFIG DELAY EVENT FAULTS HOST LIVE LOGS MINUTES MODULE OPEN PAIRS \
	PARAMETERS PORT PYTHON RANGE SCREENSHOTS SEED SMALL STRATEGIES STRATEGY TO UPGRADE VENV WEATHER
upper = $(filter $(shell echo '$(variable)' | tr a-z A-Z),$(known))
advice = $(if $(upper),write $(upper)=$(value $(variable)),only $(known))
$(foreach variable,$(filter-out $(known),$(.VARIABLES)), \
	$(if $(filter command,$(origin $(variable))), \
	$(error $(variable)=$(value $(variable)): no such variable, $(advice))))

# Make would take it for several folders, and `make clean` would remove them.
$(if $(word 2,$(VENV)),$(error VENV: got '$(VENV)', allowed: a path without a space))

bin := $(VENV)/bin
# Without bytecode each worker would compile all tests for itself.
unexport PYTHONDONTWRITEBYTECODE

# What a failed test leaves for inspection is in the virtual environment, not in /tmp.
pytest = PYTEST_DEBUG_TEMPROOT="$$(cd $(VENV) && pwd)" $(bin)/python -m pytest
compile = $(bin)/uv pip compile --quiet --universal --python-version 3.11 \
	--no-annotate --no-strip-extras --custom-compile-command 'make lock' $(UPGRADE)

.PHONY: help run race serve test fuzz mutants test-sam test-browser check format build deploy docs
.PHONY: pokeapi bench soak simulate audit lock clean docker-runs chromium-runs bench-tools
.NOTPARALLEL:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 } END { \
		print "\nVariables follow, as in: make run RANGE=1-151 STRATEGY=index" }' Makefile

on = $(filter-out 0 no false,$($(1)))
service = --delay="$$DELAY" $(if $(FAULTS),--faults="$$FAULTS") $(if $(SEED),--seed="$$SEED") \
	$(if $(WEATHER),--weather="$$WEATHER")
function = $(service) $(if $(call on,LIVE),--live) $(if $(call on,LOGS),--logs)
range = $(if $(RANGE),--range="$$RANGE")
# Some shells export a HOST of their own.
address = $(if $(filter command,$(origin HOST)),--host="$$HOST") \
	$(if $(filter command,$(origin PORT)),--port="$$PORT")
bodies = $(if $(BODIES),--bodies="$$BODIES")

# RANGE=1-3 STRATEGY=index EVENT=events/direct-one.json FAULTS=reset=0.3 WEATHER=outage=2 LIVE=1
# LOGS=1
run: $(VENV)/run  ## the names of a range
	$(if $(STRATEGIES),$(error STRATEGIES is for make race, make run takes one STRATEGY))
	@PYTHONPATH=src $(bin)/python -m tests.tools.run $(function) $(range) \
		$(if $(STRATEGY),--strategy="$$STRATEGY") -- "$$EVENT"

# RANGE= STRATEGIES=gather,sync FAULTS= WEATHER= LIVE=1 LOGS=1 OPEN=1 TO=race.html, or .svg
race: $(VENV)/run  ## a race of all strategies, as text and as a page
	$(if $(STRATEGY),$(error STRATEGY is for make run, make race takes STRATEGIES=gather,sync))
	@PYTHONPATH=src $(bin)/python -m tests.tools.race $(function) $(range) \
		$(if $(STRATEGIES),--strategies="$$STRATEGIES") $(if $(call on,OPEN),--open) \
		-- "$${TO:-$(VENV)/race.html}"

# HOST= PORT= DELAY= FAULTS= SEED= WEATHER= LIVE=1 LOGS=1. Without `exec`, make reports the Ctrl-C.
serve: $(VENV)/run  ## the API and its pages by HTTP, until Ctrl-C
	@PYTHONPATH=src exec $(bin)/python -m tests.tools.serve $(address) $(function)

# ARGS=tests/sources/test_http.py for some of them, without coverage
test: $(VENV)/test  ## every test that needs neither Docker nor a browser, with coverage
	$(pytest) -n auto --dist loadfile --no-loadscope-reorder $(or $(ARGS),--cov)

fuzz: $(VENV)/test  ## ten thousand examples of each property, and twenty seeds of all faults
	$(pytest) -n auto -m 'hypothesis or fuzz' --hypothesis-profile=fuzz $(ARGS)

# MODULE=fetching/fetcher, or a folder. Without one it takes hours.
mutants: $(VENV)/mutants  ## mutants of the source that no test notices
	@PYTHONPATH=src $(VENV)/mutmut/bin/python -m tests.tools.mutants \
		$(if $(MODULE),--module="$$MODULE")

test-sam: docker-runs chromium-runs $(VENV)/sam  ## the package in `sam local`; needs Docker
	SAM=$(VENV)/sam-cli/bin/sam $(pytest) -m sam $(ARGS)

test-browser: chromium-runs  ## the pages in Chromium; SCREENSHOTS=folder keeps pictures of it
	$(pytest) -m browser $(ARGS)

docker-runs:
	@command -v docker >/dev/null || { \
		echo 'Docker is needed, and is not installed: there is no program docker' >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { \
		echo 'Docker is needed, and cannot be reached: start it; `docker info` says more' >&2; \
		exit 1; }

chromium-runs: $(VENV)/test
	@$(bin)/python -m tests.chromium

check: $(VENV)/test  ## lint, format, types, imports between the rooms, template, workflow
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	PYTHONPATH=src $(bin)/lint-imports --no-cache --no-logo
	$(bin)/cfn-lint template.yaml
	$(bin)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml

format: $(VENV)/test  ## correct what ruff can correct
	$(bin)/ruff check --fix
	$(bin)/ruff format

# Lambda cannot store bytecode, and would compile the package at every cold start. CONFIG=prod
build:  ## `sam build`, and the package's bytecode
	@python3.13 -c '' 2>/dev/null || { \
		echo 'Python 3.13 is needed, as the program python3.13: the function runs on it' >&2; \
		exit 1; }
	@sam --version >/dev/null 2>&1 || { \
		echo 'The AWS SAM CLI is needed, as the program sam: pipx install aws-sam-cli' >&2; exit 1; }
	@grep -q '^\[$(CONFIG)[.]' samconfig.toml || { \
		echo 'CONFIG: got $(CONFIG), allowed: default, prod, or what samconfig.toml has beside them' \
			>&2; exit 1; }
	sam build $(sam)
	python3.13 -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build/PokemonNames

# CONFIG=prod PARAMETERS='Authorization=AWS_IAM RateLimit=5'. With CI set, no confirmation is asked for.
deploy: build  ## `make build`, and `sam deploy` of the same configuration
	sam deploy $(sam) $(if $(call on,CI),--no-confirm-changeset)

# SAM replaces the parameters of the configuration by those of the command line. Without its own
# architecture, a deployment could ship a package of another one.
sam = --config-env $(CONFIG) \
	$(if $(PARAMETERS),--parameter-overrides '$(strip $(configured) $(PARAMETERS))')
configured = $(shell python3.13 -c 'import tomllib; \
	parameters = tomllib.load(open("samconfig.toml", "rb"))["$(CONFIG)"]["global"]["parameters"]; \
	print(parameters.get("parameter_overrides", ""))')

docs: $(VENV)/test  ## the page at `/`, made from the API's description in openapi.yaml
	@PYTHONPATH=src $(bin)/python -m tests.tools.docs

# HOST= PORT= DELAY= BODIES= FAULTS='reset=0.1 429=0.2' SEED= WEATHER=outage=2
pokeapi: $(VENV)/run  ## the local PokeAPI, until Ctrl-C
	@exec $(bin)/python -m tests.tools.pokeapi $(address) $(service) $(bodies)

# BODIES= PAIRS= SMALL=1. Debian has nginx in a folder that only root's PATH names.
bench: export PATH := $(PATH):/usr/sbin
bench: bench-tools $(VENV)/test  ## the function against its peers, over TLS and a round trip
	@PYTHONPATH=src $(bin)/python -m tests.tools.bench $(if $(call on,SMALL),--small) \
		$(if $(PAIRS),--pairs="$$PAIRS") $(bodies)

# MINUTES=10 SEED= TO=soak.svg. With violations it is an error.
soak: $(VENV)/run  ## the warm function in random weather for MINUTES=60, drawn; Linux
	@PYTHONPATH=src exec $(bin)/python -m tests.tools.soak $(if $(MINUTES),--minutes="$$MINUTES") \
		$(if $(SEED),--seed="$$SEED") -- "$${TO:-$(VENV)/soak.svg}"

# SEED=7
simulate: $(VENV)/run  ## fetching in all conditions on a virtual clock, as a table
	@PYTHONPATH=src $(bin)/python -m tests.tools.simulation $(if $(SEED),--seed="$$SEED")

bench-tools:
	@for tool in nginx taskset curl h2load; do command -v $$tool >/dev/null || { \
		echo "make bench needs $$tool; Debian: apt install nginx util-linux curl nghttp2-client" >&2; \
		exit 1; }; done

audit: | $(bin)/pip  ## known vulnerabilities, and the template's security; needs the network
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check checkov pip-audit
	$(VENV)/audit/bin/checkov --config-file .checkov.yaml
	$(VENV)/audit/bin/pip-audit --disable-pip --require-hashes --requirement src/requirements.txt

lock: $(VENV)/test  ## pin what pyproject.toml asks for; UPGRADE=--upgrade for the newest
	$(bin)/pip install --quiet uv
	$(compile) --generate-hashes pyproject.toml --output-file src/requirements.txt
	$(compile) --generate-hashes --group pokeapi --output-file tests/tools/pokeapi/requirements.txt
	$(compile) --generate-hashes pyproject.toml --group test --output-file tests/requirements.txt
	$(compile) --group sam --output-file tests/requirements-sam.txt
	$(compile) --constraint tests/requirements.txt pyproject.toml --group mutants \
		--output-file tests/requirements-mutants.txt

clean:  ## remove what the others have made
	rm -rf $(VENV) mutants .aws-sam .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What is installed is marked last, so that an installation is repeated until it is complete. Where
# there is no wheel for a platform, pip would compile, which takes Rust and minutes.
$(VENV)/run: src/requirements.txt tests/tools/pokeapi/requirements.txt
$(VENV)/test: tests/requirements.txt
$(VENV)/run $(VENV)/test: | $(bin)/pip
	@echo 'Installing into $(VENV), once …' >&2
	@$(call install,$(bin)/pip,--only-binary :all:)
	@touch $@

# By themselves, because they pin much. SAM's watchdog has no wheel for Python 3.14 on macOS.
$(VENV)/sam: own = sam-cli
$(VENV)/sam: tests/requirements-sam.txt
$(VENV)/mutants: own = mutmut
$(VENV)/mutants: tests/requirements-mutants.txt
$(VENV)/sam $(VENV)/mutants: | $(bin)/pip
	@echo 'Installing $(own) into $(VENV)/$(own), once …' >&2
	@$(PYTHON) -m venv --clear $(VENV)/$(own)
	@$(call install,$(VENV)/$(own)/bin/pip)
	@touch $@

install = $(1) install $(2) --retries 2 --disable-pip-version-check \
	$(foreach file,$^,--requirement $(file)) >$(VENV)/pip.log 2>&1 || { \
	echo 'Installing failed, $(VENV)/pip.log says why. It needs PyPI, Python 3.11 to 3.14, and' \
		'Linux on x86-64 or arm64, or macOS on arm64; after changing PYTHON, run make clean' >&2; exit 1; }

# An interrupted one is made anew: where half of pip is left, pip is not installed.
$(bin)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'Python 3.11 or later is needed, which $(PYTHON) is not:' \
			'name one, as in make run PYTHON=python3.13' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) has no venv: on Debian and Ubuntu, apt install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(if $(wildcard $(VENV)/pyvenv.cfg),--clear) $(VENV)
