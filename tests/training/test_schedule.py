"""The learning rate over a run, and what runs of one trunk share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isoflop.training.config import Schedule
from isoflop.training.schedule import Timeline, phase, rate_at, shared_steps, timeline

KINDS = ("linear", "cosine", "wsd", "constant")


def of_run(schedule: Schedule, steps: int, batch_tokens: int = 64) -> Timeline:
    assert isinstance(schedule.warmup, float)
    return timeline(schedule, steps, round(schedule.warmup * steps), batch_tokens)


@given(st.sampled_from(KINDS), st.integers(2, 3000), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_schedule_warms_up_peaks_and_ends_at_its_final_rate(kind, steps: int, warmup: float, final: float) -> None:
    schedule = Schedule(kind=kind, warmup=warmup, final=final)
    when = of_run(schedule, steps)
    rates = [rate_at(step, when, schedule) for step in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < rate <= 1 + 1e-12 for rate in rates)
    assert max(rates) == pytest.approx(1)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rate_at(steps, when, schedule) == pytest.approx(1 if kind == "constant" else final)


def test_linear_is_a_straight_line_to_zero_at_the_horizon() -> None:
    schedule = Schedule(kind="linear", warmup=0.1)
    when = of_run(schedule, 100)
    assert rate_at(0, when, schedule) == pytest.approx(0.1)
    assert rate_at(10, when, schedule) == 1
    assert rate_at(55, when, schedule) == pytest.approx(0.5)
    assert rate_at(99, when, schedule) == pytest.approx(1 / 90)


@pytest.mark.parametrize(("shape", "half"), [("linear", 0.5), ("sqrt", 1 - math.sqrt(0.5))])
def test_wsd_holds_until_its_cooldown(shape: str, half: float) -> None:
    schedule = Schedule(kind="wsd", warmup=0.1, cooldown=0.2, cooldown_shape=shape)  # type: ignore[arg-type]
    when = of_run(schedule, 100)
    assert {rate_at(step, when, schedule) for step in range(10, 80)} == {1}
    assert rate_at(90, when, schedule) == pytest.approx(half)


def test_a_horizon_times_the_decay_for_runs_of_every_length() -> None:
    schedule = Schedule(kind="cosine", horizon_tokens=64 * 200, final=0.1)
    short, long = (timeline(schedule, steps, 10, 64) for steps in (100, 200))
    assert [rate_at(s, short, schedule) for s in range(100)] == [rate_at(s, long, schedule) for s in range(100)]
    assert (phase(100, short), phase(200, long)) == ("hot", "cooled")
    # A run beyond its horizon stays at the final rate.
    assert rate_at(260, timeline(schedule, 300, 10, 64), schedule) == pytest.approx(0.1)


def test_only_a_rate_that_has_not_decayed_leaves_a_run_hot() -> None:
    assert [phase(100, of_run(Schedule(kind=kind), 100)) for kind in KINDS] == ["cooled", "cooled", "cooled", "hot"]


def test_runs_share_all_but_their_cooldowns() -> None:
    schedule = Schedule(kind="wsd", cooldown=0.25, trunk=True)
    assert shared_steps(schedule, 100, timeline(schedule, 100, 10, 64)) == 75
    constant = Schedule(kind="constant", trunk=True)
    assert shared_steps(constant, 100, timeline(constant, 100, 10, 64)) == 100


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_decay_timed_to_each_runs_end_leaves_nothing_to_share(kind) -> None:
    with pytest.raises(ValidationError, match=r"trunk: .* nothing can be shared"):
        Schedule(kind=kind, trunk=True)
    Schedule(kind=kind, trunk=True, horizon_tokens=1000)


@pytest.mark.parametrize("kind", ["linear", "cosine", "wsd"])
def test_a_warmup_as_long_as_the_run_leaves_it_hot(kind) -> None:
    assert phase(100, timeline(Schedule(kind=kind), 100, 100, 64)) == "hot"
    assert phase(100, timeline(Schedule(kind=kind), 100, 99, 64)) == "cooled"
