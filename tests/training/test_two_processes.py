"""One cell on several processes is the cell on one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .bench import Bench

ROOT = Path(__file__).resolve().parents[2]
# 50 steps; in more, rounding grows into what another order of the same sums would give.
SHORT = {"grid__budgets": [1.2e8, 2.4e8], "grid__widths": [8], "recipe__batch": {"rule": "constant", "tokens": 128}}


def test_a_cell_on_two_processes_is_the_cell_on_one(text_folder: Path, tmp_path: Path) -> None:
    changes = SHORT | {"execution__kernels": "transformers", "execution__log_points": 50}
    one, two = (Bench(text_folder, tmp_path / name, **changes) for name in ("one", "two"))
    one.cell = two.cell = one.plan.cells[0]
    assert 45 <= one.cell.steps <= 60
    expected = one.train()
    two.sweep.write_plan(two.plan)
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "configs/accelerate/two_cpus.yaml")]
    words = [sys.executable, *launcher, str(ROOT / "scripts/run.py"), str(two.sweep.path), two.cell.run_id]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("loss ") == 1, "one of the two tells"
    record = two.sweep.read_record(two.cell.run_id)
    assert record is not None
    assert record["machine"]["n_processes"] == 2
    assert record["tokens"] == expected["tokens"]
    for name in ("loss", "loss_se", "bits_per_byte"):
        assert record[name] == pytest.approx(expected[name], abs=1e-5)
    curves = [bench.sweep.read_curve(bench.cell.run_id) for bench in (one, two)]
    for mine, theirs in zip(*curves, strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], abs=1e-5)
