"""A thousand broken inputs: each is refused in one line or read with every row accounted for, never a traceback."""

import warnings

import pytest

from isoflop.fitting import InputError, load_runs

from .broken_logs import KINDS, source_of

CASES = 1000


def put(source, folder):
    for name, data in source.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / source.name


def check(source, path):
    """Read it; "refused", or "read" where every row was found."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            table = load_runs(path)
        except InputError as error:
            said = str(error)
            assert "\n" not in said
            assert "\r" not in said
            assert str(path.parent if source.name else path) in said, said
            assert len(said) < 6000, len(said)
            return "refused"
        fitted, excluded = table.fitted, table.excluded
    assert len(fitted) + len(excluded) == len(table)
    assert all(out["reason"] for out in excluded)
    if source.n_rows is not None:
        assert len(table) == source.n_rows
    return "read"


@pytest.mark.parametrize("kind", KINDS)
def test_no_broken_source_ends_in_a_traceback_or_loses_a_row(tmp_path, kind):
    ends = []
    for seed in range(CASES // len(KINDS)):
        source = source_of(kind, seed)
        ends.append(check(source, put(source, tmp_path / str(seed))))
    assert {"refused", "read"} == set(ends), "a fuzzer whose every case ends alike tests little"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "run,n_params,tokens,loss\na,1e6,1e8,3.5\nb,2e6,1e8,3.4\nc,4e6"),
        ("a.tsv", "run\tn_params\ttokens\tloss\na\t1e6\t1e8\t3.5\nb\t2e6\t1e8\t3.4\nc\t4e6"),
        ("a.jsonl", '{"N": 1e6, "D": 1e8, "loss": 3.5}\n{"N": 2e6, "D": 1e8, "loss": 3.4}\n{"N": 4e6, "tok'),
    ],
)
def test_the_line_that_a_killed_writer_left_half_is_a_row_with_its_reason(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    table = load_runs(path)
    line = text.count("\n") + 1
    assert table.fitted["loss"].tolist() == [3.5, 3.4]
    torn = table.excluded[-1]
    assert torn["reason"].startswith("torn: the file ends after ")
    assert torn["source"] == f"{path}:{line}"
    path.write_text(text + "\n")  # a whole line that is wrong is no torn one
    with pytest.raises(InputError, match=f"{name}:{line}: "):
        load_runs(path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '[{"n_params": 1, "loss": 2, "loss": 3}]', "key 'loss' occurs twice"),
        ("a.jsonl", '{"n_params": 1, "n_params": 2}\n', r"a.jsonl:1: .*key 'n_params' occurs twice"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_runs(path)
