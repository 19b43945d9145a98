"""Tasks of Slurm's: what is packed into them, how long they may take, and what a config may say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.fitting.errors import InputError
from isoflop.training.config import parse_config
from isoflop.training.config.slurm import minutes_of
from isoflop.training.launch.packing import LEAST_SECONDS, pack

from .helpers import tiny


def cell(run_id: str, trunk: str | None = None) -> Any:
    return SimpleNamespace(run_id=run_id, trunk=trunk)


@given(
    st.lists(st.tuples(st.floats(0.01, 1e5), st.sampled_from([None, None, "a", "b"])), min_size=1, max_size=60),
    st.floats(10, 1e4),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_each_order_is_in_one_task_and_the_tasks_are_alike(
    cells: list[tuple[float, str | None]], target: float, parallel: int, most: int
) -> None:
    orders = [(cell(str(i), trunk),) for i, (_, trunk) in enumerate(cells)]
    seconds = {str(i): duration for i, (duration, _) in enumerate(cells)}
    tasks = pack(orders, seconds, target=target, parallel=parallel, most=most)
    assert sorted(order[0].run_id for task in tasks for order in task) == sorted(seconds)
    assert all(tasks)
    assert len(tasks) <= most
    for task in tasks:
        assert [int(order[0].run_id) for order in task] == sorted(int(order[0].run_id) for order in task)
    for trunk in ("a", "b"):
        assert sum(any(order[0].trunk == trunk for order in task) for task in tasks) <= 1
    work = [sum(seconds[order[0].run_id] for order in task) for task in tasks]
    units = [duration for duration, trunk in cells if trunk is None]
    units += [sum(duration for duration, of in cells if of == trunk) for trunk in ("a", "b")]
    # Longest first to the emptiest: no task is over the mean by more than its last unit.
    assert max(work) <= sum(work) / len(work) + max(units) + 1e-6
    assert len(tasks) >= min(sum(work) / target, most, sum(unit > 0 for unit in units)) - 1e-6


def test_short_cells_share_tasks_and_long_ones_spread() -> None:
    orders = [(cell(str(i)),) for i in range(100)]
    second = {str(i): 1.0 for i in range(100)}
    assert len(pack(orders, second, target=1800, parallel=32, most=1000)) == 2, "two, so that one may wait or die"
    minute = {str(i): LEAST_SECONDS for i in range(100)}
    assert len(pack(orders, minute, target=1800, parallel=32, most=1000)) == 32, "as many as may run at once"
    hour = {str(i): 3600.0 for i in range(100)}
    assert len(pack(orders, hour, target=1800, parallel=32, most=1000)) == 100
    assert len(pack(orders, hour, target=1800, parallel=32, most=60)) == 60, "an array has no more"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("1:30", 1.5), ("1:30:00", 90), ("2-12", 3600), ("1-0:30", 1470), ("1-1:30:30", 1530.5)],
)
def test_times_are_read_as_slurm_reads_them(text: str, minutes: float) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": "soon"}, "execution.slurm.time: 'soon' is none of Slurm's times"),
        ({"time": "0:30"}, "execution.slurm.time: '0:30' is less than a minute"),
        ({"time": "2:30"}, "execution.slurm: time: must be more than 150 s, signal_seconds and .* got '2:30'"),
        ({"gres": "gpu:1,nvme:1", "large": {}}, "slurm: gres: must be one resource where large .* got .gpu:1,"),
        ({"extra": ["exclusive"]}, r"execution.slurm.extra\[0\]: 'exclusive' is no option of sbatch"),
        ({"partition": "a b"}, "execution.slurm.partition: "),
        ({"max_parallel": 0}, "execution.slurm.max_parallel: must be greater than 0, got 0"),
        ({"partitions": "x"}, "execution.slurm.partitions: unknown key; did you mean 'partition'"),
        ({"large": {"nodes": 1.5}}, "execution.slurm.large.nodes: must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named_with_its_bound(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        parse_config(tiny(tmp_path, execution__slurm=changes), "c.yaml")


def test_a_time_may_be_a_number_of_minutes(tmp_path: Path) -> None:
    config = parse_config(tiny(tmp_path, execution__slurm={"time": 90, "extra": ["--exclusive", "--nice=5"]}), "c.yaml")
    assert config.execution.slurm.time == "90"
