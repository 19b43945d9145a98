"""Reading runs: every kind of source, the guesses it makes, and one clear line for every source that is no good."""

import json

import pandas as pd
import pytest

from isoflop.fitting import InputError, load_runs
from isoflop.fitting.cells import places

ROWS = [{"params": 1e6 * 2**i, "tokens": 4e7 / 2**i, "final_loss": 3 - 0.1 * i} for i in range(3)]


def write(path, rows=ROWS):
    data = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        data.to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        data.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_every_kind_of_file_gives_the_same_table(tmp_path, suffix):
    table = load_runs(write(tmp_path / f"runs{suffix}"))
    assert table.fitted["n_params"].tolist() == [1e6, 2e6, 4e6]
    assert table.fitted["loss"].tolist() == pytest.approx([3.0, 2.9, 2.8])
    assert "column 'final_loss' is read as loss" in table.notes
    assert set(table.frame["source"]) == {str(tmp_path / f"runs{suffix}")}
    assert table.frame["source_line"].tolist() == ([2, 3, 4] if suffix in (".csv", ".tsv") else [1, 2, 3])


def test_rows_know_their_line(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("N,D,L\n1e6,1e8,3\n\n2e6,1e8,nan\n")
    table = load_runs(path)
    assert places(table.frame) == [f"{path}:2", f"{path}:4"]
    assert table.excluded == [{"run": "row 2", "reason": "loss is nan", "source": f"{path}:4"}]


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("N,D,L", None),
        ("model_size,num_tokens,val_loss", None),
        ("Num-Params,Tokens_Seen,eval/loss", None),
        ("n_params,tokens,loss", None),
        ("params,tokens,accuracy", "loss"),
        ("width,tokens,loss", "n_params"),
    ],
)
def test_common_names_are_recognised_and_missing_ones_named(tmp_path, header, missing):
    path = tmp_path / "runs.csv"
    path.write_text(f"{header}\n1e6,1e8,3\n2e6,1e8,2.9\n")
    if missing is None:
        assert load_runs(path).fitted["loss"].tolist() == [3.0, 2.9]
    else:
        with pytest.raises(InputError, match=f"{missing}.*--columns {missing}=COL"):
            load_runs(path)


def test_columns_win_over_names_and_the_original_stays_for_queries(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss,val\n1e6,1e8,9,3\n2e6,1e8,9,2.9\n")
    table = load_runs(path, columns={"loss": "val"})
    assert table.fitted["loss"].tolist() == [3.0, 2.9]
    assert len(table.where("params > 1e6")) == 1
    for columns in ({"loss": "nothing"}, {"perplexity": "val"}):
        with pytest.raises(InputError, match="--columns"):
            load_runs(path, columns=columns)


def test_a_file_with_a_source_column_of_its_own_keeps_it(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss,source\n1e6,1e8,3,paper\n2e6,1e8,4,blog\n")
    assert len(load_runs(path).where("source == 'paper'")) == 1


def test_several_sources_are_one_table_with_their_runs_apart(tmp_path):
    others = [row | {"final_loss": row["final_loss"] + 0.01} for row in ROWS]
    one, two = write(tmp_path / "one.csv"), write(tmp_path / "two.jsonl", others)
    table = load_runs(one, two)
    assert len(table.fitted) == 6
    assert len(set(table.fitted["run"])) == 6


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"  \n \n", "empty"),
        ("a.csv", b',,\n"",""\n', "empty"),
        ("a.csv", b"N,D,L\n", "no rows"),
        ("a.csv", b"N,D,L\n1,2\n", r"a\.csv:2: 2 cells where the header has 3"),
        ("a.csv", b"N,D,L\n1e6,1e8,3\n1e6,60Q,3\n", r"a\.csv:3: column 'D' holds '60Q'"),
        ("a.csv", b"N,N,L\n1,2,3\n", "occurs twice"),
        ("a.csv", b"\x89PNG\x00\x00", "binary"),
        ("a.csv", b"N,D,L\n\xff\xfe,1,2\n", "UTF-8"),
        ("a.csv", b'N,D,L\n"1,2,3\n', "a.csv"),
        ("a.json", b"{", "not JSON"),
        ("a.json", b"[1, 2]", "list of runs"),
        ("a.json", b'{"N": [1], "D": [1, 2]}', "different lengths"),
        ("a.jsonl", b'{"N": 1}\n[]\n', r"a\.jsonl:2"),
        ("a.jsonl", b'{"N": 1}\n{"N":\n', r"a\.jsonl:2: not JSON"),
        ("a.parquet", b"PAR1 but torn", "Parquet"),
        ("a.xlsx", b"PK", "unknown kind '.xlsx'"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        load_runs(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_sources(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_runs(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="no source"):
        load_runs()
    with pytest.raises(InputError, match=r"plan\.json"):
        load_runs(tmp_path)


def record(run_id, **changes):
    base = {
        "schema_version": 1,
        "run_id": run_id,
        "status": "finished",
        "reason": None,
        "budget": 1e15,
        "n_params": 1000,
        "n_params_non_embedding": 800,
        "n_params_blocks_and_head": 900,
        "tokens": 10**6,
        "flops": {"exact": 7e15, "6nd": 6e15, "palm": 8e15},
        "planned_flops": "exact",
        "loss": 3.0,
        "phase": "cooled",
        "config": {"deep": 1},
    }
    return base | changes


def sweep(folder, records, planned):
    (folder / "plan.json").write_text(
        json.dumps({"schema_version": 1, "name": "x", "cells": [{"run_id": name, "budget": 1e15} for name in planned]})
    )
    for name, content in records.items():
        (folder / name).mkdir()
        (folder / name / "record.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_a_sweep_folder_keeps_failures_with_reasons_and_counts_the_rest(tmp_path):
    records = {
        "a": record("a"),
        "b": record("b", status="diverged", reason="loss is nan at step 40", loss=None),
        "c": record("c", loss=2.5),
        "old": record("old", loss=1.0),
    }
    table = load_runs(sweep(tmp_path, records, ["a", "b", "c", "d"]))
    assert table.fitted["run"].tolist() == ["a", "c"]
    place = str(tmp_path / "b" / "record.json")
    assert table.excluded == [{"run": "b", "reason": "diverged: loss is nan at step 40", "source": place}]
    assert table.fitted["flops"].tolist() == [7e15, 7e15]
    assert table.conventions["flops"] == ["flops", "exact", "6nd", "6nd_non_embedding", "palm"]
    assert table.flops_convention == "exact"
    assert table.loss_unit == "nats_per_token"
    assert "1 of 4 cells have no record yet" in table.notes
    assert any(note.startswith("1 records are of cells") for note in table.notes)


@pytest.mark.parametrize(
    ("records", "planned", "says"),
    [
        ({}, ["a", "b"], "none of the 2 planned cells has a record yet"),
        ({"a": '{"schema_version": 1, "run'}, ["a"], r"a/record\.json: not JSON"),
        ({"a": record("a", schema_version=9)}, ["a"], "schema_version 9"),
        ({"a": record("a", status="failed", reason="CUDA", loss=None)}, ["a"], "no finished run among 1 records"),
        ({"a": record("a", planned_flops="guess")}, ["a"], "planned_flops 'guess'"),
        ({}, ["../../etc"], "no plain folder name"),
    ],
)
def test_bad_sweep_folders_are_refused(tmp_path, records, planned, says):
    with pytest.raises(InputError, match=says) as caught:
        load_runs(sweep(tmp_path, records, planned))
    assert "\n" not in str(caught.value)


def units(folder):
    """Two corpora, each with losses of its own unit."""
    path = folder / "units.csv"
    rows = [f"{n:g},{n * 20:g},{(4 - i / 10) * times:.6f},{unit}" for times, unit in ((1, "nats"), (0.4, "bits"))
            for i, n in enumerate((1e6, 2e6, 4e6, 8e6 if times == 1 else 4.1e6))]  # fmt: skip
    path.write_text("params,tokens,loss,loss_unit\n" + "\n".join([*rows, "1.6e7,3.2e8,3.3,nats"]) + "\n")
    return path


def test_what_is_not_asked_for_is_no_measure_of_what_is(tmp_path):
    path = units(tmp_path)
    assert [len(load_runs(path).fitted), len(load_runs(path).excluded)] == [5, 4]
    assert len(load_runs(path, where="loss_unit == 'bits'").fitted) == 4
    assert len(load_runs(path, apart="loss_unit").fitted) == 9
    kept = load_runs(path, keep_flagged=True)
    assert [len(kept.fitted), len(kept.kept), kept.excluded] == [9, 4, []]
    assert kept.kept[0]["source"] == f"{path}:6"


def test_a_table_that_is_all_flagged_can_be_kept(tmp_path):
    path = tmp_path / "crashed.csv"
    path.write_text("N,D,L,state\n1e6,1e8,3,crashed\n2e6,1e8,2.9,crashed\n")
    with pytest.raises(InputError, match="no usable run among 2: the first is out because the run's state is crashed"):
        load_runs(path)
    assert len(load_runs(path, keep_flagged=True).fitted) == 2


def test_flags_of_a_table_are_read_as_reasons_in_one_line(tmp_path):
    path = tmp_path / "flags.csv"
    path.write_text("N,D,L,flag\n1e6,1e8,3,false\n2e6,1e8,2.9,true\n")
    assert load_runs(path).excluded == [{"run": "row 2", "reason": "flagged in its source", "source": f"{path}:3"}]
    path = tmp_path / "flags.json"
    path.write_text(json.dumps([{"N": 1e6, "D": 1e8, "L": 3}, {"N": 1e6, "D": 2e8, "L": 3, "flag": "two\nlines"}]))
    assert load_runs(path).excluded[0]["reason"] == "two lines"


def test_a_file_with_columns_named_like_ours_still_tells_its_lines(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("params,tokens,loss,source,source_file\n1e6,1e8,3,paper,x\n2e6,1e8,nan,blog,y\n")
    assert load_runs(path).excluded[0]["source"] == f"{path}:3"
