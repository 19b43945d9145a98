"""Online: what arrives at a server that answers as W&B's does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from isoflop.training import wandb_session
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.outcome import failed_record
from isoflop.training.planning import make_plan
from isoflop.training.tracking import Mirror
from isoflop.training.wandb_session import is_mirrored

from .helpers import tiny
from .wandb_server import Server, logged_in


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(wandb_session, "_given_up", [])
    with logged_in(monkeypatch) as found:
        yield found


def test_a_cell_resumed_online_is_one_run_that_takes_only_what_is_new(
    text_folder: Path, tmp_path: Path, server: Server
) -> None:
    config = parse_config(tiny(text_folder, wandb__mode="online"), "test")
    cell = make_plan(config, prepare_corpus(config.data).info).cells[0]
    rows = [{"step": step, "tokens": 16 * step, "loss": 3 - step / 10} for step in range(10, 90, 10)]
    first = Mirror(cell, config, tmp_path)
    for row in rows[:5]:
        first.log(row)
    first.close()
    assert not is_mirrored(tmp_path, f"tiny-{cell.run_id}")
    # The checkpoint that it goes on from is of step 30.
    second = Mirror(cell, config, tmp_path, past=rows[:3])
    for row in rows[3:]:
        second.log(row)
    second.finish(failed_record(cell, config, "no reason"))
    second.close()
    assert is_mirrored(tmp_path, f"tiny-{cell.run_id}")
    assert list(server.histories) == [f"tiny-{cell.run_id}"]
    [history] = server.histories.values()
    assert [row["_step"] for row in history] == [row["step"] for row in rows]
    assert [row["train_loss"] for row in history] == [row["loss"] for row in rows]
    [summary] = server.summaries.values()
    assert (summary["status"], summary["reason"], summary["tokens"]) == ("failed", "no reason", 0)
    assert len(list(tmp_path.glob("wandb/run-*/run-*.wandb.synced"))) == 2
