"""The two sentences that people quote: right for every combination of fits, never more than the numbers carry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isoflop.fitting import Analysis, RunTable
from isoflop.fitting.diagnostics import Fits, Warn
from isoflop.fitting.reporting.report.verdict import verdict_of
from isoflop.fitting.reporting.report.warnings import main_doubt, worst_first
from isoflop.fitting.reporting.style import exponent_number

from .report_subjects import planted, subject
from .sweeps import ASYMMETRIC, HOFFMANN, SYMMETRIC, interval, sweep


@pytest.fixture(scope="module")
def whole() -> Analysis:
    return planted()


def test_the_finding_is_the_isoflop_fit_with_its_interval_range_and_conventions(whole: Analysis) -> None:
    first, second = verdict_of(subject(whole))
    assert whole.isoflop is not None
    a = whole.isoflop.params_exponent
    low, high = interval(a)
    assert low < HOFFMANN.params_exponent < high
    assert f"C^{exponent_number(a.value)} [{exponent_number(low)}, {exponent_number(high)}]" in first
    assert first.startswith("Over 1e17 to 1e21 FLOPs (all 5 budgets)")
    assert "(95 %, isoFLOP minima, N total, C 6ND)" in first
    ratio = float(whole.isoflop.tokens_law(1e21) / whole.isoflop.params_law(1e21))
    assert float(first.split(": ")[1].split(" ")[0]) == pytest.approx(ratio, rel=0.05)
    assert second.startswith("Approach 3 agrees (")
    assert "published" in second


def test_budgets_without_a_minimum_shorten_the_range_that_is_claimed() -> None:
    centre = [1.0, 1.0, 1.0, 1.0, 30.0]  # of the largest budget only sizes far too large
    table = sweep(HOFFMANN, sizes=7, noise=0.002, centre=centre)
    first, second = verdict_of(subject(planted(table)))
    assert first.startswith("Over 1e17 to 1e20 FLOPs (4 of 5 budgets)")
    assert "the main doubt: 1 of 5 budgets show no minimum inside their sizes" in second


def test_too_few_budgets_have_no_interval_and_no_agreement() -> None:
    table = sweep(HOFFMANN, budgets=[1e18, 1e19, 1e20], sizes=7, noise=0.002)
    first, second = verdict_of(subject(planted(table, resamples=0)))
    assert "[" not in first.partition(":")[0]
    assert "without an interval: no resamples were asked for" in first
    assert "cannot be told without both intervals" in second


def test_without_a_minimum_the_law_speaks_for_itself() -> None:
    table = sweep(HOFFMANN, sizes=9, noise=0.002)
    scattered = RunTable(table.frame.drop(columns="budget").assign(flops=table.frame["flops"]))
    first, second = verdict_of(subject(planted(scattered, methods=("parametric",))))
    assert "the fitted law L(N, D)" in first
    assert "isoFLOP" not in first
    assert "no other approach was fitted to hold against it" in second[0].lower() + second[1:]


def test_an_imposed_exponent_is_no_finding() -> None:
    first, *_ = verdict_of(subject(planted(methods=("parametric",), tied=True)))
    assert "an assumption and not a finding" in first
    both = verdict_of(subject(planted(tied=True)))
    assert "cannot confirm it" in both[1]


def test_laws_of_one_resource_claim_no_split() -> None:
    first, *_ = verdict_of(subject(planted(sweep(SYMMETRIC, sizes=7), methods=("saturating",))))
    assert "the saturating law alone" in first
    assert "C^" not in first


def test_no_fit_at_all_is_said(whole: Analysis) -> None:
    nothing = Analysis(whole.table, whole.options, Fits(), warnings=(Warn("no_isoflop", "one budget has no exponent"),))
    first, second = verdict_of(subject(nothing))
    assert first == "These 35 runs from 1e17 to 1e21 FLOPs show no compute-optimal exponent: no fit has an answer."
    assert second == "The main doubt: one budget has no exponent."


def test_approaches_that_exclude_each_other_disagree(whole: Analysis) -> None:
    other = planted(sweep(ASYMMETRIC, sizes=7, noise=0.002), methods=("parametric",))
    fits = replace(whole.fits, parametric=other.parametric)
    second = verdict_of(subject(replace(whole, fits=fits)))[1]
    assert second.startswith("Approach 3 disagrees (")


@pytest.mark.parametrize(
    ("text", "head"),
    [
        (
            "16 of 23 budgets show no minimum inside their sizes: 1e18; train more",
            "16 of 23 budgets show no minimum inside their sizes",
        ),
        (
            "0 of 31 budgets have a minimum inside them (3e15: edge, 4e15: edge); add sizes",
            "0 of 31 budgets have a minimum inside them",
        ),
    ],
)
def test_the_main_doubt_leaves_the_remedy_to_the_warnings(text: str, head: str) -> None:
    mild = Warn("vague_coefficients", "never A and B alone")
    assert main_doubt([mild, Warn("edge_minima", text)]) == head
    assert main_doubt([mild]) is None


def test_warnings_come_worst_first() -> None:
    codes = ("vague_coefficients", "clustered_budgets", "something_new", "edge_minima", "no_isoflop", "mixed_corpus")
    found = [warning.code for warning in worst_first([Warn(code, "") for code in codes])]
    assert found == [
        "no_isoflop",
        "mixed_corpus",
        "edge_minima",
        "clustered_budgets",
        "something_new",
        "vague_coefficients",
    ]


def test_what_is_mild_elsewhere_is_the_doubt_about_the_exponent_that_it_bends() -> None:
    found = [
        Warn("influential_runs", "one run decides most of it all"),
        Warn("decaying_envelope", "read too early in runs"),
    ]
    assert main_doubt(found, "envelope") == "read too early in runs"
    assert main_doubt(found, "parametric") == "one run decides most of it all"
