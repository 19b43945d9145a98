"""What a sweep costs before it is trained: seconds, device-hours, money, and how that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.costs import Throughput, planned_devices, sweep_costs
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan

from .helpers import tiny


@pytest.fixture(scope="module")
def plan(text_folder: Path) -> Plan:
    return planned(text_folder)


def planned(text_folder: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text_folder, data__max_epochs=1e9, **changes), "tiny")
    return make_plan(config, prepare_corpus(config.data).info)


def records(plan: Plan, count: int, seconds_a_step: float) -> dict[str, dict[str, Any]]:
    return {
        cell.run_id: {
            "run_id": cell.run_id,
            "tokens": cell.tokens,
            "batch_tokens": cell.batch_tokens,
            "wall_seconds": cell.steps * seconds_a_step,
            "machine": {"device": "cpu"},
        }
        for cell in plan.cells[:count]
    }


def test_a_given_throughput_gives_seconds_hours_and_money(plan: Plan) -> None:
    costs = sweep_costs(plan, "cpu", throughput=Throughput(1e6, "as given"), price_per_hour=3.0)
    exact = sum(cell.counts.flops_per_token["exact"] * cell.tokens for cell in plan.cells)
    assert costs.whole.device_hours == pytest.approx(exact / 1e6 / 3600)
    assert costs.whole.price == pytest.approx(3.0 * costs.whole.device_hours)
    assert costs.whole == costs.to_go
    assert (costs.kind, costs.devices, costs.source) == ("device", 1, "as given")
    assert costs.whole.wall_seconds == pytest.approx(3600 * costs.whole.device_hours)


def test_more_devices_take_less_time_and_as_many_hours_and_never_less_than_the_longest_cell(plan: Plan) -> None:
    one, two, many = (sweep_costs(plan, "cpu", devices=count) for count in (1, 2, 1000))
    assert one.whole.device_hours == two.whole.device_hours == many.whole.device_hours
    assert two.whole.wall_seconds < one.whole.wall_seconds
    assert many.whole.wall_seconds == max(one.seconds.values())


def test_what_is_trained_is_not_to_be_paid_again_and_says_how_fast_the_rest_will_be(plan: Plan) -> None:
    costs = sweep_costs(plan, "cpu", records(plan, 4, 0.5))
    assert costs.source == "scaled by 4 finished records of this sweep"
    assert costs.to_go.cells == len(plan.cells) - 4
    left = plan.cells[4:]
    assert costs.to_go.flops == pytest.approx(sum(cell.own_flops for cell in left))
    assert costs.to_go.device_hours == pytest.approx(sum(0.5 * cell.steps for cell in left) / 3600, rel=0.5)
    assert costs.whole.cells == len(plan.cells)
    every = sweep_costs(plan, "cpu", records(plan, len(plan.cells), 0.5))
    assert every.to_go.cells == every.to_go.wall_seconds == 0


def test_a_given_throughput_is_believed_over_records(plan: Plan) -> None:
    given = Throughput(1e6, "as given")
    with_records = sweep_costs(plan, "cpu", records(plan, 4, 100.0), throughput=given)
    assert with_records.seconds == sweep_costs(plan, "cpu", throughput=given).seconds


def test_an_unmeasured_gpu_is_said_to_be_assumed(plan: Plan) -> None:
    assert "never measured here" in sweep_costs(plan, "cuda", devices=1).source
    assert "within 1.3 times" in sweep_costs(plan, "cpu").source


def test_trunks_are_paid_once(text_folder: Path) -> None:
    plan = planned(text_folder, recipe__schedule={"kind": "wsd", "trunk": True})
    assert plan.own_flops < plan.flops
    costs = sweep_costs(plan, "cpu", throughput=Throughput(1e6, "as given"))
    assert costs.whole.device_hours == pytest.approx(plan.own_flops / 1e6 / 3600)
    assert costs.whole.flops == pytest.approx(plan.own_flops)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"execution__executor": "inline"}, 1),
        ({"execution__workers": 4}, 4),
        ({"execution__workers": 99}, 6),  # no more than cells
        ({"execution__executor": "slurm", "execution__slurm": {"max_parallel": 3}}, 3),
    ],
)
def test_devices_are_those_that_the_sweep_would_take(text_folder: Path, changes: dict[str, Any], count: int) -> None:
    assert planned_devices(planned(text_folder, **changes), "cpu") == count
