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
            assert said.isprintable() or "\n" not in said, said
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
