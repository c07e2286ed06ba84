# Needs Python 3.10 or newer and GNU make (3.81 or newer: macOS's own will do), nothing else.
# The first `make demo` or `make test` makes .venv with the versions of constraints.txt; later ones use it as it is.
# On Windows: from Git bash.

ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
PY := $(BIN)/python.exe
else
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
endif

# pytest workers, each with one thread: on two cores faster than one process with two threads
WORKERS ?= 2

# DATA counts only where it is given to make, never where the shell happens to have a variable of that name.
# It reaches the command through the environment, so any character may stand in a path.
ifeq ($(origin DATA)$(if $(DATA),, empty),command line)
export DATA
DEMO_DATA := --data "$$DATA"
endif

INSTALLED := .venv/.installed
LINTERS := .venv/.installed-dev
# Lies in .venv while pip is at work: where it is found lying, an earlier installation was killed midway.
UNFINISHED := .venv/.unfinished

RECENT := import sys; sys.exit(sys.version_info[:2] < (3, 10))

# A .venv that cannot start (moved, or its Python was removed or upgraded) is made again.
ifneq ($(wildcard $(INSTALLED)),)
ifneq ($(shell ("$(PY)" -c "") 2>/dev/null && echo runs),runs)
$(INSTALLED): FORCE
endif
endif

.PHONY: help demo test lint bench clean distclean FORCE
.DEFAULT_GOAL := help

FORCE:

help:
	@echo 'make demo                learn simulated promoters and write 1,000 new ones (under 4 minutes on two cores)'
	@echo 'make demo DATA=my.fasta  the same with your own sequences'
	@echo 'make test                run every test (about 7 minutes on two cores); WORKERS=8 with more cores'
	@echo 'make lint                check style and types (ruff, mypy)'
	@echo 'make bench               run the benchmarks on real data'
	@echo 'make clean               remove caches and builds; make distclean removes .venv too; runs/ always stays'
	@echo ''
	@echo 'The first one makes .venv, with "$(PYTHON)"; another Python: make test PYTHON=python3.12'

demo: $(INSTALLED)
	@"$(PY)" -m seqdiff demo $(DEMO_DATA)

test: export OMP_NUM_THREADS := 1
test: export MKL_NUM_THREADS := 1
# Freed memory is kept, not given back and fetched again: where pages come slowly, as in some virtual machines, a training
# step takes a third to two thirds of the time. Only glibc reads this.
test: export GLIBC_TUNABLES := glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1000000000:glibc.malloc.trim_threshold=4000000000
test: $(INSTALLED)
	"$(PY)" -m pytest -q -n $(WORKERS)

lint: $(LINTERS)
	"$(PY)" -m ruff check .
	"$(PY)" -m mypy

bench: $(INSTALLED)
	"$(PY)" benchmarks/ecoli50.py
	"$(PY)" benchmarks/overhead.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

# $(call install,EXTRA): pip is quiet, so one line says what goes on. A failed pip has changed nothing that matters
# (it downloads first); a killed or interrupted one leaves $(UNFINISHED) lying.
define install
	@echo "Installing seqdiff and what it needs into .venv; the first time this takes some minutes."
	@touch $(UNFINISHED)
	@trap 'exit 130' INT; \
	"$(PY)" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(1)]" || { rm -f $(UNFINISHED); \
		echo "Installing failed, for the reason given above; the same command tries again." >&2; exit 1; }
	@rm -f $(UNFINISHED)
	@touch $@
endef

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@if test -e $(UNFINISHED) || ! "$(PY)" -c "$(RECENT)" 2>/dev/null || ! "$(PY)" -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -c "" 2>/dev/null || { echo "There is no Python called '$(PYTHON)' here: install Python 3.10 or newer," \
			"or name the one you have, as in: make $(or $(firstword $(MAKECMDGOALS)),test) PYTHON=python3.12" >&2; exit 1; }; \
		$(PYTHON) -c "$(RECENT)" || { echo "seqdiff needs Python 3.10 or newer, but '$(PYTHON)' is" \
			"`$(PYTHON) --version 2>&1`: install a newer one, or name the one you have, as in:" \
			"make $(or $(firstword $(MAKECMDGOALS)),test) PYTHON=python3.12" >&2; exit 1; }; \
		echo "Making .venv with `$(PYTHON) --version 2>&1`."; \
		$(PYTHON) -m venv --clear .venv; \
	fi
	$(call install,test)

$(LINTERS): $(INSTALLED)
	$(call install,dev)
