"""What the verdict must not say: an exponent that the runs do not hold, a doubt about another, a count cut short."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Analysis, Estimate, RunTable
from isoflop.fitting.diagnostics import Warn
from isoflop.fitting.reporting.report.verdict import headline_method, verdict_of
from isoflop.fitting.reporting.report.warnings import main_doubt

from .report_subjects import planted, subject
from .sweeps import HOFFMANN, changed, sweep


@pytest.fixture(scope="module")
def whole() -> Analysis:
    return planted()


def spread(law: Callable[[Any, Any], Any], noise: float = 0.0, seed: int = 0) -> RunTable:
    """48 runs, 6 sizes at 8 token counts, with the losses law(n, d) times 1 + noise."""
    n, d = (axis.reshape(-1) for axis in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 8)))
    loss = law(n, d) * (1 + noise * np.random.default_rng(seed).standard_normal(len(n)))
    return RunTable(pd.DataFrame({"n_params": n, "tokens": d, "loss": loss, "flops": 6 * n * d}))


def with_exponent(whole: Analysis, estimate: Estimate) -> Analysis:
    assert whole.isoflop is not None
    fits = replace(whole.fits, isoflop=replace(whole.isoflop, params_exponent=estimate))
    return replace(whole, fits=fits, warnings=())


def test_every_comparable_published_exponent_is_counted_whether_or_not_it_can_be_told(whole: Analysis) -> None:
    found = subject(with_exponent(whole, Estimate(0.45, 0.44, 0.46)))
    second = verdict_of(found)[1]
    said = re.search(
        r"of (\d+) published .* alike (\d+) (?:is|are) within error, (\d+) are not .* and (\d+) cannot", second
    )
    assert said is not None, second
    assert found.comparison is not None
    rows = [row for row in found.comparison.rows if row.comparable and not row.ours]
    words = [row.words for row in rows]
    near = sum(each.startswith("the same") for each in words)
    untold = sum(each.startswith("cannot be told") for each in words)
    assert tuple(map(int, said.groups())) == (len(rows), near, len(rows) - near - untold, untold)
    assert untold > 0


def test_an_interval_that_agrees_with_all_agrees_with_none(whole: Analysis) -> None:
    second = verdict_of(subject(with_exponent(whole, Estimate(0.46, -0.25, 0.84))))[1]
    assert "too wide to tell published exponents apart" in second
    assert "within error" not in second


@pytest.mark.parametrize(
    ("method", "doubt"),
    [
        ("isoflop", "2 budgets with a minimum"),
        ("parametric", "runs of 3 corpora together"),
        ("kaplan", "of Kaplan's law"),
    ],
)
def test_the_doubt_is_about_the_exponent_that_is_quoted(method: str, doubt: str) -> None:
    mixed = [Warn("mixed_corpora", "runs of 3 corpora together")] if method == "parametric" else []
    warnings = [
        Warn("no_isoflop" if method == "parametric" else "no_envelope", "0 of 31 budgets have a minimum inside"),
        Warn("failed_resamples", "100 of 400 resamples of Kaplan's law have no optimum"),
        Warn("few_budgets", "2 budgets with a minimum, which are too few"),
        Warn("lack_of_fit", "cells lie off the law by more than noise"),
        *mixed,
    ]
    assert doubt in (main_doubt(warnings, method) or "")


def test_a_law_without_a_minimum_beside_it_is_doubted_where_nothing_else_is() -> None:
    warnings = [Warn("no_isoflop", "0 of 31 budgets have a minimum inside"), Warn("edge_minima", "16 of 31")]
    assert main_doubt(warnings, "parametric") == "0 of 31 budgets have a minimum inside"


def test_budgets_read_off_equal_flops_are_no_doubt_and_guessed_ones_are() -> None:
    table = sweep(HOFFMANN, sizes=7, noise=0.004)
    bare = RunTable(table.frame.drop(columns="budget"))
    jitter = 1 + 0.02 * np.random.default_rng(0).random(len(bare))
    guessed = changed(bare, flops=bare.frame["flops"] * jitter, tokens=bare.frame["tokens"] * jitter)
    assert "main doubt" not in verdict_of(subject(planted(bare)))[1]
    assert "main doubt: no budget column" in verdict_of(subject(planted(guessed)))[1]


def test_an_exponent_on_a_bound_is_none() -> None:
    flat = spread(lambda n, d: 3.0 + 0 * n, noise=0.002, seed=1)
    found = subject(planted(flat, methods=("parametric", "envelope")))
    assert headline_method(found) is None
    first = verdict_of(found)[0]
    assert "show no compute-optimal exponent" in first
    assert "lies on a bound" in first
    assert "C^" not in first


def test_an_exponent_that_most_resamples_lack_is_none() -> None:
    table = spread(lambda n, d: 1.7 + 400 / n**0.34, noise=0.004, seed=11)
    found = subject(planted(table, methods=("parametric",)))
    fit = found.analysis.parametric
    assert fit is not None
    assert fit.resampling is not None
    assert fit.resampling.n_failed > 3
    assert fit.status == "converged"
    first = verdict_of(found)[0]
    assert f"has no optimum in {fit.resampling.n_failed} of 30 resamples" in first
    assert "C^" not in first


def test_the_envelope_of_run_ends_is_called_so() -> None:
    first = verdict_of(subject(planted(spread(HOFFMANN.loss), methods=("envelope",))))[0]
    assert "the envelope of run ends" in first
