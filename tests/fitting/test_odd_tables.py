"""Tables as people have them: other units, formulas, missing names; no number wrong by a factor, no run lost."""

import json

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, load_runs
from isoflop.fitting.readers import run_frame
from isoflop.fitting.readers.columns import name_columns
from isoflop.fitting.readers.log import Log
from isoflop.fitting.readers.mapping import ColumnMap
from isoflop.fitting.readers.thinning import last_rows
from isoflop.fitting.runs import RunTable

ROWS = pd.DataFrame({"params": [1e6, 2e6, 4e6], "tokens": [4e7, 2e7, 1e7], "loss": [3.0, 2.9, 2.8]})


def table(tmp_path, frame=ROWS, name="runs.csv", **options):
    path = tmp_path / name
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return load_runs(path, **options)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_integers_in_formulas_and_queries_do_not_wrap(tmp_path, kind):
    frame = ROWS.assign(steps=kind(100_000), batch=kind(524_288), huge=kind(2_000_000_000))
    found = table(tmp_path, frame, "runs.parquet", columns={"tokens": "steps * batch * huge"})
    assert found.fitted["tokens"].tolist() == pytest.approx([1e5 * 524_288 * 2e9] * 3)
    assert len(RunTable(found.frame).where("steps * batch * huge > 1e19")) == 3


def test_identifiers_beyond_a_float_are_told_apart_in_a_query(tmp_path):
    found = table(tmp_path, ROWS.assign(job=2**60 + np.arange(3)), "runs.parquet")
    assert len(found.where(f"job == {2**60 + 1}")) == 1


def test_a_formula_may_hold_counts_with_suffixes_and_digits_with_underscores(tmp_path):
    frame = ROWS.assign(params=["1M", "2M", "4M"])
    found = table(tmp_path, frame, columns={"n_params": "params * 2", "tokens": "tokens*1_000"})
    assert found.fitted["n_params"].tolist() == [2e6, 4e6, 8e6]
    assert found.fitted["tokens"].tolist() == [4e10, 2e10, 1e10]


@pytest.mark.parametrize("formula", ["params/2", "params+tokens", "a.b * 1", "params * (tokens + x)"])
def test_how_a_formula_is_written_is_said_where_one_was_meant(tmp_path, formula):
    said = r"no column .*; a formula has spaces around \+ - /, and `backticks`|put a name with dots in backticks"
    with pytest.raises(InputError, match=said):
        table(tmp_path, columns={"n_params": formula})


def test_nothing_is_said_of_formulas_where_none_was_meant(tmp_path):
    with pytest.raises(InputError, match="no column 'eval/los' among") as caught:
        table(tmp_path, columns={"loss": "eval/los"})
    assert "formula" not in str(caught.value)


def test_a_formula_that_fails_names_its_source(tmp_path):
    with pytest.raises(InputError, match=r"runs\.csv:2: column 'note' holds 'a', which is no number"):
        table(tmp_path, ROWS.assign(note="a"), columns={"loss": "loss * note"})


def test_a_decimal_comma_is_no_separator_of_thousands(tmp_path):
    with pytest.raises(InputError, match="column 'params' holds '0,725B', which is no number"):
        table(tmp_path, ROWS.assign(params=["0,725B", "1,450B", "2,9B"]))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_table_with_another_separator_is_named_so(tmp_path, separator):
    path = tmp_path / "runs.csv"
    ROWS.to_csv(path, sep=separator, decimal=",", index=False)
    with pytest.raises(InputError, match="cells are separated by") as caught:
        load_runs(path)
    assert "\n" not in str(caught.value)


def test_rows_without_a_run_are_runs_of_their_own(tmp_path):
    names = pd.Series([None, None, None, "a", "a", "a"])
    frame = pd.concat([ROWS.assign(params=1e6)] * 2, ignore_index=True).assign(run=names)
    for sources in (1, 2):
        path = tmp_path / "runs.csv"
        frame.to_csv(path, index=False)
        other = tmp_path / "other.csv"
        ROWS.assign(loss=[2.5, 2.4, 2.3]).to_csv(other, index=False)
        runs = load_runs(*[path, other][:sources], ends=True).frame["run"].tolist()
        assert [run.removeprefix(f"{path}:") for run in runs[:4]] in (
            ["row 1", "row 2", "row 3", "a"],
            ["a", "row 1", "row 2", "row 3"],
        )


def test_a_row_without_tokens_is_no_run_s_last():
    frame = pd.DataFrame({"run": "a", "n_params": 1e6, "tokens": [1e6, 2e6, np.nan], "loss": [3.0, 2.0, 2.5]})
    assert last_rows(frame)["loss"].tolist() == [2.0]


def test_ends_that_cannot_be_told_are_said(tmp_path):
    found = table(tmp_path, ends=True)
    assert len(found) == 3
    assert any("no column says which rows are of one run" in note for note in found.notes)


def test_a_source_without_flops_beside_one_that_has_them_is_fitted_by_six_n_d(tmp_path):
    ROWS.assign(flops=7 * ROWS["params"] * ROWS["tokens"]).to_csv(tmp_path / "a.csv", index=False)
    ROWS.assign(loss=[2.5, 2.4, 2.3]).to_csv(tmp_path / "b.csv", index=False)
    found = load_runs(tmp_path / "a.csv", tmp_path / "b.csv")
    assert found.excluded == []
    assert (found.frame["flops"] / found.frame["flops_6nd"]).tolist() == pytest.approx([7 / 6] * 3 + [1] * 3)
    assert f"{tmp_path / 'b.csv'}: no FLOP column: C = 6 N D is assumed" in found.notes


def test_objects_in_parquet_are_columns_joined_by_dots(tmp_path):
    configs = pd.Series([{"model": {"n": 1e6 * i}, "lr": 0.1} for i in (1, 2, 3)])
    frame = ROWS.assign(config=configs).drop(columns="params")
    found = table(tmp_path, frame, "runs.parquet", columns={"n_params": "config.model.n"})
    assert found.fitted["n_params"].tolist() == [1e6, 2e6, 3e6]
    assert set(found.frame["config.lr"]) == {0.1}


@pytest.mark.parametrize(("key", "said"), [("train/loss", True), ("eval/loss", False)])
def test_a_training_loss_taken_from_a_log_is_said_to_be_one(key, said):
    frame = ROWS.drop(columns="loss").assign(run="a", source="s", **{key: [3.0, 2.9, 2.8]})
    _, notes = run_frame(Log("s", "a log", frame, history=lambda: frame), ColumnMap())
    assert any("the training's own" in note for note in notes) is said


def test_in_logs_what_a_run_did_wins_over_what_its_config_says():
    frame = pd.DataFrame({
        "config.loss": ["cross_entropy"], "config.tokens": [2e9], "config.max_steps": [100], "total_steps": [90.0],
        "tokens_seen": [1.8e9], "train/loss": [3.0], "summary.num_parameters": [1.2e6], "d": [512.0],
    })  # fmt: skip
    found, _ = name_columns(Log("s", "a log", frame, history=lambda: frame), ColumnMap())
    assert found == {
        "loss": "train/loss", "tokens": "tokens_seen", "planned_steps": "config.max_steps",
        "n_params": "summary.num_parameters",
    }  # fmt: skip


def test_objects_nested_deeply_are_columns_joined_by_dots(tmp_path):
    path = tmp_path / "runs.jsonl"
    rows = [
        {"config": {"model": {"size": {"n": n}}}, "summary": {"eval": {"loss": loss}}, "tokens": 1e9}
        for n, loss in ((1e6, 3.0), (2e6, 2.9))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_runs(path, columns={"n_params": "config.model.size.n", "loss": "summary.eval.loss"})
    assert found.fitted["n_params"].tolist() == [1e6, 2e6]


def test_runs_of_several_seeds_under_one_name_are_as_many_runs(tmp_path):
    frame = pd.concat([ROWS.assign(params=1e6, run="a", seed=seed, loss=ROWS["loss"] + seed / 100) for seed in (0, 1)])
    found = table(tmp_path, pd.concat([frame, ROWS.assign(run="b", seed=0, params=2e6)]), ends=True)
    assert sorted(zip(found.frame["run"], found.frame["loss"], strict=True)) == [
        ("a, seed 0", 3.0), ("a, seed 1", 3.01), ("b", 3.0)
    ]  # fmt: skip


@pytest.mark.parametrize(("ours", "letter"), [("params", "n"), ("tokens", "d"), ("loss", "l")])
def test_a_single_letter_is_one_of_ours_as_a_capital_alone(tmp_path, ours, letter):
    assert len(table(tmp_path, ROWS.rename(columns={ours: letter.upper()}).assign(**{letter: 12}))) == 3
    with pytest.raises(InputError, match="name it with --columns"):
        table(tmp_path, ROWS.rename(columns={ours: letter}))


def test_a_small_c_is_no_count_of_flops(tmp_path):
    assert "no FLOP column: C = 6 N D is assumed" in table(tmp_path, ROWS.assign(c=2048)).notes


def test_a_mapping_that_names_nothing_here_is_told_and_a_formula_that_is_none_refused(tmp_path):
    mapping = tmp_path / "map.yaml"
    mapping.write_text("columns: {loss: [valid_ce, dev_ce]}\n")
    assert any(
        "map.yaml names valid_ce, dev_ce for loss: not in" in note for note in table(tmp_path, mapping=mapping).notes
    )
    mapping.write_text("columns: {loss: 'log(`eval/perplexity`)'}\n")
    with pytest.raises(InputError, match=r"map\.yaml: columns\.loss .*a function is not allowed"):
        table(tmp_path, mapping=mapping)


def test_every_missing_column_is_named_at_once_and_the_near_ones(tmp_path):
    frame = ROWS.rename(columns={"params": "width", "tokens": "steps"})
    with pytest.raises(
        InputError, match=r"no column for n_params nor tokens among .*--columns n_params=COL,tokens=COL"
    ):
        table(tmp_path, frame)
    with pytest.raises(InputError, match=r"no column 'tokns' among .*did you mean tokens"):
        table(tmp_path, columns={"tokens": "tokns"})


def test_a_loss_beside_validation_losses_is_told(tmp_path):
    notes = table(tmp_path, ROWS.assign(**{"eval/loss": ROWS["loss"] + 1})).notes
    assert any("if that is the training's: --columns loss=COL, of eval/loss" in note for note in notes)
    assert not any("training" in note for note in table(tmp_path).notes)


def test_the_only_nested_name_is_taken_and_two_are_not(tmp_path):
    nested = ROWS.rename(columns={"params": "model.n_params"})
    assert "column 'model.n_params' is read as n_params" in table(tmp_path, nested).notes
    with pytest.raises(InputError, match="no column for n_params"):
        table(tmp_path, nested.assign(**{"teacher.n_params": 1e9}))
