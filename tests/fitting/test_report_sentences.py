"""What a report says of a profile that ends before the region does, and of seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isoflop.fitting import Analysis
from isoflop.fitting.reporting.report.runs import runs_table
from isoflop.fitting.reporting.report.sections import profile_sentence

from .report_subjects import planted, subject
from .sweeps import HOFFMANN, changed, sweep


@pytest.fixture(scope="module")
def fitted() -> Analysis:
    table = sweep(HOFFMANN, sizes=7, noise=0.004)
    return planted(changed(table, seed=20240517 + np.arange(len(table))), methods=("parametric",))


def test_a_region_that_goes_on_beyond_what_was_computed_is_said_to(fitted: Analysis) -> None:
    profile = fitted.profile
    assert profile is not None
    inside = profile_sentence(subject(fitted))
    assert "below" not in inside
    assert "beyond" not in inside
    assert profile.inside is not None
    alphas = np.flatnonzero(profile.inside.any(axis=1))
    cut = replace(profile, alphas=profile.alphas[: alphas[-1]], rise=profile.rise[: alphas[-1]])
    said = profile_sentence(subject(replace(fitted, profile=cut)))
    assert f"{profile.alphas[alphas[0]]:.2f} to beyond {profile.alphas[alphas[-1] - 1]:.2f} and from beta" in said


def test_seeds_keep_all_their_digits(fitted: Analysis) -> None:
    table = runs_table(subject(fitted))
    assert table.rows[0][table.headers.index("seed")] == "20240517"
