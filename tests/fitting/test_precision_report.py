"""The tables of a plan's precision: what a reader sees of the simulated estimators and budgets."""

import io

import numpy as np
import pytest
from rich.console import Console

from isoflop.fitting.precision import (
    BudgetPrecision,
    ExpectedInterval,
    MethodPrecision,
    NoiseModel,
    Precision,
    Spread,
)
from isoflop.fitting.reporting.precision import expected_text, precision_report


def spread(truth, se, bias=0.0):
    return Spread(truth, truth + bias, se, bias, truth - 2 * se, truth + 2 * se, 200, 0, se / 20, se / 14)


def method(name, answered=200, **changes):
    found = {
        "params_exponent": spread(0.457, 0.028, -0.004),
        "tokens_exponent": spread(0.543, 0.028, 0.004),
        "log_n_params": spread(np.log(1.15e9), np.log(1.32), np.log(0.9)),
        "log_tokens": spread(np.log(2.3e10), np.log(1.31)),
        "interval": ExpectedInterval(0.061, 0.95, 1.0, 0.94, 200),
    }
    return MethodPrecision(name, 200, answered, **(found | changes))


NONE = dict.fromkeys(("params_exponent", "tokens_exponent", "log_n_params", "log_tokens", "interval"))


def precision(*methods, interior=1.0):
    budgets = tuple(
        BudgetPrecision(budget, 12, 6, share, 1 - share, 0.0, spread(20.0, 0.11), 5.0, np.log(0.8))
        for budget, share in ((1e18, interior), (1e19, 1.0))
    )
    return Precision(1e21, NoiseModel.constant(0.01), methods, budgets, (), 0)


def printed(found):
    out = io.StringIO()
    console = Console(file=out, width=100)
    for item in precision_report(found, ["Prior: a law."]):
        console.print(item)
    return out.getvalue()


def test_the_first_words_are_each_methods_exponent_with_its_standard_error():
    text = expected_text(precision(method("isoflop"), method("parametric"), method("kaplan", 0, **NONE)))
    assert text == "expected a = .453 +- .028 (isoflop, 1 SE), .453 +- .028 (parametric)"
    assert expected_text(precision(method("kaplan", 0, **NONE))) == "no estimator has an answer on this grid"


def test_a_row_has_error_bias_interval_optimum_and_the_share_without_an_answer():
    out = printed(precision(method("isoflop", answered=190), method("kaplan", interval=None)))
    (exponents, optimum) = (line.split() for line in out.splitlines() if line.startswith(" isoflop"))
    assert exponents == ["isoflop", ".457", ".028", "-.004", "+-.061", "94%", ".543", ".028", "+.004", "190/200"]
    assert optimum == ["isoflop", "1.15B", "x1.32", "x0.9", "23B", "x1.31", "x1"]
    assert "Expected optimum at 1e21 FLOPs" in out
    assert "Prior: a law." in out
    assert next(line for line in out.splitlines() if line.startswith(" kaplan")).split()[4:6] == ["-", "-"]
    assert not any(line.rstrip().endswith("…") for line in out.splitlines())


@pytest.mark.parametrize(("interior", "shown"), [(1.0, False), (0.95, False), (0.6, True)])
def test_budgets_are_shown_where_one_is_not_bracketed(interior, shown):
    out = printed(precision(method("isoflop"), interior=interior))
    assert ("where the minimum lies" in out) == shown
    if shown:
        row = next(line.split() for line in out.splitlines() if line.split()[:1] == ["1e18"])
        assert row == ["1e18", "6", "12", "60%", "40%", "0%", "0.110", "x0.8"]


def test_a_method_without_any_answer_is_a_row_of_dashes():
    out = printed(precision(method("envelope", 0, **NONE)))
    row = next(line.split() for line in out.splitlines() if line.startswith(" envelope"))
    assert row == ["envelope", *["-"] * 8, "0/200"]
