"""Runs that must not be fitted are found by their own columns; clean runs are left alone."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Options, analyse, load_runs
from isoflop.fitting.quality import flagged

from .sweeps import HOFFMANN, reference_data, sweep

BUDGETS = np.geomspace(1e18, 1e20, 4)


def runs(**changes: Any):
    """A clean sweep of 28 runs; `changes` are a column, what makes it of the frame, or (rows, what to put there)."""
    frame = sweep(HOFFMANN, budgets=BUDGETS, sizes=7, noise=0.01, seed=1).frame
    frame = frame.assign(run=[f"r{i}" for i in range(len(frame))], seed=0, corpus="c4")
    frame = frame[["run", "n_params", "tokens", "loss", "flops", "seed", "corpus"]]
    for name, change in changes.items():
        if isinstance(change, tuple):
            rows, value = cast("tuple[Any, Any]", change)
            old: list[Any] = frame[name].tolist()
            new = [(value(x) if callable(value) else value) if i in rows else x for i, x in enumerate(old)]
            frame[name] = cast("Any", new)
        else:
            made: Any = change(frame) if callable(change) else change
            frame[name] = made
    return frame


def states(bad, word, good: object = "finished"):
    return [word if i in bad else good for i in range(28)]


def curves(n_runs=4, points=50, noise=0.0):
    """Checkpoints of runs on the law, in the order they were logged."""
    n = np.repeat(np.geomspace(1e7, 1e9, n_runs), points)
    d = np.tile(np.geomspace(1e7, 1e10, points), n_runs)
    loss = HOFFMANN.loss(n, d) * (1 + noise * np.random.default_rng(0).standard_normal(len(n)))
    run = np.repeat([f"r{i}" for i in range(n_runs)], points)
    return pd.DataFrame({"run": run, "n_params": n, "tokens": d, "loss": loss})


def both(one, two):
    return pd.concat([one, two], ignore_index=True)


def found(frame):
    """Row -> reason."""
    out = flagged(frame)[0]
    return {row: flag for row, flag in enumerate(out["flag"]) if flag} if "flag" in out else {}


BAD = {3, 11}
TRAPS = {
    "crashed": (lambda: runs(state=states(BAD, "crashed")), "the run's state is crashed"),
    "any case": (lambda: runs(state=states(BAD, " Running ", "FINISHED")), "the run's state is Running"),
    "slurm": (lambda: runs(state=states(BAD, "CANCELLED by 1000", "COMPLETED")), "state is CANCELLED"),
    "steps": (lambda: runs(step=states(BAD, 600, 1000), planned_steps=1000), "ended at step 600 of 1000"),
    "lowest": (
        lambda: runs(loss=(BAD, 4.0), lowest_loss=lambda f: f["loss"].where(f["loss"] != 4, 2.5) * 0.99),
        "diverged: loss 4 is 1.62 times its run's lowest, 2.475",
    ),
    "N in millions": (
        lambda: runs(n_params=(BAD, lambda n: n / 1e6)),
        "flops / (6 n_params tokens) is 1e+06, in most runs 1",
    ),
    "D in billions": (lambda: runs(tokens=(BAD, lambda d: d / 1e9)), "flops / (6 n_params tokens) is 1e+09, in most"),
    "GFLOPs": (lambda: runs(flops=(BAD, lambda c: c / 1e9)), "flops / (6 n_params tokens) is 1e-09, in most runs 1"),
    "N in millions, no FLOPs": (lambda: runs(n_params=(BAD, lambda n: n / 1e6)).drop(columns="flops"), "n_params is "),
    "D in billions, no FLOPs": (lambda: runs(tokens=(BAD, lambda d: d / 1e9)).drop(columns="flops"), "tokens is "),
    "D in millions, no FLOPs": (lambda: runs(tokens=(BAD, lambda d: d / 1e6)).drop(columns="flops"), "tokens is "),
    "perplexity": (lambda: runs(loss=(BAD, np.exp)), "near it in N and D are far below: a perplexity"),
    "unit named": (lambda: runs(loss_unit=states(BAD, "bits", "nats")), "loss_unit is bits, in most rows nats"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_bad_run_is_found_with_its_reason_and_no_other(trap):
    make, says = TRAPS[trap]
    reasons = found(make())
    assert set(reasons) == BAD
    assert all(says in reason and "\n" not in reason for reason in reasons.values()), reasons


def test_a_run_short_of_its_planned_tokens_is_found():
    frame = runs()
    planned = frame["tokens"] * [2.0 if i in BAD else 1.0 for i in range(28)]
    reasons = found(frame.assign(planned_tokens=planned))
    assert set(reasons) == BAD
    assert reasons[3].startswith("ended at token ")


def harmless():
    """Tables with nothing wrong in them that look as if there were."""
    wide = sweep(HOFFMANN, budgets=np.geomspace(1e12, 1e24, 9), sizes=9, half_width=30, noise=0.01).frame
    few_digits = both(runs(), runs(seed=1))
    tiny = np.geomspace(1e3, 1e11, 9)
    head = 1 + 20 / (1 + (tiny / 1e5))
    return {
        "clean": runs(),
        "another meaning of state": runs(state=["california"] * 20 + ["running"] * 8),
        "no state": runs(state=[None] * 28),
        "a last log just below the plan": runs(step=states(BAD, 990, 1000), planned_steps=1000),
        "calls of log instead of steps": runs(step=[100 + i % 2 for i in range(28)], planned_steps=1000),
        "Trainer's -1 for no plan": runs(step=500, planned_steps=-1),
        "losses of noisy batches": runs(lowest_loss=lambda f: f["loss"] / 1.3),
        "much repeated data": runs(lowest_loss=[1.2] * 14 + [2.6] * 14, epochs=20.0),
        "seeds with losses of two digits": few_digits.assign(loss=few_digits["loss"].round(2)),
        "equal losses of two digits": runs(n_params=1e8, tokens=1e10, loss=2.13, run=np.arange(28)),
        "equal losses of half precision": runs(n_params=1e8, tokens=1e10, loss=2.171875, run=np.arange(28)),
        "a wide sweep": wide,
        "a wider one, with FLOPs of embeddings": pd.DataFrame(
            {"n_params": tiny, "tokens": 20 * tiny, "loss": 3.0 - 0.1 * np.log10(tiny), "flops": 120 * tiny**2 * head}
        ).assign(run=np.arange(9)),
        "one unit in two spellings": runs(loss_unit=states(BAD, "Nats", "nats ")),
        "two tasks of one model": both(runs(task="a"), runs(task="b", loss=lambda f: f["loss"] * 2)),
        "one run in two experiments": both(runs(experiment="a"), runs(experiment="b")),
        "curves": curves(noise=0.03),
        "curves in any order": curves(noise=0.03).sample(frac=1, random_state=0),
    }  # fmt: skip


@pytest.mark.parametrize("frame", harmless().values(), ids=harmless())
def test_what_only_looks_wrong_is_left_alone(frame):
    out, notes = flagged(frame)
    assert found(frame) == {}
    assert notes == []
    assert out is frame


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"n_params": lambda f: f["n_params"] / 1e6}, "n_params='`COL` * 1e6'"),
        ({"tokens": lambda f: f["tokens"] / 1e9}, "tokens='`COL` * 1e6'"),
        ({"flops": lambda f: 6 * f["n_params"] * f["tokens"] / 8.64e19}, "flops='`COL` * 8.64e19'"),
        ({"flops": lambda f: 6 * f["n_params"]}, "the FLOPs of one token"),
        ({"loss": lambda f: 10 * np.exp(f["loss"])}, "perplexities"),
    ],
)
def test_a_unit_that_all_rows_have_is_told_and_nothing_flagged(columns, said):
    frame = pd.DataFrame(runs(**columns))
    out, notes = flagged(frame)
    assert found(frame) == {}
    assert len(notes) == 1
    assert said in notes[0]
    assert out is frame


def test_a_spike_and_what_follows_a_divergence_are_out_and_the_curve_before_them_is_not():
    frame = curves()
    spike, diverged = [60], list(range(140, 150))
    loss = frame["loss"].where(~frame.index.isin(spike), 9.0).where(~frame.index.isin(diverged), 7.5)
    for order in (slice(None), np.random.default_rng(0).permutation(len(frame))):
        mixed = frame.assign(loss=loss, row=frame.index).iloc[order]
        out = flagged(mixed)[0]
        assert sorted(out.loc[out["flag"].ne(""), "row"]) == spike + diverged


def test_a_run_whose_tokens_are_counted_from_0_again_is_out():
    frame = curves().assign(step=lambda f: f.groupby("run").cumcount())
    again = (frame["run"] == "r1") & (frame["step"] > 25)
    reasons = found(frame.assign(tokens=frame["tokens"].where(~again, frame["tokens"] / 10)))
    assert set(frame.loc[list(reasons), "run"]) == {"r1"}
    assert all("their counter began again" in reason for reason in reasons.values())
    assert found(frame.assign(step=frame["step"].where(~again, frame["step"] - 26))) == {}  # of steps it is harmless


def test_a_run_that_stopped_early_is_out_as_a_whole_and_its_neighbours_checkpoints_are_not():
    frame = curves().assign(planned_steps=50)
    frame["step"] = frame.groupby("run").cumcount() + 1
    frame = frame.drop(index=range(80, 100)).reset_index(drop=True)
    assert set(found(frame)) == set(range(50, 80))


def test_copies_of_a_run_are_found_wherever_they_come_from(tmp_path):
    one, two, few = tmp_path / "one.csv", tmp_path / "two.csv", tmp_path / "few.csv"
    frame = runs()
    frame.to_csv(one, index=False)
    frame.drop(columns=["seed", "run"]).assign(note="again").to_csv(two, index=False)  # another export, other columns
    frame.assign(loss=frame["loss"].round(2)).to_csv(few, index=False)
    for sources in ((one, one), (one, two), (few, few)):
        table = load_runs(*sources)
        assert len(table.fitted) == 28
        assert table.excluded[0]["reason"].startswith("the same run as ")
        assert any("28 of 56 rows are runs that the table has already" in note for note in table.notes)
    assert len(load_runs(one, few).fitted) == 56  # rounded, they are other numbers


def test_a_resumed_run_under_two_ids_and_a_step_logged_twice_count_once():
    resumed = both(runs(), runs().iloc[[5]].assign(run="r5-resumed"))
    assert found(resumed) == {28: "the same run as r5: N, D and loss agree to the last digit"}
    twice = both(curves().round(2), curves().round(2).iloc[[7, 8]])
    assert set(found(twice)) == {200, 201}


def test_where_the_first_copy_is_out_the_second_is_fitted():
    frame = both(runs(state="finished"), runs(state="finished").iloc[[5]])
    frame.loc[5, "state"] = "crashed"
    assert found(frame) == {5: "the run's state is crashed"}


def test_a_file_in_bits_per_byte_beside_one_in_nats_is_found(tmp_path):
    paths = [tmp_path / f"{name}.csv" for name in "ab"]
    runs().iloc[::2].to_csv(paths[0], index=False)
    other = runs().iloc[1::2]
    other.iloc[1:-1].assign(loss=lambda f: f["loss"] / np.log(2) / 4.2).to_csv(paths[1], index=False)
    table = load_runs(*paths)
    assert len(table.fitted) == 14
    assert "times those of the largest at the same N and D" in table.excluded[0]["reason"]
    other.to_csv(paths[1], index=False)
    assert len(load_runs(*paths).fitted) == 28


def test_a_flag_of_the_source_stays_and_every_flag_is_told_and_can_be_overruled(tmp_path):
    path = tmp_path / "runs.csv"
    frame = runs(state=states(BAD, "crashed"), loss=({20}, np.exp))
    frame.assign(flag=pd.Series(["bad node" if i == 3 else None for i in range(28)])).to_csv(path, index=False)
    table = load_runs(path)
    reasons = {out["run"]: out["reason"] for out in table.excluded}
    assert reasons["r3"] == "bad node"
    assert reasons["r11"] == "the run's state is crashed"
    assert set(reasons) == {"r3", "r11", "r20"}
    assert [note for note in table.notes if "--keep-flagged" in note] == [
        "1 of 28 rows are of runs whose state says that they did not finish: not fitted; --keep-flagged fits them too",
        "1 of 28 rows have counts or losses in another unit than most: not fitted; --keep-flagged fits them too",
    ]
    quick = Options(methods=("parametric",), resamples=0, by_convention=False, holdout=False)
    assert analyse(table, quick).to_json()["n_runs"] == 25
    kept = Options(methods=("parametric",), resamples=0, by_convention=False, holdout=False, keep_flagged=True)
    assert analyse(table, kept).to_json()["n_runs"] == 28


@pytest.mark.parametrize(
    "name",
    ["datablations_c4", "epoch_chinchilla", "gadre_overtraining", "isoflop_experiments", "porian_refinedweb"],
)
def test_published_runs_have_no_flag(name):
    data = reference_data(f"{name}.csv")
    data["run"] = data["run"] if "run" in data else np.arange(len(data))
    for _, frame in [("", data), *data.groupby("experiment")]:
        assert found(frame.astype({"flops": float}).reset_index(drop=True).assign(source_path="x")) == {}
