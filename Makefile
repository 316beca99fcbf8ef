# make demo          the whole loop on a language model, ending in a report
# make demo-images   the same on a text-to-image model
# make test          the test suite
# make fuzz          readers, records and pages against broken input; MINUTES=30
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo demo-images test slow fuzz lint fix docs evidence claims bench wheel clean

demo: $(VENV)/installed
	$(VENV)/bin/rasura demo

demo-images: $(VENV)/installed
	$(VENV)/bin/rasura demo --images

test: $(VENV)/installed
	$(VENV)/bin/python -m pytest -n 2

slow: $(VENV)/installed
	$(VENV)/bin/python -m pytest -m slow

MINUTES ?= 30
fuzz: $(VENV)/installed
	$(VENV)/bin/python tests/fuzz/run.py --minutes $(MINUTES)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check src tests benchmarks
	$(VENV)/bin/ruff format --check src tests benchmarks

fix: $(VENV)/installed
	$(VENV)/bin/ruff check --fix src tests benchmarks
	$(VENV)/bin/ruff format src tests benchmarks

# what `rasura methods` says about each method comes from here
evidence: $(VENV)/installed
	$(VENV)/bin/python -m pytest tests/conformance tests/golden --evidence src/rasura/evidence.json

claims: $(VENV)/installed
	$(VENV)/bin/rasura claims --write docs/claims.md

# every benchmark, then one table of what each was held against
bench: $(VENV)/installed
	$(VENV)/bin/python benchmarks/summary.py

wheel: $(VENV)/installed
	$(PIP) build
	$(VENV)/bin/python -m build --outdir dist

clean:
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis

# torch first and pinned: left to itself, pip takes a build with gigabytes of CUDA
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[images,test]'
	touch $@
