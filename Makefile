# Every target sets up what it needs in .venv; the second time that is a no-op.
PYTHON ?= python3
BIN := .venv/bin
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: demo test test-fitting test-training test-slurm coverage lint install bench mutants wheel clean

demo: .venv/.train
	$(BIN)/python scripts/sweep.py configs/demo.yaml --out runs/demo

# Two parts side by side, each on one thread, that take alike: some of fitting's tests stand with training. -O prints each one's output whole.
WITH_TRAINING := $(addprefix tests/fitting/test_, page_browser.py wandb_faults.py wandb_api.py)
DEFAULT := -m "not slurm and not faults"
test: lint
	@$(MAKE) --no-print-directory -j2 -O test-fitting test-training

test-fitting test-training: export WANDB_MODE = offline
test-fitting:
	$(THREADS) $(BIN)/python $(TRACED) -m pytest $(DEFAULT) tests/fitting tests/scripts tests/chaos tests/slurm $(WITH_TRAINING:%=--ignore=%)
test-training:
	$(THREADS) $(BIN)/python $(TRACED) -m pytest $(DEFAULT) tests/training $(WITH_TRAINING)

# Lines of fitting/ and of training/ that the suite runs, in its own processes and those it starts; at least 95 % and 85 %.
# Twice as long as the suite.
coverage: .venv/.dev
	$(BIN)/python -m coverage erase
	@$(MAKE) --no-print-directory -j2 -O TRACED="-m coverage run" test-fitting test-training
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --include='fitting/*' --skip-covered --sort=miss --fail-under=95
	$(BIN)/python -m coverage report --include='training/*' --skip-covered --sort=miss --fail-under=85

# Minutes: faults on this machine, and on a Slurm of its own, skipped with the reason where that cannot be started (root, the packages).
test-slurm: export WANDB_MODE = offline
test-slurm: .venv/.dev
	$(THREADS) $(BIN)/python -m pytest tests/slurm tests/chaos tests/training/test_launch.py -m "slurm or faults"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

install: .venv/.train

# Half an hour and more, on a machine that does nothing else; writes docs/benchmarks.md.
bench: .venv/.train
	$(THREADS) $(BIN)/python scripts/bench.py all --json docs/results/speed/benchmarks.json

# Ten minutes: each seeded fault of the estimators, and which test notices it.
mutants: .venv/.dev
	$(THREADS) $(BIN)/python tests/mutants/run.py --json docs/results/mutants/mutants.json

# Minutes, with downloads: the wheel in an environment without torch fits a CSV and makes its report.
wheel: .venv/.dev
	$(BIN)/python tests/packaging/wheel.py

# pyright does not follow setuptools' package-dir, so isoflop/ is also spelt out as links for it.
.venv/.venv: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("isoflop needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	mkdir -p .venv/names/isoflop
	for room in fitting training scripts; do ln -sfn ../../../$$room .venv/names/isoflop/$$room; done
	touch $@

# torch first, by its exact version: an index with a CPU build then serves that one.
.venv/.train: .venv/.venv
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train]'
	touch $@

.venv/.dev: .venv/.train
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,slurm,dev]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
