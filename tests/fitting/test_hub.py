"""Datasets by way of load_dataset: from this disk, through the very call that reaches the Hub."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from isoflop.fitting.errors import InputError
from isoflop.fitting.readers import load_runs

datasets = pytest.importorskip("datasets")

RUNS = pd.DataFrame(
    {
        "experiment": ["web", "web", "code", "code"],
        "params": [1e6, 2e6, 1e6, 2e6],
        "tokens": [3e8, 1.5e8, 3e8, 1.5e8],
        "flops": [1.8e15] * 4,
        "loss": [3.2, 3.3, 2.1, 2.2],
        "budget": [1.8e15] * 4,
    }
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "data").mkdir(parents=True)
    RUNS.to_parquet(tmp_path / "runs" / "data" / "train-00000-of-00001.parquet")
    return tmp_path / "runs"


def test_the_only_split_is_read(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = load_runs(f"hf:{folder}")
    for name in ("experiment", "tokens", "loss", "flops", "budget"):
        assert table.fitted[name].tolist() == RUNS[name].tolist()
    assert table.fitted["n_params"].tolist() == RUNS["params"].tolist()
    assert any("dataset, split train, 4 rows" in note for note in table.notes)
    assert capfd.readouterr().out == ""


def test_a_row_that_cannot_be_fitted_is_named_by_its_place(folder: Path) -> None:
    RUNS.assign(loss=pd.Series([3.2, None, 2.1, 2.2])).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    assert load_runs(f"hf:{folder}:train").excluded == [
        {"run": "row 2", "reason": "loss is nan", "source": f"hf:{folder}:train:2"}
    ]


def test_all_splits_are_read_and_told_apart(folder: Path) -> None:
    RUNS.iloc[:1].to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    table = load_runs(f"hf:{folder}")
    assert table.frame["split"].tolist() == ["train"] * 4 + ["test"]
    assert table.frame["source"].iloc[-1] == f"hf:{folder}:test"
    assert any("all splits are read (train, test)" in note for note in table.notes)
    assert len(load_runs(f"hf:{folder}:test")) == 1


def test_nested_values_are_columns_and_lists_are_named(folder: Path) -> None:
    models = pd.Series([{"params": n, "shape": {"width": 8}} for n in RUNS["params"]])
    nested = RUNS.drop(columns="params").assign(model=models)
    nested["evals"] = [[1.0, 2.0]] * 4
    nested.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    table = load_runs(f"hf:{folder}", columns={"n_params": "model.params"})
    assert table.fitted["n_params"].tolist() == RUNS["params"].tolist()
    assert table.fitted["model.shape.width"].tolist() == [8] * 4
    assert "left out, no single values: evals" in table.notes


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hf:", "no dataset is named so"),
        ("hf:name:", "no dataset is named so"),
        ("hf:nobody/nothing", "hf:nobody/nothing: cannot be read: Couldn't reach"),
        ("hf:nobody/nothing@small:train", "Couldn't reach 'nobody/nothing'"),
        ("hf:{folder}:tran", "Unknown split \"tran\""),
        ("hf:{folder}/data/none", "cannot be read: Couldn't find any data file"),
        ("hf:{folder}@other:train", "other"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(folder: Path, source: str, said: str) -> None:
    source = source.format(folder=folder)
    with pytest.raises(InputError) as caught:
        load_runs(source)
    assert str(caught.value).startswith(source)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slice_without_rows_is_refused(folder: Path) -> None:
    assert len(load_runs(f"hf:{folder}:train[:2]")) == 2
    with pytest.raises(InputError, match="corresponds to no data"):
        load_runs(f"hf:{folder}:train[:0]")


def test_a_torn_file_says_why(folder: Path) -> None:
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match="Parquet magic bytes not found"):
        load_runs(f"hf:{folder}")


def test_a_file_is_named_without_the_prefix(tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    pd.DataFrame({"params": [1e6], "tokens": [1e7], "loss": [3.0]}).to_parquet(path)
    with pytest.raises(InputError, match="is a file on this disk: name it without hf:"):
        load_runs(f"hf:{path}")
