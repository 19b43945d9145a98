"""Curves from the histories of logs: which loss, how many tokens by then, what is said of both."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError
from isoflop.fitting.readers import column_map
from isoflop.fitting.readers.history import history_points
from isoflop.fitting.readers.log import Log
from isoflop.fitting.readers.tracked import TrackedRun, log_of

STEPS = np.arange(10.0, 101.0, 10)


def history(**columns) -> pd.DataFrame:
    return pd.DataFrame({"step": STEPS, **columns})


def log(*histories: pd.DataFrame, summary=None, **config) -> Log:
    runs = [
        TrackedRun(f"r{i}", f"place{i}", config={"n_params": 1e6 * (i + 1), **config}, summary=summary or {}, history=h)
        for i, h in enumerate(histories)
    ]
    return log_of("logs", "a test's runs", runs)


def points(source: Log, **columns) -> tuple[pd.DataFrame, list[str]]:
    return history_points(source, column_map(columns or None, None))


def test_tokens_logged_along_the_run_are_taken_between_their_steps():
    tokens = np.where(STEPS % 20 == 0, STEPS * 100, np.nan)
    table, notes = points(
        log(history(eval_loss=4 - STEPS / 100, tokens=tokens), history(eval_loss=STEPS, tokens=tokens))
    )
    assert table.loc[table["curve"] == "r0", "tokens"].tolist() == (STEPS * 100).tolist()
    assert table.loc[table["curve"] == "r0", "loss"].tolist() == (4 - STEPS / 100).tolist()
    assert set(table["n_params"]) == {1e6, 2e6}
    assert "curves are the histories of 'eval_loss'" in notes


def test_beyond_the_last_logged_tokens_they_go_on_as_before():
    tokens = np.where(STEPS <= 40, STEPS * 100, np.nan)
    table, _ = points(log(history(eval_loss=STEPS, tokens=tokens)))
    assert table["tokens"].tolist() == pytest.approx((STEPS * 100).tolist())


def test_a_counter_that_began_again_is_flagged_unless_flags_are_kept():
    again = np.where(STEPS > 50, STEPS - 50, STEPS) * 100
    loss = 4 - STEPS / 100
    source = log(history(eval_loss=loss, tokens=again), history(eval_loss=loss, tokens=STEPS * 100))
    table, _ = points(source)
    assert set(table.loc[table["curve"] == "r0", "flag"]) == {
        "tokens fall from 5000 to 1000 as the run's steps rise: their counter began again"
    }
    assert set(table.loc[table["curve"] == "r1", "flag"]) == {""}
    table, _ = history_points(source, column_map(None, None), keep_flagged=True)
    assert set(table["flag"]) == {""}


def test_a_run_whose_history_lacks_the_loss_is_counted():
    _, notes = points(
        log(history(eval_loss=STEPS, tokens=STEPS), history(eval_loss=np.nan, tokens=STEPS)), loss="eval_loss"
    )
    assert "1 of 2 runs have no 'eval_loss' in their history" in notes


def test_a_size_with_a_suffix_in_the_config_counts_along_the_curve_too():
    source = log(history(eval_loss=STEPS), history(eval_loss=STEPS), batch="2k")
    table, _ = points(source, tokens="`config.batch` * step")
    assert table.loc[table["curve"] == "r0", "tokens"].tolist() == (STEPS * 2000).tolist()


def test_a_run_s_total_is_shared_out_by_steps_and_that_is_said():
    table, notes = points(log(history(eval_loss=STEPS), summary={"total_tokens": 1e4, "total_flops": 6e10}))
    assert table["tokens"].tolist() == (STEPS * 100).tolist()
    assert table["flops"].tolist() == pytest.approx((STEPS * 6e8).tolist())
    assert any("in proportion to the step" in note and "in proportion to the tokens" in note for note in notes)


def test_a_formula_follows_the_step():
    source = log(history(eval_loss=STEPS), batch=64)
    table, notes = points(source, tokens="`config.batch` * step")
    assert table["tokens"].tolist() == (64 * STEPS).tolist()
    assert not any("proportion" in note for note in notes)


def test_a_loss_of_the_end_alone_gives_way_to_the_training_s():
    last = np.where(STEPS == 100, 2.5, np.nan)
    source = log(history(eval_loss=last, train_loss=STEPS, tokens=STEPS), history(train_loss=STEPS, tokens=STEPS))
    table, notes = points(source)
    assert "curves are the histories of 'train_loss'" in notes
    assert len(table) == 20
    with pytest.raises(InputError, match=r"logged fewer than 3 times.*--columns loss=KEY"):
        points(log(history(eval_loss=last, tokens=STEPS)))
    with pytest.raises(InputError, match="eval_loss"):
        points(source, loss="eval_loss")


def test_flags_of_a_run_are_those_of_its_points():
    runs = [
        TrackedRun("a", "x", config={"n_params": 1e6}, history=history(loss=4 - STEPS / 100, tokens=STEPS)),
        TrackedRun("b", "x", "crashed", config={"n_params": 1e6}, history=history(loss=4 - STEPS / 100, tokens=STEPS)),
    ]
    table, _ = points(log_of("logs", "runs", runs))
    assert set(table.loc[table["curve"] == "b", "flag"]) == {"crashed"}
    assert set(table.loc[table["curve"] == "a", "flag"]) == {""}


def test_in_logs_what_was_validated_is_the_loss_and_wins_over_the_summary():
    source = log(
        history(loss=STEPS, **{"eval/loss": 3 - STEPS / 100}, tokens=STEPS), summary={"eval/loss": 1.0, "loss": 9.0}
    )
    table, notes = points(source)
    assert table["loss"].tolist() == (3 - STEPS / 100).tolist()
    assert "column 'eval/loss' is read as loss" in notes
    assert "column 'config.n_params' is read as n_params" in notes


def test_a_counter_of_tokens_wins_over_shares_of_the_total():
    counted = STEPS**2
    source = log(history(eval_loss=STEPS, num_input_tokens_seen=counted), tokens=1e4)
    table, notes = points(source, tokens="config.tokens")
    assert table["tokens"].tolist() == (STEPS * 100).tolist()  # named by the user
    frame = source.frame.assign(tokens=1e4)
    table, notes = points(replace(source, frame=frame))
    assert table["tokens"].tolist() == counted.tolist()
    assert any("their tokens are 'num_input_tokens_seen'" in note for note in notes)


def test_a_missing_column_is_told_with_the_reader_s_own_remedy():
    source = replace(log(history(eval_loss=STEPS)), notes=("the log counts no tokens: --columns tokens='step * 64'",))
    with pytest.raises(InputError, match=r"no column for tokens.*--columns tokens='step \* 64'"):
        points(source)


def test_every_count_of_flops_is_followed_along_the_run():
    source = log(history(eval_loss=4 - STEPS / 100, tokens=STEPS * 100))
    source = replace(source, frame=source.frame.assign(flops_exact=7e10, flops=7e10))
    table, _ = points(source)
    assert table["flops_exact"].tolist() == pytest.approx((7e10 * STEPS / 100).tolist())
    assert table["flops"].tolist() == pytest.approx((7e10 * STEPS / 100).tolist())
