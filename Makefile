# Two commands for a fresh machine: `make demo` and `make test`. Both install into .venv first, with pinned releases.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MODEL ?= hermes-tiny

.PHONY: demo test test-mmdet lint docs ablation clean

demo: .venv/.installed
	$(BIN)/hermes eval --model $(MODEL) --profile
	$(BIN)/hermes eval --model hermes-flow
	$(BIN)/hermes align --model $(MODEL) --rounds 3
	$(BIN)/hermes leaderboard runs/ --format md

test: .venv/.installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hermes

# The documentation, to be opened at site/index.html; a warning is an error, and nothing comes from the network.
docs: .venv/.installed-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --write-all --quiet -c docs . site

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.[text,view]'
	touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[all,dev]'
	touch $@

# mmdet itself against Hermes' own detector, in an environment of its own: half an hour the first time, since mmcv is
# compiled, then three minutes. Not part of `make test`. JOBS compilers run side by side.
MMDET := .venv-mmdet/bin
MMDET_PIP := $(MMDET)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MMDET_TESTS := tests/harness/judges/mask2former/real_mmdet
JOBS ?= 2
test-mmdet: .venv-mmdet/.installed
	OMP_NUM_THREADS=1 $(MMDET)/python -m pytest -rs $(MMDET_TESTS)

.venv-mmdet/.installed: pyproject.toml constraints.txt $(MMDET_TESTS)/requirements.txt
	test -x $(MMDET)/python || $(PYTHON) -m venv .venv-mmdet
	$(MMDET_PIP) --editable '.[geneval]' pytest hypothesis
	$(MMDET_PIP) --no-deps -r $(MMDET_TESTS)/requirements.txt
	CXX=$(CURDIR)/$(MMDET_TESTS)/c++20 MAX_JOBS=$(JOBS) $(MMDET_PIP) --no-deps --no-build-isolation --no-cache-dir mmcv==2.1.0
	touch $@

# The tables of docs/pair-dpo.md; goes on where it was stopped. WORKERS self-plays run side by side.
WORKERS ?= 2
ablation: .venv/.installed-dev
	$(BIN)/hermes ablate ablation --workers $(WORKERS)
	$(BIN)/hermes ablate ablation-n --workers $(WORKERS) --out runs-ablation-n

clean:
	rm -rf .venv .venv-mmdet runs runs-ablation runs-ablation-n site build dist *.egg-info
