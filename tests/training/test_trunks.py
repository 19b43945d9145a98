"""Budgets of one size branch from one trunk, and come to what each comes to alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from isoflop.fitting import load_runs
from isoflop.training.config import parse_config
from isoflop.training.launch.slot import Slot
from isoflop.training.loop import Hooks, Interrupted, train
from isoflop.training.planning import make_plan
from isoflop.training.schedule import rate_at

from .bench import Bench, measured
from .helpers import tiny

WSD = {"kind": "wsd", "cooldown": 0.2, "trunk": True}
BUDGETS = {"grid__budgets": [2e8, 4e8, 8e8], "grid__widths": [8], "data__max_epochs": 9.0}


def trained(bench: Bench) -> list[dict[str, Any]]:
    return [train(bench.job(cell)) for cell in bench.sweep.to_do(bench.plan)]


def test_a_branch_is_the_run_that_never_shared_a_step(text_folder: Path, tmp_path: Path) -> None:
    shared = Bench(text_folder, tmp_path / "shared", recipe__schedule=WSD, **BUDGETS)
    records = trained(shared)
    assert [record["begun_at_step"] for record in records] == [cell.shared_steps for cell in shared.plan.cells]
    assert [record["phase"] for record in records] == ["cooled"] * 3
    for cell, record in zip(shared.plan.cells, records, strict=True):
        alone = Bench(text_folder, tmp_path / cell.run_id, recipe__schedule=WSD, **BUDGETS)
        whole = train(alone.job(cell))
        assert whole["begun_at_step"] == 0
        assert measured(whole) == measured(record)
        # Its curve begins with the trunk's.
        steps = [row["step"] for row in shared.sweep.read_curve(cell.run_id)]
        assert steps == sorted(set(steps))
        assert (min(steps) < cell.trunk_steps / 2, max(steps)) == (True, cell.steps)


def test_a_branch_stopped_anywhere_goes_on_to_the_same_loss(text_folder: Path, tmp_path: Path) -> None:
    whole = Bench(text_folder, tmp_path / "whole", recipe__schedule=WSD, **BUDGETS)
    pieces = Bench(text_folder, tmp_path / "pieces", recipe__schedule=WSD, **BUDGETS)
    expected = trained(whole)
    last = whole.plan.cells[-1]
    found = []
    for cell in pieces.plan.cells:
        # Within the trunk, after its end, and within the cooldown.
        for step in (3, last.trunk_steps - cell.shared_steps - 3, 6):
            asked: list[int] = []
            with pytest.raises(Interrupted):
                train(pieces.job(cell), Hooks(should_stop=lambda a=asked, n=min(step, cell.steps // 8): _after(a, n)))
        found.append(train(pieces.job(cell)))
    assert [measured(record) for record in found] == [measured(record) for record in expected]


def _after(asked: list[int], steps: int) -> bool:
    asked.append(1)
    return len(asked) > steps


def test_the_plan_counts_the_trunk_once(text_folder: Path, tmp_path: Path) -> None:
    plan = Bench(text_folder, tmp_path, recipe__schedule=WSD, **BUDGETS).plan
    small, middle, large = plan.cells
    assert len({cell.trunk for cell in plan.cells}) == 1
    assert len({(cell.batch_sequences, cell.learning_rate, cell.timeline.warmup_steps) for cell in plan.cells}) == 1
    trained_steps = large.trunk_steps + sum(cell.steps - cell.trunk_steps for cell in plan.cells)
    per_step = large.flops / large.steps
    assert plan.own_flops == pytest.approx(trained_steps * per_step)
    assert plan.flops == pytest.approx(sum(cell.steps for cell in plan.cells) * per_step)
    assert (small.shared_steps, middle.shared_steps) == (0, small.trunk_steps)


def test_batch_and_rate_are_those_of_the_smallest_budget(text_folder: Path, tmp_path: Path) -> None:
    trunks = Bench(text_folder, tmp_path, recipe__schedule=WSD, **BUDGETS).plan
    alone = Bench(text_folder, tmp_path, recipe__schedule=WSD | {"trunk": False}, **BUDGETS).plan
    assert {cell.batch_sequences for cell in trunks.cells} == {alone.cells[0].batch_sequences}
    assert alone.cells[-1].batch_sequences > alone.cells[0].batch_sequences
    assert trunks.cells[0].run_id == alone.cells[0].run_id, "sharing steps changes no loss, so it changes no id"


def test_a_horizon_makes_prefixes_of_one_run(text_folder: Path, tmp_path: Path) -> None:
    schedule = {"kind": "cosine", "horizon_tokens": 10**5, "trunk": True}
    bench = Bench(text_folder, tmp_path, recipe__schedule=schedule, **BUDGETS)
    records = trained(bench)
    assert {record["phase"] for record in records} == {"hot"}
    assert [cell.trunk_steps for cell in bench.plan.cells] == [cell.steps for cell in bench.plan.cells]
    assert bench.plan.own_flops == bench.plan.cells[-1].flops
    curve = bench.sweep.read_curve(bench.plan.cells[-1].run_id)
    last = bench.plan.cells[-1]
    expected = last.learning_rate * rate_at(last.steps - 1, last.timeline, bench.config.recipe.schedule)
    assert curve[-1]["learning_rate"] == pytest.approx(expected)
    # One curve: steps rise, and each budget's own end is on it.
    steps = [row["step"] for row in curve]
    assert steps == sorted(set(steps))
    bench.sweep.write_plan(bench.plan)
    assert set(load_runs(str(tmp_path)).frame["phase"]) == {"hot"}


def test_a_trunk_that_diverged_is_not_trained_again(text_folder: Path, tmp_path: Path) -> None:
    rate = {"rule": "constant", "value": 1e30}
    bench = Bench(text_folder, tmp_path, recipe__schedule=WSD, recipe__learning_rate=rate, **BUDGETS)
    first, second, third = trained(bench)
    assert first["status"] == second["status"] == third["status"] == "diverged"
    assert first["tokens"] == second["tokens"] == third["tokens"]
    assert second["wall_seconds"] == 0


def test_an_added_budget_branches_from_what_is_there(text_folder: Path, tmp_path: Path) -> None:
    bench = Bench(text_folder, tmp_path, recipe__schedule=WSD, **BUDGETS)
    trained(bench)
    more = parse_config(
        tiny(text_folder, recipe__schedule=WSD, **BUDGETS | {"grid__budgets": [2e8, 4e8, 8e8, 1e9]}), "test"
    )
    plan = make_plan(more, bench.corpus.info)
    (added,) = bench.sweep.to_do(plan)
    record = train(bench.job(added))
    assert record["begun_at_step"] == bench.plan.cells[-1].trunk_steps
    bench.sweep.trunks.remove()
    assert not list(tmp_path.glob("trunks/*/*.safetensors"))


def test_a_branch_waits_for_its_trunk_and_no_longer(text_folder: Path, tmp_path: Path) -> None:
    changes = BUDGETS | {"grid__widths": [4, 8]}
    bench = Bench(text_folder, tmp_path, recipe__schedule=WSD, **changes)
    to_do = bench.sweep.to_do(bench.plan)
    launcher = bench.launcher(to_do)
    given = []
    for index in range(2):
        slot = cast(Slot, SimpleNamespace(index=index, order=()))  # its worker has nothing to do with it
        order = launcher.next_ready(slot)
        assert order is not None
        launcher.queue.remove(order)
        slot.order = order
        launcher.slots.append(slot)
        given += order
    assert {cell.shape.width for cell in given} == {4, 8}, "two trunks, not two cells of one"
    idle = cast(Slot, SimpleNamespace(index=2, order=()))
    assert launcher.next_ready(idle) is None
    saved = bench.sweep.trunks.path(str(given[0].trunk), given[0].trunk_steps)
    saved.parent.mkdir(parents=True)
    saved.touch()
    branch = launcher.next_ready(idle)
    assert branch is not None
    assert branch[0].trunk == given[0].trunk
