# Two commands for a fresh machine: `make demo` and `make test`. Both install into .venv first, with pinned releases.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MODEL ?= hermes-tiny

.PHONY: demo test lint seeds clean

demo: .venv/.installed
	$(BIN)/hermes eval --model $(MODEL) --profile
	$(BIN)/hermes align --model $(MODEL) --rounds 3
	$(BIN)/hermes leaderboard runs/ --format md

test: .venv/.installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hermes

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.[text]'
	touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[all,dev]'
	touch $@

# The table of docs/selfplay.md: two runs side by side, one thread each; goes on where it was stopped.
SEEDS ?= 0 1 2
OBJECTIVES ?= sum replay
ROUNDS ?= 3
seeds: .venv/.installed
	for seed in $(SEEDS); do for objective in $(OBJECTIVES); do echo $$objective $$seed; done; done | \
	OMP_NUM_THREADS=1 xargs -P 2 -L 1 sh -c '$(BIN)/hermes align --quiet --model $(MODEL) --rounds $(ROUNDS) \
		--objective $$0 --seed $$1 --out runs-selfplay/$$0-$$1 > /dev/null'
	$(BIN)/hermes leaderboard runs-selfplay --format md
	$(BIN)/python docs/selfplay_change.py runs-selfplay

clean:
	rm -rf .venv runs runs-selfplay build dist *.egg-info
