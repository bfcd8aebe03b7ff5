# Every command a person types; `make help` lists them.

VENV   := .venv
PYTHON := $(VENV)/bin/python

# What is imported from resources/ must not leave compiled files there: dx build would upload them.
export PYTHONDONTWRITEBYTECODE := 1

# `dx build` runs the default goal before it packs the applet. There is nothing to compile.
.PHONY: all
all:
	@:

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf 'make %-9s %s\n' "$$name" "$$what"; done

# dx build runs make in turn, which must not think that it is a part of this one.
LOCAL_PLATFORM := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" PYTHONPATH="$(CURDIR)/test" \
	env -u MAKEFLAGS -u MAKELEVEL $(PYTHON) -m local_platform

.PHONY: run
run: $(VENV)/ready samtools ## run the applet here, with no account [BAM=... BAI=... ARGS=...]
	@$(LOCAL_PLATFORM) -- $(PYTHON) test/run_applet.py "$$BAM" "$$BAI" $(ARGS)

.PHONY: shell
shell: $(VENV)/ready samtools ## a shell in which dx talks to a local platform [STATE=folder]
	@echo 'Here dx talks to a local platform. Begin with: dx new project --select trial'
	@$(LOCAL_PLATFORM) $(if $(STATE),--state "$$STATE") -- "$${SHELL:-sh}"

.PHONY: test
test: $(VENV)/ready samtools chromium ## run every test (sets up what is missing)
	$(PYTHON) -m pytest -c test/pytest.ini test $(ARGS)

.PHONY: test-live
test-live: $(VENV)/ready samtools ## end-to-end tests where you are logged in [PROJECT=project-...]
	@test -n "$$PROJECT" || { echo 'Name a project: make test-live PROJECT=project-...' >&2; exit 1; }
	$(PYTHON) -m pytest -c test/pytest.ini test/test_end_to_end.py --dx-project "$$PROJECT" $(ARGS)

.PHONY: bench
bench: $(VENV)/ready samtools ## compare with other ways of counting (20 minutes, 3 GB of disk)
	PYTHONPATH=src:resources/home/dnanexus:test $(PYTHON) test/bench/benchmark.py $(ARGS)

.PHONY: lint
lint: $(VENV)/ready ## check format, style and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy src resources test/local_platform

.PHONY: format
format: $(VENV)/ready ## format the code and mend what ruff can mend
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

.PHONY: clean
clean: ## remove .venv, caches and the benchmark's BAM files
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache test/bench/bams
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: test/requirements.txt
	python3 -m venv --clear $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r test/requirements.txt
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

# Only the tests of the report need a browser; without one they are skipped, and say so.
.PHONY: chromium
chromium:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || \
		{ $(call apt_install,chromium); } || \
		echo 'Without Chromium the tests of the count report are skipped.' >&2
