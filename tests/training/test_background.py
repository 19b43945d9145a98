"""Files and mirrors off a run's way: in order, whole or not there, and no error lost."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from isoflop.fitting.readers.sources import read_log
from isoflop.training.background import Background
from isoflop.training.checkpoint import load_checkpoint, save_checkpoint, save_weights
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.outcome import failed_record
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.tracking import Mirror, mirror_rest
from isoflop.training.wandb_session import hold_mirror, is_mirrored, wait_for_logs

from .helpers import tiny


@pytest.fixture
def held_up() -> Any:
    """A background thread that is at work until it is let go."""
    background, gate = Background("test"), threading.Event()
    background.submit(gate.wait)
    yield background, gate
    gate.set()
    background.finish()


def test_a_file_is_written_later_with_the_state_of_now(tmp_path: Path, held_up: Any) -> None:
    writer, gate = held_up
    model = torch.nn.Linear(3, 2)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    save_checkpoint(tmp_path / "checkpoint", "x", tensors, {"step": 1}, writer=writer)
    save_weights(tmp_path / "weights", model, {"run_id": "x"}, writer=writer)
    assert list(tmp_path.iterdir()) == []  # nobody has waited for the disk
    torch.nn.init.zeros_(model.weight)  # training goes on
    gate.set()
    writer.finish()
    loaded = load_checkpoint(tmp_path / "checkpoint", "x")
    assert loaded is not None
    assert loaded[1] == {"step": 1}
    for found in (loaded[0], load_file(tmp_path / "weights")):
        assert all(torch.equal(found[name], value) for name, value in before.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "weights"]


def test_a_path_waits_for_its_own_file_and_not_for_another(held_up: Any) -> None:
    writer, gate = held_up
    written: list[str] = []
    writer.submit(lambda: written.append("first"), key="a")
    writer.submit(lambda: written.append("other"), key="b")
    assert written == []
    threading.Timer(0.05, gate.set).start()
    writer.submit(lambda: written.append("second"), key="a")
    assert written[0] == "first"
    writer.finish()
    assert written == ["first", "other", "second"]


def test_a_full_disk_is_told_at_the_next_save_and_the_file_before_stands(tmp_path: Path) -> None:
    writer, path = Background("test"), tmp_path / "checkpoint"
    path.write_text("the one before")
    save_checkpoint(path, "x", {}, {}, scratch=tmp_path / "no such folder", writer=writer)
    with pytest.raises(OSError, match="No such file"):
        save_checkpoint(path, "x", {}, {"step": 1}, writer=writer)
    assert path.read_text() == "the one before"
    save_checkpoint(path, "x", {}, {"step": 1}, writer=writer)  # there is room again
    writer.finish()
    assert load_checkpoint(path, "x") == ({}, {"step": 1})


def test_the_first_error_comes_up_at_the_end_and_once() -> None:
    def fail(number: int) -> None:
        raise OSError(number, "no room")

    writer, done = Background("test"), []
    gate = threading.Event()
    writer.submit(gate.wait)
    writer.submit(lambda: fail(errno.ENOSPC))
    writer.submit(lambda: fail(errno.EIO))
    writer.submit(lambda: done.append(1))
    gate.set()
    with pytest.raises(OSError, match="no room") as raised:
        writer.finish()
    assert raised.value.errno == errno.ENOSPC
    assert not done  # what follows an error may rely on what failed
    writer.finish()


@pytest.fixture
def planned(text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, SweepFolder]:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    config = parse_config(tiny(text_folder, wandb__mode="offline"), "test")
    plan = make_plan(config, prepare_corpus(config.data).info)
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.write_plan(plan)
    return plan, sweep


def test_a_mirror_on_the_queue_says_what_one_that_is_waited_for_says(
    planned: tuple[Plan, SweepFolder], held_up: Any
) -> None:
    (plan, sweep), (queue, gate) = planned, held_up
    rows = [{"step": step, "tokens": 16 * step, "loss": 3 - step / 10} for step in (1, 2, 3)]
    for cell, chosen in zip(plan.cells[:2], (None, queue), strict=True):
        mirror = Mirror(cell, plan.config, sweep.path, past=rows[:1], queue=chosen)
        for row in rows[1:]:
            mirror.log(row)
        record = failed_record(cell, plan.config, "no reason")
        sweep.write_record(cell.run_id, record)
        mirror.finish(record)
        mirror.close()
    names = [f"tiny-{cell.run_id}" for cell in plan.cells[:2]]
    assert [is_mirrored(sweep.path, name) for name in names] == [True, False]  # nobody has waited for the second
    gate.set()
    queue.finish()
    assert is_mirrored(sweep.path, names[1])
    assert mirror_rest(plan, sweep) == 0
    wait_for_logs()
    log = read_log(sweep.path / "wandb")
    assert sorted(log.frame["run"]) == sorted(cell.run_id for cell in plan.cells[:2])
    assert log.history is not None
    points = log.history()
    assert points.groupby("row")["train_loss"].apply(list).tolist() == [[row["loss"] for row in rows]] * 2


def test_a_mirror_that_another_process_is_at_is_left_to_it(planned: tuple[Plan, SweepFolder]) -> None:
    plan, sweep = planned
    cell = plan.cells[0]
    sweep.write_record(cell.run_id, failed_record(cell, plan.config, "no reason"))
    other = hold_mirror(sweep.path, f"tiny-{cell.run_id}")  # as by the worker that trained it, its claim ended
    assert other is not None
    mirror_rest(plan, sweep)
    assert not list(sweep.path.glob("wandb/offline-run-*"))
    other.close()
    mirror_rest(plan, sweep)
    assert is_mirrored(sweep.path, f"tiny-{cell.run_id}")
