# Works from a fresh clone with nothing but GNU make and a Python: each target first
# brings .venv to what it needs, and does nothing where .venv is up to date.

VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n auto
# What the tests need; those of an extra that is not here skip. CI adds ray and tensorflow.
EXTRAS ?= train,listen,dev

# The first Python on the PATH that the pins in constraints.txt have wheels for.
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c '$(SUITABLE)' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# A person sees pip's progress bars; a log file does not.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check \
	$$(test -t 1 || echo --quiet) -c constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-quick fuzz lint format clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.core ## Mix a drum session made on the spot and say where the mixes are
	@$(BIN)/drummix demo

test: lint ## Check style and types, then run every test
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest $(PYTEST_ARGS)

# What takes longest: trainings, reports, browsers, servers under load, clusters, other frameworks.
SLOW := test_training test_finetune test_report test_listening_browser test_listening_load \
	test_batch_ray test_tf_checkpoint test_gpu_scripts test_clips test_live_clips test_fuzz test_docs

test-quick: $(VENV)/.dev ## Run the tests that take little time, for daily work
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest $(PYTEST_ARGS) \
		$(SLOW:%=--ignore=tests/%.py)

FUZZ_SECONDS ?= 20
FUZZ_SEED ?= 1

fuzz: $(VENV)/.dev ## Give drummix damaged sound files, texts and requests, for a minute
	$(BIN)/python -m fuzz.sound_files --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)
	$(BIN)/python -m fuzz.text_files --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)
	$(BIN)/python -m fuzz.requests --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

lint: $(VENV)/.dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## Put every Python file into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove caches and build products
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove .venv too
	rm -rf $(VENV)

$(VENV)/.made:
	@p="$(PYTHON)"; [ -n "$$p" ] && "$$p" -c '$(SUITABLE)' 2>/dev/null || { \
	echo "drummix needs Python 3.11 to 3.14 with its venv module;" \
	"$${p:-what is on the PATH} is not. Install one (Debian, Ubuntu: apt install" \
	"python3-venv) or name one: make demo PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing drummix into $(VENV): about 140 MB to download, once."
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing drummix with its training and test tools into $(VENV): a few minutes, once."
	@$(PIP_INSTALL) -e '.[$(EXTRAS)]'
	@touch $(VENV)/.core $@
