"""Cells trained as one stack: each as if alone, whatever becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isoflop.training.loop import Hooks, Interrupted, train, train_stack
from isoflop.training.plan import RunPlan
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
    ],
)
def test_a_stacked_cell_comes_to_its_lone_loss(
    text_folder: Path, tmp_path: Path, changes: dict[str, Any], kernels: str
) -> None:
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
        assert record["loss"] == pytest.approx(own["loss"], abs=2e-3)
        steps = [row["step"] for row in alone.sweep.read_curve(cell.run_id)]
        assert [row["step"] for row in bench.sweep.read_curve(cell.run_id)] == steps
        assert bench.sweep.weights(cell.run_id).is_file()
    assert len({record["loss"] for record in records}) == 3
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
        assert pieces.sweep.begun_stacks() == [[cell.run_id for cell in pieces.plan.cells[:3]]]
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


def test_trunks_stay_alone(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, grid__seeds=2, recipe__schedule={"kind": "wsd", "trunk": True})
    assert {len(stack) for stack in stacks(bench.plan, device="cpu", workers=1)} == {1}
