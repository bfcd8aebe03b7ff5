# Every command a person types; `make help` lists them.

PYTHON3 := python3
VENV    := .venv
PYTHON  := $(VENV)/bin/python

# dx build runs the default goal, with -C and -jN, before it packs the applet. There is nothing to
# compile, and whatever is printed here ends up in the output of dx build.
.PHONY: all
all: ; @:

# The variables that each command takes. Any other is a mistake, such as bam=my.bam.
run_takes := BAM BAI OUT APPLET ARGS
web_takes := BAM BAI STATE
shell_takes := STATE
test_takes := ARGS
test-live_takes := PROJECT ARGS
test-system_takes := SYSTEM
bench_takes := ARGS

takes   := $(foreach goal,$(MAKECMDGOALS),$($(goal)_takes))
unknown := $(foreach name,$(filter-out $(takes) PYTHON3 VENV,$(.VARIABLES)),$(if \
	$(findstring command line,$(origin $(name))),$(name)))
$(if $(and $(MAKECMDGOALS),$(strip $(unknown))),$(error \
	make $(MAKECMDGOALS) does not take $(strip $(unknown)). It takes $(or $(strip $(takes)),nothing)))

# Names reach the programs exactly as typed, with any characters.
override BAM    := $(value BAM)
override BAI    := $(value BAI)
override OUT    := $(value OUT)
override APPLET := $(value APPLET)
override STATE  := $(value STATE)
export BAM BAI OUT APPLET STATE
export CLONE := $(CURDIR)
# The folder in which the command was typed: relative names begin there, and outputs go there. Only
# after `make -C` is it another than this one. The shell's PWD names it then; at other times PWD may
# be of an earlier folder, because a program that starts make elsewhere does not set it. Without a
# goal it is not asked: $(shell) makes `make -C` say which folder it enters, also to dx build.
export STAND := $(or $(if $(and $(MAKECMDGOALS),$(shell grep -slzE '^(-[a-zA-Z]*C|--directory)' /proc/$$PPID/cmdline)),$(value PWD)),$(CURDIR))
# What is imported from resources/ must not leave compiled files there: dx build would upload them.
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do \
		printf 'make %-11s %s\n' "$$name" "$$what"; done

# dx build runs make, which must not inherit the flags of this make.
# exec, so that a signal from make reaches the platform, and not only a shell around it.
LOCAL_PLATFORM := exec env -u MAKEFLAGS -u MAKELEVEL PATH="$$CLONE/$(VENV)/bin:$$PATH" \
	PYTHONPATH="$$CLONE/test:$$CLONE/test/local_platform" python -m local_platform

.PHONY: run
run: $(VENV)/can_run samtools ## run the applet here, with no account [BAM=... BAI=... OUT=folder APPLET=folder ARGS=...]
	@$(LOCAL_PLATFORM) -- python test/run_applet.py "$$STAND" "$$BAM" "$$BAI" "$$OUT" "$$APPLET" $(ARGS)

.PHONY: web
web: $(VENV)/can_run samtools ## the same in a browser: launch form, live jobs, results [BAM=... BAI=... STATE=folder]
	@$(LOCAL_PLATFORM) $(if $(STATE),--state "$$STATE") -- python test/show_applet.py "$$STAND" "$$BAM" "$$BAI"

.PHONY: shell
shell: $(VENV)/can_run samtools ## a shell in which dx talks to a local platform [STATE=folder]
	@echo 'Here dx talks to a local platform. Begin with: dx new project --select trial'
	@$(LOCAL_PLATFORM) $(if $(STATE),--state "$$STATE") -- sh -c 'cd "$$STAND" && { "$${SHELL:-sh}" || true; }'

# Tests wait for jobs a third of their time, so there is one process more than there are cores. A file
# is the unit, because its tests share what is slow to set up.
IN_PARALLEL = --numprocesses $$(($$(nproc) + 1)) --maxprocesses 4 --dist loadfile --max-worker-restart 0

.PHONY: test
test: $(VENV)/can_test samtools chromium ## run the tests; sets up what is missing [ARGS="-k word" or a path]
	@env -u MAKEFLAGS -u MAKELEVEL $(PYTHON) -m pytest -c test/pytest.ini $(IN_PARALLEL) $(ARGS)

.PHONY: test-live
test-live: $(VENV)/can_test samtools ## end-to-end tests where you are logged in [PROJECT=project-...]
	@test -n "$$PROJECT" || { echo 'Name a project: make test-live PROJECT=project-...' >&2; exit 1; }
	$(PYTHON) -m pytest -c test/pytest.ini test/test_end_to_end.py --dx-project "$$PROJECT" $(ARGS)

.PHONY: test-system
test-system: ## make run and make test in a bare Debian, as root [SYSTEM=trixie, sid or bookworm]
	@test -n "$$SYSTEM" || { echo 'Name a Debian release: make test-system SYSTEM=trixie' >&2; exit 1; }
	@"$(PYTHON3)" test/try_system.py "$$SYSTEM"

BENCH_PATH := src:test/tutorial/src:resources/home/dnanexus:test:test/local_platform

.PHONY: bench
bench: $(VENV)/can_run samtools ## compare with other ways of counting (20 minutes, 3 GB of disk)
	PYTHONPATH=$(BENCH_PATH) $(PYTHON) test/bench/benchmark.py $(ARGS)
	@$(LOCAL_PLATFORM) -- env PYTHONPATH=$(BENCH_PATH) python test/bench/remote_benchmark.py

# The page of the local platform is JavaScript with its types in comments.
PAGE := test/local_platform/local_platform/web
DENO := DENO_DIR="$$CLONE/$(VENV)/deno" DENO_NO_UPDATE_CHECK=1 "$$CLONE/$(VENV)/bin/deno"

.PHONY: lint
lint: $(VENV)/can_lint ## check format, style and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy src resources test/local_platform/local_platform
	cd $(PAGE) && $(DENO) fmt --check *.js && $(DENO) lint && $(DENO) check
	@echo 'Checks left out: the types of the tests; the program and the local platform are strict about theirs.'

.PHONY: format
format: $(VENV)/can_lint ## format the code, and fix what ruff can fix
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	cd $(PAGE) && $(DENO) fmt *.js

.PHONY: clean
clean: ## remove .venv, caches and the benchmark's BAM files
	rm -rf .venv .venv-* .systems .mypy_cache .pytest_cache .ruff_cache test/bench/bams
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
	@echo 'Setting up $(VENV), once: dxpy and the local platform, from PyPI (64 MB on disk, about a minute)'
	@$(call quietly,"$(PYTHON3)" -m venv --clear $(VENV) && $(PIP_INSTALL) -r $<)
	@touch $@

$(VENV)/can_test: test/requirements.txt $(VENV)/can_run
	@echo 'Installing in $(VENV), once: pytest and playwright, from PyPI (180 MB on disk)'
	@$(call quietly,$(PIP_INSTALL) -r $<)
	@touch $@

$(VENV)/can_lint: test/requirements_lint.txt $(VENV)/can_test
	@echo 'Installing in $(VENV), once: ruff, mypy and deno, from PyPI (140 MB on disk)'
	@$(call quietly,$(PIP_INSTALL) -r $<)
	@touch $@

# $(call apt_install,package): say how much it is, and install it through apt-get, as root or where
# sudo asks for no password.
define apt_install
if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo='sudo -n'; else sudo=false; fi; \
	command -v apt-get >/dev/null && $$sudo true && echo 'Installing $(1) on this machine (apt-get install $(1))' && \
	$$sudo apt-get update -qq && \
	{ $$sudo env LC_ALL=C apt-get install --no-install-recommends --assume-no $(1) 2>/dev/null | grep -E '^ *(Need to get|After this|Download|Space|Installing:)' || true; } && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends -qq -y $(1) >/dev/null
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
		{ $(call apt_install,chromium fonts-liberation); } || \
		echo 'Without Chromium the tests of the count report and of the page are skipped.' >&2
