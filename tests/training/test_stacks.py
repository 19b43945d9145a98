"""Cells trained as one stack: each as if alone, whatever becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from isoflop.training.launch.base import record_failure
from isoflop.training.loop import Hooks, Interrupted, train, train_stack
from isoflop.training.plan import RunPlan
from isoflop.training.records import SweepFolder
from isoflop.training.stacking import Order, orders, stacks
from isoflop.training.state import Job

from .bench import Bench, measured

SEEDS = {"grid__seeds": 3, "grid__widths": [8], "grid__budgets": [1e8, 2e8]}


def at_rate(cell: RunPlan, rate: float) -> RunPlan:
    """A cell that differs from `cell` in its rate alone."""
    return replace(cell, run_id=f"{cell.run_id}-{rate:g}", learning_rate=rate)


def stack_of(bench: Bench, cells: Order) -> Job:
    return replace(bench.job(cells[0]), others=cells[1:])


@pytest.mark.parametrize(
    ("changes", "kernels"),
    [
        ({}, "fused"),
        ({"execution__kernels": "transformers"}, "vectorised"),
        ({"model__family": "gpt2", "execution__micro_batch": 3}, "vectorised"),
        ({"recipe__precision": "bf16"}, "vectorised"),
    ],
)
def test_a_stacked_cell_comes_to_its_lone_loss(
    text_folder: Path, tmp_path: Path, changes: dict[str, Any], kernels: str
) -> None:
    AcceleratorState._reset_state(True)  # a process has one precision; a test has two
    bench = Bench(text_folder, tmp_path / "stack", **SEEDS, **changes)
    first, second, third = bench.plan.cells[:3]
    cells = (first, second, at_rate(third, third.learning_rate / 2))
    records = train_stack(stack_of(bench, cells))
    alone = Bench(text_folder, tmp_path / "alone", **SEEDS, **changes)
    for cell, record in zip(cells, records, strict=True):
        assert (record["run_id"], record["stacked"], record["machine"]["kernels"]) == (cell.run_id, 3, kernels)
        own = train(alone.job(cell))
        assert own["stacked"] == 1
        # Hundreds of steps make of another rounding what another order of additions would.
        assert record["loss"] == pytest.approx(own["loss"], abs=0.02 if "recipe__precision" in changes else 2e-3)
        steps = [row["step"] for row in alone.sweep.read_curve(cell.run_id)]
        assert [row["step"] for row in bench.sweep.read_curve(cell.run_id)] == steps
        assert bench.sweep.weights(cell.run_id).is_file()
    assert len({record["loss"] for record in records}) == 3
    AcceleratorState._reset_state(True)
    assert not bench.sweep.begun_stacks()


def test_an_interrupted_stack_ends_as_if_never_interrupted(text_folder: Path, tmp_path: Path) -> None:
    whole = Bench(text_folder, tmp_path / "whole", **SEEDS)
    expected = train_stack(stack_of(whole, whole.plan.cells[:3]))
    pieces = Bench(text_folder, tmp_path / "pieces", **SEEDS)
    for n_steps in (1, 40):
        asked: list[int] = []
        job = stack_of(pieces, pieces.plan.cells[:3])
        with pytest.raises(Interrupted):
            train_stack(job, Hooks(should_stop=lambda asked=asked, n=n_steps: asked.append(1) or len(asked) == n))
        assert list(pieces.sweep.begun_stacks().values()) == [[cell.run_id for cell in pieces.plan.cells[:3]]]
    found = train_stack(stack_of(pieces, pieces.plan.cells[:3]))
    assert [measured(record) for record in found] == [measured(record) for record in expected]
    for cell in pieces.plan.cells[:3]:
        assert pieces.sweep.read_curve(cell.run_id) == whole.sweep.read_curve(cell.run_id)
    # Killed between two records, it writes the one that is missing and leaves the other.
    kept = pieces.plan.cells[0].run_id
    assert pieces.sweep.read_record(kept) == found[0]


def test_a_member_that_diverges_is_trained_again_alone(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path / "stack", **SEEDS)
    first, second, third = bench.plan.cells[:3]
    cells = (first, at_rate(second, 1e30), third)
    records = train_stack(stack_of(bench, cells))
    assert [record["status"] for record in records] == ["finished", "diverged", "finished"]
    assert [record["stacked"] for record in records] == [3, 1, 3]
    alone = Bench(text_folder, tmp_path / "alone", **SEEDS)
    assert measured(records[1]) == measured(train(alone.job(cells[1])))
    assert records[0]["loss"] == pytest.approx(train(alone.job(first))["loss"], abs=2e-3)


def test_what_stands_together_follows_from_the_plan(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, grid__seeds=4, grid__widths=[4, 8], grid__budgets=[1e8, 2e8, 4e8])
    cells, sweep = bench.plan.cells, bench.sweep
    found = stacks(bench.plan, device="cpu", workers=1)
    assert sorted(cell.run_id for stack in found for cell in stack) == sorted(cell.run_id for cell in cells)
    assert {len(stack) for stack in found} == {4}
    assert all(len({(cell.shape, cell.steps, cell.batch_sequences) for cell in stack}) == 1 for stack in found)
    # No stack is more than a share of the work: with many workers each would be left idle by it.
    assert max(len(stack) for stack in stacks(bench.plan, device="cpu", workers=16)) == 1
    chosen = orders(bench.plan, sweep, sweep.to_do(bench.plan), device="cpu", workers=1)
    work = [sum(cell.flops for cell in order) for order in chosen]
    assert work == sorted(work, reverse=True)
    for asked, largest in (("off", 1), (3, 2)):  # four in equal stacks of three at most
        other = Bench(text_folder, tmp_path, execution__stack=asked, grid__seeds=4, grid__widths=[4, 8])
        assert max(len(stack) for stack in stacks(other.plan, device="cpu", workers=1)) == largest


def test_a_stack_that_was_begun_stays_together(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, **SEEDS)
    cells = bench.plan.cells[:3]
    with pytest.raises(Interrupted):
        train_stack(stack_of(bench, cells[:2]), Hooks(should_stop=lambda: True))
    train(bench.job(cells[0]))  # has a record now; the other's losses are those of the stack all the same
    chosen = orders(bench.plan, bench.sweep, bench.sweep.to_do(bench.plan), device="cpu", workers=1)
    assert {tuple(cell.run_id for cell in order) for order in chosen} == {
        (cells[0].run_id, cells[1].run_id),
        (cells[2].run_id,),
        tuple(cell.run_id for cell in bench.plan.cells[3:]),
    }


def test_a_failed_member_is_tried_again_with_the_others(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, **SEEDS)
    cells = bench.plan.cells[:2]
    record_failure(bench.sweep, cells[0], bench.config, "a bad day")
    records = train_stack(stack_of(bench, cells))
    assert [record["status"] for record in records] == ["finished", "finished"]
    assert bench.sweep.read_record(cells[0].run_id) == records[0]


class Full(SweepFolder):
    """A disk that takes one record."""

    def write_record(self, run_id: str, record: dict[str, Any]) -> None:
        if list(self.path.glob("*/record.json")):
            raise OSError("no room")
        super().write_record(run_id, record)


def test_a_stack_stopped_between_its_records_ends_as_if_it_were_not(text_folder: Path, tmp_path: Path) -> None:
    whole = Bench(text_folder, tmp_path / "whole", **SEEDS)
    first, second, third = whole.plan.cells[:3]
    cells = (first, at_rate(second, 1e30), third)
    expected = train_stack(stack_of(whole, cells))
    bench = Bench(text_folder, tmp_path / "stopped", **SEEDS)
    with pytest.raises(OSError, match="no room"):
        train_stack(replace(stack_of(bench, cells), sweep=Full(bench.sweep.path)))
    kept = bench.sweep.read_record(first.run_id)
    found = train_stack(stack_of(bench, cells))
    assert found[0] == kept
    assert [measured(record) for record in found] == [measured(record) for record in expected]
    assert [record["reason"] for record in found] == [record["reason"] for record in expected]
    assert not bench.sweep.begun_stacks()


def test_a_cell_begun_alone_goes_on_alone(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, **SEEDS)
    cells = bench.plan.cells[:3]
    with pytest.raises(Interrupted):
        train(bench.job(cells[0]), Hooks(should_stop=lambda: True))
    chosen = orders(bench.plan, bench.sweep, list(cells), device="cpu", workers=1)
    assert {len(order) for order in chosen if cells[0] in order} == {1}
    assert {len(order) for order in chosen if cells[1] in order} == {2}


def test_a_begun_stack_of_cells_that_are_on_a_trunk_by_now_is_given_up(text_folder: Path, tmp_path: Path) -> None:
    schedule: dict[str, Any] = {"kind": "wsd"}
    bench = Bench(text_folder, tmp_path, **SEEDS, recipe__schedule=schedule)
    with pytest.raises(Interrupted):
        train_stack(stack_of(bench, bench.plan.cells[:3]), Hooks(should_stop=lambda: True))
    edited = Bench(text_folder, tmp_path, **SEEDS, recipe__schedule=schedule | {"trunk": True})
    shared = {cell.run_id for cell in edited.plan.cells} & {cell.run_id for cell in bench.plan.cells}
    assert shared, "an edited schedule keeps the ids of the smallest budget"
    chosen = orders(edited.plan, edited.sweep, edited.sweep.to_do(edited.plan), device="cpu", workers=1)
    assert {len(order) for order in chosen} == {1}


def test_trunks_stay_alone(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, grid__seeds=2, recipe__schedule={"kind": "wsd", "trunk": True})
    assert {len(stack) for stack in stacks(bench.plan, device="cpu", workers=1)} == {1}
