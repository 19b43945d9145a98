"""The table of runs: what it derives, what it flags, what it refuses, and what a query may say."""

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import InputError, RunTable


def frame(**columns):
    base = {"n_params": [1e6, 2e6, 4e6], "tokens": [4e7, 2e7, 1e7], "loss": [3.0, 2.9, 3.1]}
    return pd.DataFrame(base | columns)


def test_flops_are_six_n_d_where_the_table_has_none_and_the_table_says_so():
    table = RunTable(frame(n_params_non_embedding=[5e5, 1e6, 2e6]))
    np.testing.assert_allclose(table.fitted["flops"], 6 * 4e13)
    np.testing.assert_allclose(table.fitted["flops_6nd_non_embedding"], 3 * 4e13)
    assert any("6 N D" in note for note in table.notes)
    assert table.flops_convention == "6nd"


def test_a_flop_column_is_kept_and_6nd_stands_beside_it():
    table = RunTable(frame(flops=[3e14, 3e14, 3e14]))
    assert table.notes == ()
    assert table.conventions == {"n_params": ["n_params"], "flops": ["flops", "6nd"]}
    assert table.flops_convention is None


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("loss", np.nan, "loss is nan"),
        ("loss", np.inf, "loss is inf"),
        ("n_params", -3, "n_params is not positive: -3"),
        ("tokens", 0, "tokens is not positive: 0"),
        ("tokens", None, "tokens is nan"),
    ],
)
def test_a_row_that_cannot_be_fitted_stays_with_its_reason(column, value, reason):
    data = frame(run=["a", "b", "c"])
    data[column] = data[column].astype(object)
    data.loc[1, column] = value
    table = RunTable(data)
    assert len(table) == 3
    assert table.fitted["run"].tolist() == ["a", "c"]
    assert table.excluded == [{"run": "b", "reason": reason}]


def test_flags_of_the_data_keep_rows_out_unless_they_are_kept_but_never_fit_a_nan():
    data = frame(flag=["", "diverged", "diverged"], loss=[3.0, 2.9, np.nan])
    assert len(RunTable(data).fitted) == 1
    kept = RunTable(data, keep_flagged=True)
    assert len(kept.fitted) == 2
    assert kept.excluded == [{"run": "row 3", "reason": "diverged"}]


def test_the_table_is_a_copy():
    data = frame()
    table = RunTable(data)
    data.loc[0, "loss"] = 99.0
    assert table.fitted["loss"].tolist() == [3.0, 2.9, 3.1]


def test_conventions_change_what_is_counted():
    table = RunTable(frame(n_params_non_embedding=[5e5, 1e6, 2e6], flops_palm=[1e15, 2e15, 3e15]))
    other = table.with_conventions("n_params_non_embedding", "palm")
    assert other.fitted["n_params"].tolist() == [5e5, 1e6, 2e6]
    assert other.fitted["flops"].tolist() == [1e15, 2e15, 3e15]
    by_column = table.with_conventions(flops="flops_palm")
    assert by_column.fitted["flops"].tolist() == [1e15, 2e15, 3e15]


def test_flags_follow_the_convention():
    table = RunTable(frame(n_params_non_embedding=[5e5, np.nan, 2e6]))
    assert table.excluded == []
    other = table.with_conventions("n_params_non_embedding")
    assert other.excluded == [{"run": "row 2", "reason": "n_params is nan"}]
    assert "n_params_non_embedding" not in table.conventions["n_params"]


@pytest.mark.parametrize(("n_params", "flops"), [("n_params_x", "flops"), ("n_params", "kaplan"), ("run", "flops")])
def test_an_unknown_convention_is_refused_with_a_list(n_params, flops):
    with pytest.raises(InputError, match=r"choose .*(n_params|6nd)"):
        RunTable(frame()).with_conventions(n_params, flops)


def test_refusals_of_whole_tables():
    with pytest.raises(InputError, match="loss"):
        RunTable(frame().drop(columns="loss"))
    with pytest.raises(InputError, match="no usable run among 3"):
        RunTable(frame(loss=np.nan))
    with pytest.raises(InputError, match="no usable run among 0"):
        RunTable(frame().iloc[:0])
    with pytest.raises(InputError, match="'tokens' holds '60Q'"):
        RunTable(frame(tokens=["1e7", "60Q", "3"]))
    with pytest.raises(InputError, match="'loss' holds '3M'"):  # a loss has no suffix
        RunTable(frame(loss=["1", "3M", "3"]))


def test_counts_may_have_suffixes_and_separators():
    table = RunTable(frame(n_params=["60M", "1.2B", "1,234,567"], tokens=["3e9", "1.5 T tokens", "7k"]))
    assert table.fitted["n_params"].tolist() == [6e7, 1.2e9, 1234567]
    assert table.fitted["tokens"].tolist() == [3e9, 1.5e12, 7e3]


def test_a_query_selects_by_columns_odd_names_included():
    table = RunTable(frame(**{"odd name": [1, 2, 3], "model": ["x", "y", "z"]}))
    assert len(table.where("n_params > 1e6 and model != 'z'")) == 1
    assert len(table.where("`odd name` in [1, 3] | model == 'y'")) == 3
    assert len(table.where("not (loss < 3)").fitted) == 2


@pytest.mark.parametrize(
    "query",
    [
        "@pd.compat.os.system('true')",
        "__import__('os').getcwd()",
        "n_params.__class__",
        "model.str.len() > 0",
        "n_params ** 9 > 1",
        "(lambda: n_params > 0)()",
        "[x for x in n_params]",
        "n_params[0] > 1",
        "index > 0",
        "nothing > 3",
        "`no such` > 3",
        "n_params >",
        "n_params + 1",
        "loss = 3",
        "",
        "model > 3",
        "n_params > 1e30",
        "1 > 0",
    ],
)
def test_a_query_sees_columns_only_and_says_why_not_in_one_line(query):
    table = RunTable(frame(model=["x", "y", "z"]))
    with pytest.raises(InputError) as caught:
        table.where(query)
    assert "--where" in str(caught.value)
    assert "\n" not in str(caught.value)
