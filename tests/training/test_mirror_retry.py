"""A cell that failed and is trained again: its mirror tells the second try alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from isoflop.fitting import load_runs
from isoflop.training.launch.base import record_failure
from isoflop.training.tracking import mirror_rest
from isoflop.training.wandb_session import wait_for_logs

from .test_mirror import assert_same_curve, planned, train_cells


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))


def test_a_failed_cell_trained_again_reads_back_as_the_folder_does(text_folder: Path, tmp_path: Path) -> None:
    plan, sweep = planned(text_folder, tmp_path)
    cell = plan.cells[0]
    record_failure(sweep, cell, plan.config, "worker killed by SIGKILL")
    assert mirror_rest(plan, sweep) == 1
    (sweep.run_folder(cell.run_id) / "record.json").unlink()
    train_cells(plan, sweep, 1)
    wait_for_logs()
    ours, theirs = (load_runs(source).frame.drop(columns="source") for source in (tmp_path, tmp_path / "wandb"))
    pd.testing.assert_frame_equal(ours, theirs.reindex(columns=list(ours)), check_exact=True)
    assert_same_curve(sweep, cell.run_id)
