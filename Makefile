# Every command a person types; `make` lists them.

PYTHON3 := python3
VENV    := .venv
PYTHON  := $(VENV)/bin/python

# What is imported from resources/ must not leave compiled files there: dx build would upload them.
export PYTHONDONTWRITEBYTECODE := 1

# Names reach the programs as the person typed them, whatever characters they hold.
override BAM   := $(value BAM)
override BAI   := $(value BAI)
override OUT   := $(value OUT)
override STATE := $(value STATE)
export BAM BAI OUT STATE
export CLONE := $(CURDIR)
# The shell's folder, also under `make -C`: names are looked up, and outputs left, where one stands.
export STAND := $(or $(value PWD),$(CURDIR))

# `dx build` runs the default goal, with -C and -jN, before it packs the applet: there is nothing to
# compile, and whoever reads the output of dx build wants nothing else in it.
.PHONY: all
all:
	@$(if $(and $(findstring w,$(firstword -$(MAKEFLAGS))),$(filter -j%,$(MAKEFLAGS))),:,$(list_commands))

.PHONY: help
help: ## list the commands
	@$(list_commands)

define list_commands
sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do \
	printf 'make %-9s %s\n' "$$name" "$$what"; done
endef

# dx build runs make in turn, which must not think that it is a part of this one.
LOCAL_PLATFORM := PATH="$$CLONE/$(VENV)/bin:$$PATH" PYTHONPATH="$$CLONE/test:$$CLONE/test/local_platform" \
	env -u MAKEFLAGS -u MAKELEVEL python -m local_platform

.PHONY: run
run: $(VENV)/can_run samtools ## run the applet here, with no account [BAM=... BAI=... OUT=folder ARGS=...]
	@$(LOCAL_PLATFORM) -- python test/run_applet.py "$$STAND" "$$BAM" "$$BAI" "$$OUT" $(ARGS)

.PHONY: web
web: $(VENV)/can_run samtools ## the same in a browser: launch form, live jobs, results [BAM=... BAI=... STATE=folder]
	@$(LOCAL_PLATFORM) $(if $(STATE),--state "$$STATE") -- python test/show_applet.py "$$STAND" "$$BAM" "$$BAI"

.PHONY: shell
shell: $(VENV)/can_run samtools ## a shell in which dx talks to a local platform [STATE=folder]
	@echo 'Here dx talks to a local platform. Begin with: dx new project --select trial'
	@$(LOCAL_PLATFORM) $(if $(STATE),--state "$$STATE") -- sh -c 'cd "$$STAND" && { "$${SHELL:-sh}" || true; }'

.PHONY: test
test: $(VENV)/can_test samtools chromium ## run every test (sets up what is missing)
	$(PYTHON) -m pytest -c test/pytest.ini test $(ARGS)

.PHONY: test-live
test-live: $(VENV)/can_test samtools ## end-to-end tests where you are logged in [PROJECT=project-...]
	@test -n "$$PROJECT" || { echo 'Name a project: make test-live PROJECT=project-...' >&2; exit 1; }
	$(PYTHON) -m pytest -c test/pytest.ini test/test_end_to_end.py --dx-project "$$PROJECT" $(ARGS)

BENCH_PATH := src:test/tutorial/src:resources/home/dnanexus:test:test/local_platform:test/local_platform/tests

.PHONY: bench
bench: $(VENV)/can_run samtools ## compare with other ways of counting (20 minutes, 3 GB of disk)
	PYTHONPATH=$(BENCH_PATH) $(PYTHON) test/bench/benchmark.py $(ARGS)
	@$(LOCAL_PLATFORM) -- env PYTHONPATH=$(BENCH_PATH) python test/bench/remote_benchmark.py

# The page of the local platform is JavaScript, whose types stand in its comments.
PAGE := test/local_platform/local_platform/web
DENO := DENO_DIR="$$CLONE/$(VENV)/deno" DENO_NO_UPDATE_CHECK=1 "$$CLONE/$(VENV)/bin/deno"

.PHONY: lint
lint: $(VENV)/can_test ## check format, style and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy src resources test/local_platform/local_platform
	cd $(PAGE) && $(DENO) fmt --check *.js && $(DENO) lint && $(DENO) check
	@echo 'Checks left out: the types of the tests; the program and the local platform are strict about theirs.'

.PHONY: format
format: $(VENV)/can_test ## format the code and mend what ruff can mend
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	cd $(PAGE) && $(DENO) fmt *.js

.PHONY: clean
clean: ## remove .venv, caches and the benchmark's BAM files
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache test/bench/bams
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call quietly,command): what the command says is shown only if it fails of itself.
quietly = said=$$({ $(1); } 2>&1) || { status=$$?; printf '%s\n' "$$said" >&2; exit $$status; }

# Without --use-pep517, the pip of Python 3.10 and 3.11 writes scripts that do not start where the
# path to the clone has a space.
PIP_INSTALL := $(PYTHON) -m pip install --disable-pip-version-check --use-pep517

$(VENV)/can_run: test/requirements_run.txt
	@"$(PYTHON3)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo 'Python 3.10 or newer is needed; name one: make PYTHON3=python3.12 ...' >&2; exit 1; }
	@"$(PYTHON3)" -c 'import ensurepip' 2>/dev/null || { $(call apt_install,python3-venv); } || { \
		echo 'The module venv is needed: install it (apt-get install python3-venv) and try again.' >&2; exit 1; }
	@echo 'Setting up $(VENV), once'
	@$(call quietly,"$(PYTHON3)" -m venv --clear $(VENV) && $(PIP_INSTALL) -r $<)
	@touch $@

$(VENV)/can_test: test/requirements.txt $(VENV)/can_run
	@echo 'Installing what the tests need, once'
	@$(call quietly,$(PIP_INSTALL) -r $<)
	@touch $@

# $(call apt_install,package): install it through apt-get, as root or where sudo asks for no password.
define apt_install
if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo='sudo -n'; else sudo=false; fi; \
	$$sudo apt-get update -qq && $$sudo apt-get install -qq -y $(1) >/dev/null
endef

.PHONY: samtools
samtools:
	@command -v samtools >/dev/null || { $(call apt_install,samtools); } || { \
		echo 'samtools is needed: install it (apt-get install samtools, brew install samtools or conda install -c bioconda samtools) and try again.' >&2; \
		exit 1; }

# Only the tests of the report and of the local platform's page need a browser; without one they are skipped, and say so.
.PHONY: chromium
chromium:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || \
		{ $(call apt_install,chromium); } || \
		echo 'Without Chromium the tests of the count report and of the page are skipped.' >&2
