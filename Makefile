# make demo, make test and make check need nothing but Python 3.11 or later and make: they set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: demo test check docs format bench onnxruntime clean

demo: .venv/installed
	$(BIN)/latently demo --out $(RUN)

test: .venv/installed
	$(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=worksteal -m "not slow"

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/site: any file server serves it, and it opens from the disk, too. A warning is an error.
docs: .venv/docs-installed
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/site
	@echo "build/site/index.html"

# Wants a machine that does nothing else for an hour, and PEER, a Python that has pythae 0.1.2.
PEER ?= python3
bench: .venv/installed
	$(BIN)/python benchmarks/profile_step.py
	$(BIN)/python benchmarks/side_by_side.py pythae --python $(PEER) --network mlp --epochs 2
	$(BIN)/python benchmarks/side_by_side.py pythae --python $(PEER) --network conv --epochs 1 --limit 10000 --flags "--compile off"
	$(BIN)/python benchmarks/side_by_side.py pythae --python $(PEER) --epochs 30 --our-epochs 11 --flags "--lr 6e-3 --beta2 0.99 --compile on" --name time-to-bound --cold
	$(BIN)/python benchmarks/beside_others.py
	$(BIN)/python benchmarks/performance_table.py
	$(BIN)/python benchmarks/csv_tables.py

# With it, tests open exported files in a release of February 2024, which needs Python 3.12 or earlier and NumPy 1.
onnxruntime:
	$(PYTHON) -m venv .venv-onnxruntime
	.venv-onnxruntime/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime==1.17.3 "numpy<2"

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,explorer,hub,onnx,ray,tensorboard]"
	touch $@

.venv/docs-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf .venv .venv-onnxruntime build dist src/*.egg-info .pytest_cache .ruff_cache .mypy_cache
