# `make run` and `make test` need Python 3.11 or later. `make test-sam` also needs Docker and Python
# 3.14.

# The variables on the command line. Their contents are data, never commands for make or the shell,
# so nothing in them is expanded here. Until these variables are checked, every definition is an
# override, because one of them may have the same name.
override one :=
override given := $(foreach one,$(.VARIABLES),$(if $(filter command,$(origin $(one))),$(one)))

# The variables of each target, with examples; all targets take the last two.
override targets := run race serve pokeapi test test-httpx2 fuzz test-browser test-sam mutants \
	bench soak simulate build deploy smoke new lock
override for-service := DELAY=0.05 FAULTS=reset=0.3 SEED=7 WEATHER=outage=2
override for-function := LIVE=1 LOGS=1 $(for-service)
override for-run := STRATEGY=index RANGE=1-3 EVENT=events/direct-one.json DEBUG=1 $(for-function)
override for-race := STRATEGIES=gather,sync RANGE=1-150 OPEN=1 TO=race.svg $(for-function)
override for-serve := HOST=0.0.0.0 PORT=8080 $(for-function)
override for-pokeapi := HOST=0.0.0.0 PORT=9000 BODIES=folder $(for-service)
override for-test := ARGS=tests/sources/test_http.py BODIES=folder
override for-test-httpx2 := $(for-test)
override for-fuzz := $(for-test)
override for-test-browser := ARGS=--pdb SCREENSHOTS=folder
override for-test-sam := $(for-test)
override for-mutants := MODULE=fetching/fetcher
override for-bench := BODIES=folder PAIRS=1 SMALL=1
override for-soak := MINUTES=10 SEED=7 TO=soak.svg
override for-simulate := SEED=7
override for-build := CONFIG=prod PARAMETERS=RateLimit=5
override for-deploy := $(for-build)
override for-smoke := CONFIG=prod
override for-new := NAME=post-titles TO=../post-titles
override for-lock := UPGRADE=--upgrade
override for-all := PYTHON=python3.14 VENV=.venv

override names = $(foreach one,$(1),$(firstword $(subst =, ,$(one))))
override known := $(sort $(call names,$(foreach one,$(targets),$(for-$(one))) $(for-all)))
override users = $(strip \
	$(foreach target,$(targets),$(if $(filter $(one),$(call names,$(for-$(target)))),$(target))))

# Without these checks, a mistyped variable would be ignored, or replace one of this file's own. The
# capitals do not come from the shell, because make 4.4 would expand all variables for it.
override letters := a,A b,B c,C d,D e,E f,F g,G h,H i,I j,J k,K l,L m,M n,N o,O p,P q,Q r,R s,S t,T \
	u,U v,V w,W x,X y,Y z,Z
override upper = $(eval override capitals := $$(one))$(foreach pair,$(letters), \
	$(eval override capitals := $$(subst $(pair),$$(capitals))))$(filter $(capitals),$(known))
override advice = $(if $(strip $(upper)),write \
	$(strip $(upper))=$(value $(one)),the variables are $(known))
$(foreach one,$(filter-out $(known),$(given)), \
	$(error $(one)=$(value $(one)): no such variable; $(advice)))
override goals := $(or $(MAKECMDGOALS),help)
override taken := $(foreach one,$(filter $(targets),$(goals)),$(for-$(one))) $(for-all)
$(foreach one,$(filter-out $(call names,$(taken)),$(given)), \
	$(error $(one) is for make $(subst $() , or ,$(users)); make $(goals) takes $(strip $(taken))))

PYTHON ?= python3
VENV ?= .venv
CONFIG ?= default
EVENT ?= events/direct.json
DELAY ?= 0.05

# From here on, make finds nothing to expand in these variables. They reach the programs through the
# environment, because "$$EVENT" is safe in the shell whatever it contains.
$(foreach one,$(known),$(if $(filter-out undefined,$(origin $(one))), \
	$(eval override $(one) := $$(value $(one)))$(eval export $(one))))

# VENV's files are targets, and their names appear in commands. With a space in VENV, `make clean`
# would remove several folders.
special := ' " ` $$ ; & | < > ( ) { } [ ] * ? \ % : = \#
$(if $(filter-out 1,$(words -$(VENV)-))$(strip $(foreach one,$(special),$(findstring $(one),$(VENV)))), \
	$(error VENV: got '$(VENV)', allowed: a path without spaces and without $(special)))
$(if $(VENV),,$(error VENV: got '', allowed: a path))

bin := $(VENV)/bin
# Without bytecode, each worker would compile all tests for itself.
unexport PYTHONDONTWRITEBYTECODE

# Failed tests leave their files in the virtual environment, not in /tmp. pytest splits
# PYTEST_ADDOPTS as a shell would, quotes included, but runs nothing in it. A test that calls make
# must not hand on the variables of this target.
pytest = MAKEFLAGS= PYTEST_DEBUG_TEMPROOT="$$(cd $(VENV) && pwd)" \
	PYTEST_ADDOPTS="$$PYTEST_ADDOPTS $(1) $$ARGS" $(bin)/python -m pytest
compile = $(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-strip-extras --custom-compile-command 'make lock' $$UPGRADE

.PHONY: $(targets) help check format docs audit clean docker-runs chromium-runs bench-tools \
	configuration-exists
.NOTPARALLEL:

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 } END { \
		print "\nVariables follow the target: make run RANGE=1-151 STRATEGY=index" }' Makefile

on = $(filter-out 0 no false,$(value $(1)))
service = --delay="$$DELAY" $(if $(FAULTS),--faults="$$FAULTS") $(if $(SEED),--seed="$$SEED") \
	$(if $(WEATHER),--weather="$$WEATHER")
function = $(service) $(if $(call on,LIVE),--live) $(if $(call on,LOGS),--logs)
range = $(if $(RANGE),--range="$$RANGE")
# Some shells export their own HOST, NAME or DEBUG.
address = $(if $(filter HOST,$(given)),--host="$$HOST") $(if $(filter PORT,$(given)),--port="$$PORT")
bodies = $(if $(BODIES),--bodies="$$BODIES")

run: $(VENV)/run  ## fetch and print the names of a range; DEBUG=1 stops at breakpoint()
	@$(bin)/python -m tests.tools.run $(function) $(range) \
		$(if $(STRATEGY),--strategy="$$STRATEGY") \
		$(if $(filter DEBUG,$(given)),$(if $(call on,DEBUG),--debug)) -- "$$EVENT"

race: $(VENV)/run  ## race all strategies, as text and as a page
	@$(bin)/python -m tests.tools.race $(function) $(range) \
		$(if $(STRATEGIES),--strategies="$$STRATEGIES") $(if $(call on,OPEN),--open) \
		-- "$${TO:-$(VENV)/race.html}"

# Without `exec`, make would report the Ctrl-C.
serve: $(VENV)/run  ## serve the API and its pages over HTTP, until Ctrl-C
	@exec $(bin)/python -m tests.tools.serve $(address) $(function)

# ARGS=tests/sources/test_http.py runs only these tests, without coverage.
test: $(VENV)/test  ## run every test that needs neither Docker nor a browser, with coverage
	$(call pytest,-n auto --dist loadfile --no-loadscope-reorder $(if $(ARGS),,--cov))

test-httpx2: $(VENV)/test  ## run the same tests with httpx2 instead of httpx, without coverage
	$(call pytest,-p tests.tools.httpx2_alias -n auto --dist loadfile --no-loadscope-reorder)

fuzz: $(VENV)/test  ## run ten thousand examples of each property, and all faults with twenty seeds
	$(call pytest,-n auto -m 'hypothesis or fuzz' --hypothesis-profile=fuzz)

# MODULE may be a folder. Without MODULE it takes hours.
mutants: $(VENV)/mutants  ## change the code in many places; list the changes that no test notices
	@$(VENV)/mutmut/bin/python -m tests.tools.mutants \
		$(if $(MODULE),--module="$$MODULE")

test-sam: docker-runs chromium-runs $(VENV)/sam  ## test the package in `sam local`; needs Docker
	SAM=$(VENV)/sam-cli/bin/sam $(call pytest,-m sam)

test-browser: chromium-runs  ## test the pages in Chromium; SCREENSHOTS=folder stores screenshots
	$(call pytest,-m browser)

docker-runs:
	@command -v docker >/dev/null || { \
		echo 'Docker is needed but not installed: there is no program docker' >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { \
		echo 'Docker is needed but cannot be reached: start it; `docker info` says more' >&2; \
		exit 1; }

chromium-runs: $(VENV)/test
	@$(bin)/python -m tests.chromium

check: $(VENV)/test  ## check lint, format, types, imports between packages, templates, workflows
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	PYTHONPATH=src $(bin)/lint-imports --no-cache --no-logo
	$(bin)/cfn-lint template.yaml .github/deploy-role.yaml
	$(bin)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
	$(bin)/zizmor --offline --quiet .github

format: $(VENV)/test  ## fix what ruff can fix
	$(bin)/ruff check --fix
	$(bin)/ruff format

# Lambda cannot store bytecode, so it would compile the package at every cold start.
build: configuration-exists  ## run `sam build`, and compile the package to bytecode
	@python3.14 -c '' 2>/dev/null || { \
		echo 'Python 3.14 is needed, as the program python3.14, because the function runs on it' >&2; \
		exit 1; }
	@sam --version >/dev/null 2>&1 || { \
		echo 'The AWS SAM CLI is needed, as the program sam: pipx install aws-sam-cli' >&2; exit 1; }
	sam build $(sam)
	python3.14 -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build/PokemonNames

# There may be several PARAMETERS: 'Authorization=AWS_IAM RateLimit=5'. If CI is set, SAM asks for no
# confirmation.
deploy: build  ## run `make build`, then `sam deploy` with the same configuration
	sam deploy $(sam) $(if $(call on,CI),--no-confirm-changeset)

smoke: configuration-exists $(VENV)/sam  ## use the stack as its callers do, and check the replies
	@$(VENV)/sam-cli/bin/python -m tests.tools.smoke --config="$$CONFIG"

configuration-exists:
	@grep -qxF "[$$CONFIG.global.parameters]" samconfig.toml || { \
		printf 'CONFIG: got %s, allowed: default, prod, or another one in samconfig.toml\n' \
			"$$CONFIG" >&2; exit 1; }

# Parameters on SAM's command line replace all those in samconfig.toml, so these are passed as well.
# Without them, a deployment could ship a package built for another architecture.
sam = --config-env "$$CONFIG" \
	$(if $(PARAMETERS),--parameter-overrides "$$(python3.14 -c '$(parameters)')")
parameters = import os, tomllib; \
	configured = tomllib.load(open("samconfig.toml", "rb"))[os.environ["CONFIG"]]["global"]; \
	overrides = configured["parameters"].get("parameter_overrides", ""); \
	print(*overrides.split(), *os.environ["PARAMETERS"].split())

# Ruff, which is among the packages for the tests, sorts the imports for the new name.
new: $(VENV)/test  ## copy this project, under another NAME, to the folder TO
	@$(bin)/python -m tests.tools.new --name="$(if $(filter NAME,$(given)),$$NAME)" --to="$$TO"

docs: $(VENV)/test  ## generate the page at `/` from the API's description in openapi.yaml
	@$(bin)/python -m tests.tools.docs

pokeapi: $(VENV)/run  ## run the local PokeAPI, until Ctrl-C
	@exec $(bin)/python -m tests.tools.pokeapi $(address) $(service) $(bodies)

# On Debian, nginx is in a folder that only root has on the PATH.
bench: export PATH := $(value PATH):/usr/sbin
bench: bench-tools $(VENV)/test  ## compare the speed of the function and its peers, over TLS
	@$(bin)/python -m tests.tools.bench $(if $(call on,SMALL),--small) \
		$(if $(PAIRS),--pairs="$$PAIRS") $(bodies)

# The target fails if there is a violation.
soak: $(VENV)/run  ## call the warm function in random weather for MINUTES=60; needs Linux
	@exec $(bin)/python -m tests.tools.soak $(if $(MINUTES),--minutes="$$MINUTES") \
		$(if $(SEED),--seed="$$SEED") -- "$${TO:-$(VENV)/soak.svg}"

simulate: $(VENV)/run  ## simulate fetching in all conditions on a virtual clock, and print a table
	@$(bin)/python -m tests.tools.simulation $(if $(SEED),--seed="$$SEED")

bench-tools:
	@for tool in nginx taskset curl h2load; do command -v $$tool >/dev/null || { \
		echo "make bench needs $$tool; on Debian: apt install nginx util-linux curl nghttp2-client" \
			>&2; \
		exit 1; }; done

audit: $(VENV)/audit  ## check dependencies and templates for vulnerabilities; needs the network
	$(VENV)/checkov/bin/checkov --config-file .checkov.yaml
	$(VENV)/checkov/bin/pip-audit --disable-pip --require-hashes --requirement src/requirements.txt

lock: $(VENV)/lock  ## pin the dependencies of pyproject.toml; UPGRADE=--upgrade takes the newest
	$(compile) pyproject.toml --output-file src/requirements.txt
	$(compile) --group pokeapi --output-file tests/tools/pokeapi/requirements.txt
	$(compile) pyproject.toml --group test --output-file tests/requirements.txt
	$(compile) --group sam --output-file tests/requirements-sam.txt
	$(compile) --constraint tests/requirements.txt pyproject.toml --group mutants \
		--output-file tests/requirements-mutants.txt
	$(compile) --group audit --output-file tests/requirements-audit.txt
	$(compile) --group lock --output-file tests/requirements-lock.txt

clean:  ## remove everything that the other targets made
	rm -rf -- $(VENV) mutants .aws-sam .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The marker file is made last, so an installation is repeated until it is complete. Only wheels are
# installed: compiling the packages would take Rust and minutes.
$(VENV)/run: src/requirements.txt tests/tools/pokeapi/requirements.txt
$(VENV)/test: tests/requirements.txt
$(VENV)/run $(VENV)/test: | $(bin)/pip
	@echo 'Installing into $(VENV), once …' >&2
	@$(call install,$(bin)/pip,--only-binary :all:)
	@touch $@

# Each has its own environment, because each pins many packages. Packages may be compiled there: SAM's
# watchdog has no wheel for Python 3.14 on macOS. On Linux, all packages have wheels.
$(VENV)/sam: own = sam-cli
$(VENV)/sam: tests/requirements-sam.txt
$(VENV)/mutants: own = mutmut
$(VENV)/mutants: tests/requirements-mutants.txt
$(VENV)/audit: own = checkov
$(VENV)/audit: tests/requirements-audit.txt
$(VENV)/lock: own = uv
$(VENV)/lock: tests/requirements-lock.txt
$(VENV)/sam $(VENV)/mutants $(VENV)/audit $(VENV)/lock: | $(bin)/pip
	@echo 'Installing $(own) into $(VENV)/$(own), once …' >&2
	@"$$PYTHON" -m venv --clear $(VENV)/$(own)
	@$(call install,$(VENV)/$(own)/bin/pip)
	@touch $@

# The files list all packages, so pip resolves nothing. With hashes, it could not resolve the extras
# among SAM's packages.
install = $(1) install $(2) --require-hashes --no-deps --retries 2 --disable-pip-version-check \
	$(foreach file,$^,--requirement $(file)) >$(VENV)/pip.log 2>&1 || { \
	echo 'Installation failed; see $(VENV)/pip.log. It needs PyPI, Python 3.11 to 3.14, and' \
		'Linux on x86-64 or arm64, or macOS on arm64; after changing PYTHON, run make clean' >&2; exit 1; }

# An environment left incomplete by an interruption is created again, because venv does not install
# pip over a partial one.
$(bin)/pip:
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		printf 'Python 3.11 or later is needed, but %s is not: %s\n' "$$PYTHON" \
			'choose one, as in make run PYTHON=python3.14' >&2; exit 1; }
	@"$$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || { \
		printf '%s has no venv: on Debian and Ubuntu, apt install python3-venv\n' "$$PYTHON" >&2; \
		exit 1; }
	@"$$PYTHON" -m venv $(if $(wildcard $(VENV)/pyvenv.cfg),--clear) $(VENV)
