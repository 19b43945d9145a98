"""How long cells take: by the plan alone, then as the sweep's own records say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isoflop.scripts import progress
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.durations import CELL_SECONDS, cell_seconds, device_of, seconds_to_end
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_plan

from .helpers import tiny


@pytest.fixture
def plan(text_folder: Path) -> Plan:
    return planned(text_folder)


def planned(text_folder: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text_folder, data__max_epochs=1e9, **changes), "tiny")
    return make_plan(config, prepare_corpus(config.data).info)


def record(cell: RunPlan, seconds: float, device: str = "cpu", begun_at: int = 0) -> dict[str, Any]:
    return {
        "run_id": cell.run_id,
        "status": "finished",
        "tokens": cell.tokens,
        "batch_tokens": cell.batch_tokens,
        "begun_at_step": begun_at,
        "wall_seconds": seconds,
        "machine": {"device": device},
    }


def test_without_records_longer_wider_and_slower_kernels_take_longer(text_folder: Path, plan: Plan) -> None:
    seconds = cell_seconds(plan, "cpu")
    assert seconds.keys() == {cell.run_id for cell in plan.cells}
    by_size = {(cell.budget, cell.shape.width): seconds[cell.run_id] for cell in plan.cells}
    assert all(by_size[4e8, width] > by_size[2e8, width] for width in (4, 8, 12))
    slow = planned(text_folder, execution__kernels="transformers")
    assert all(cell_seconds(slow, "cpu")[run_id] > least for run_id, least in seconds.items())
    assert all(value > CELL_SECONDS["cuda"] for value in cell_seconds(plan, "cuda").values())


def test_a_record_scales_all_and_the_nearest_size_scales_most(plan: Plan) -> None:
    before = cell_seconds(plan, "cpu")
    small, *_, large = sorted(plan.cells, key=lambda cell: cell.shape.width)
    steps = {cell.run_id: before[cell.run_id] - CELL_SECONDS["cpu"] for cell in plan.cells}
    one = cell_seconds(plan, "cpu", [record(small, 3 * steps[small.run_id])])
    for cell in plan.cells:
        assert one[cell.run_id] - CELL_SECONDS["cpu"] == pytest.approx(3 * steps[cell.run_id])
    measured = [record(small, 3 * steps[small.run_id])] * 3 + [record(large, 2 * steps[large.run_id])] * 3
    both = cell_seconds(plan, "cpu", measured)
    assert both[small.run_id] == pytest.approx(CELL_SECONDS["cpu"] + 3 * steps[small.run_id])
    assert both[large.run_id] == pytest.approx(CELL_SECONDS["cpu"] + 2 * steps[large.run_id])


def test_one_slow_run_of_many_changes_nothing(plan: Plan) -> None:
    cell = plan.cells[0]
    usual = [record(cell, 1.0)] * 4
    assert cell_seconds(plan, "cpu", [*usual, record(cell, 1000.0)]) == cell_seconds(plan, "cpu", usual)


def test_records_that_measured_nothing_here_are_passed_over(plan: Plan) -> None:
    cell = plan.cells[0]
    useless = [
        record(cell, 50.0, device="NVIDIA H200"),
        record(replace(cell, run_id="of an earlier plan"), 50.0),
        record(cell, 50.0) | {"wall_seconds": None, "status": "failed", "tokens": 0, "machine": None},
        record(cell, 50.0, begun_at=cell.steps),
    ]
    assert cell_seconds(plan, "cpu", useless) == cell_seconds(plan, "cpu")


def test_a_branch_of_a_trunk_takes_its_own_steps_only(text_folder: Path) -> None:
    plan = planned(text_folder, recipe__schedule={"kind": "wsd", "trunk": True})
    branches = [cell for cell in plan.cells if cell.shared_steps]
    assert branches
    alone = replace(plan, cells=tuple(replace(cell, shared_steps=0) for cell in plan.cells))
    shared, whole = cell_seconds(plan, "cpu"), cell_seconds(alone, "cpu")
    for cell in branches:
        share = (cell.steps - cell.shared_steps) / cell.steps
        per_cell = CELL_SECONDS["cpu"]
        assert shared[cell.run_id] - per_cell == pytest.approx(share * (whole[cell.run_id] - per_cell))


def test_the_device_is_what_records_say_and_else_what_the_config_says(text_folder: Path, plan: Plan) -> None:
    cell = plan.cells[0]
    assert device_of(plan) == "cpu"
    assert device_of(plan, [record(cell, 1.0) | {"machine": None}, record(cell, 1.0, device="NVIDIA H200")]) == "cuda"
    assert device_of(planned(text_folder, execution__device="cuda")) == "cuda"


def test_the_end_is_told_by_who_is_at_work_and_by_the_longest_cell() -> None:
    assert seconds_to_end([], [5.0]) is None
    assert seconds_to_end([3.0], []) == 3.0
    assert seconds_to_end([1.0, 2.0], [3.0, 3.0, 1.0]) == 5.0
    assert seconds_to_end([0.0, 0.0, 0.0], [10.0]) == 10.0, "more workers do not make one cell faster"


@pytest.mark.parametrize("known", [False, True], ids=["first", "resumed"])
def test_the_time_left_is_near_the_truth_once_a_cell_has_ended(
    text_folder: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, the most work first, on a machine that is slower than assumed, by step and by FLOP."""
    plan = planned(text_folder, grid__budgets=[2e8, 4e8, 8e8, 1.6e9], grid__widths=[4, 8, 16], grid__seeds=3)
    step = {c.run_id: 4e-3 + c.counts.flops_per_token["exact"] * c.batch_tokens / 2e9 for c in plan.cells}
    queue = sorted(plan.cells, key=lambda cell: -cell.own_flops)
    over = [record(queue.pop(0), 0.0) for _ in range(4 if known else 0)]
    over = [each | {"wall_seconds": each["tokens"] / each["batch_tokens"] * step[each["run_id"]]} for each in over]
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    left = progress.TimeLeft(plan, queue, over)
    told: list[tuple[float, float | None]] = []
    at_work = {worker: [queue.pop(0), 0] for worker in range(2)}
    due = dict.fromkeys(at_work, 100.0)
    while due:
        worker = min(due, key=lambda each: due[each])
        clock[0] = due[worker]
        cell, done = at_work[worker]
        if done:
            left.step(cell, done)
        if done == cell.steps:
            left.ended(cell, record(cell, cell.steps * step[cell.run_id]))
            told.append((clock[0], left.seconds()))
            if not queue:
                del due[worker]
                continue
            cell, done = at_work[worker] = [queue.pop(0), 0]
            clock[0] += 0.03  # to build it
        further = min(cell.steps - done, max(1, cell.steps // 100))
        at_work[worker][1] += further
        due[worker] = clock[0] + further * step[cell.run_id]
    end = clock[0]
    assert len(told) >= 32
    for now, seconds in told[:-4]:
        assert seconds == pytest.approx(end - now, rel=0.25), (now, end)
    assert told[-1][1] is None
