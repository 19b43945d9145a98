"""Broken sources by the command, as a user meets them: a status, one line of error or a report, never a traceback."""

import importlib.util
import random
import re
import sys
from pathlib import Path

import pytest

FITTING = Path(__file__).resolve().parents[1] / "fitting"
PYTHONS_OWN = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning|Interrupt)\b")


def broken_logs():
    """The fuzzer, which lies beside the tests of the readers."""
    package = importlib.util.spec_from_loader("broken_sources", loader=None, is_package=True)
    assert package is not None
    sys.modules[package.name] = importlib.util.module_from_spec(package)
    sys.modules[package.name].__path__ = [str(FITTING)]
    return importlib.import_module("broken_sources.broken_logs")


KINDS = broken_logs().KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_fit_says_what_is_wrong_or_fits_what_is_right(command, tmp_path, kind):
    for seed in range(4):
        source = KINDS[kind](random.Random(f"command {seed}"))
        for name, data in source.files.items():
            path = tmp_path / str(seed) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        done = command("fit", tmp_path / str(seed) / source.name, "--method", "parametric", "--resamples", 0)
        assert not PYTHONS_OWN.search(done.err), done.err
        if done.status:
            assert done.status in (1, 2)
            assert done.err.startswith("error: ")
            assert done.err.count("\n") == 1, done.err
            assert done.out == ""
        else:
            assert "runs fitted" in done.out
