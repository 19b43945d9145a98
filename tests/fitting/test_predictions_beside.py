"""What our fits and published laws say of a budget, side by side, and what ten times the compute buys."""

import numpy as np
import pytest

from isoflop.fitting import Options, analyse
from isoflop.fitting.comparison.predictions import Prediction, predictions, tenfold
from isoflop.fitting.comparison.published_rows import compare_with_published
from isoflop.fitting.comparison.rows import Exponent
from isoflop.fitting.errors import InputError
from isoflop.fitting.reporting.comparison import predictions_table, tenfold_table
from isoflop.fitting.reporting.pictures.forest import forest_picture
from isoflop.fitting.reporting.pictures.picture import Points
from isoflop.fitting.results import Estimate

from .sweeps import HOFFMANN, sweep


@pytest.fixture(scope="module")
def report():
    table = sweep(HOFFMANN, sizes=7, noise=0.003)
    methods = ("isoflop", "parametric")
    return analyse(table, Options(methods=methods, resamples=120, holdout=False, by_convention=False)).to_json()


def ends(found: Estimate | Exponent | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def value(found: Estimate | Exponent | None) -> float:
    assert found is not None
    return found.value


def by_name(rows: tuple[Prediction, ...], flops: float) -> dict[str, Prediction]:
    return {row.name: row for row in rows if row.at_flops == flops}


def test_ours_and_published_laws_at_the_same_budgets(report) -> None:
    rows = predictions(report, "runs", [1e20, 1e24])
    assert len(by_name(rows, 1e20)) == len(by_name(rows, 1e24)) == len(rows) / 2
    ours, theirs = by_name(rows, 1e24)["runs, parametric"], by_name(rows, 1e24)["published:besiroglu"]
    low, high = ends(ours.n_params)
    assert low < HOFFMANN.optimum(1e24)[0] < high
    low, high = ends(ours.loss)
    assert low < HOFFMANN.loss(*HOFFMANN.optimum(1e24)) < high
    assert ours.beyond == pytest.approx(3)
    assert value(theirs.n_params) == pytest.approx(1e24 / 6 / value(theirs.tokens))
    assert theirs.n_params is not None
    assert theirs.n_params.low is None


def test_a_law_says_only_what_it_says(report) -> None:
    rows = by_name(predictions(report, "runs", [1e20]), 1e20)
    assert rows["published:hoffmann_approach2"].loss is None
    assert value(rows["published:kaplan"].loss) == pytest.approx((2.6784e28 / 1e20) ** 0.05)
    # What DeepSeek calls the scale counts FLOPs: tokens over it are no tokens per parameter.
    assert rows["published:deepseek"].tokens_per_param is None
    assert rows["published:porian_kaplan_setting"].tokens is None
    assert "published:nanochat" not in rows  # its exponents only


def test_ten_times_the_compute(report) -> None:
    rows = {row.name: row for row in tenfold(report)}
    # arXiv:2203.15556, section 3.4: equal proportions, 10^.5 each; arXiv:2001.08361: 10^.73 and 10^.27.
    assert value(rows["hoffmann_approach1"].params_factor) == pytest.approx(3.16, abs=0.01)
    assert value(rows["hoffmann_approach1"].tokens_factor) == pytest.approx(3.16, abs=0.01)
    assert value(rows["kaplan"].params_factor) == pytest.approx(5.4, abs=0.05)
    assert value(rows["kaplan"].tokens_factor) == pytest.approx(1.9, abs=0.05)
    low, high = ends(rows["isoflop"].params_factor)
    assert low < 10**HOFFMANN.params_exponent < high


@pytest.mark.parametrize("flops", [0.0, -1e21, float("inf"), float("nan")])
def test_a_budget_that_is_none_is_refused(report, flops: float) -> None:
    with pytest.raises(InputError, match=r"--flops .*: must be a positive number of FLOPs$"):
        predictions(report, "runs", [flops])


def test_every_law_has_a_line_in_its_table(report) -> None:
    rows = predictions(report, "runs", [1e21], every=True)
    assert predictions_table(rows).row_count == len(rows) + 1
    assert tenfold_table(tenfold(report)).row_count == len(tenfold(report))


def test_the_forest_has_a_point_for_each_exponent_and_a_line_for_each_interval(report) -> None:
    comparison = compare_with_published(report)
    (panel,) = forest_picture(comparison).panels
    points = [mark for mark in panel.marks if isinstance(mark, Points)]
    drawn = {panel.y.names[int(row)]: value for mark in points for row, value in zip(mark.y, mark.x, strict=True)}
    shown = [(row, row.params_exponent) for row in comparison.rows if row.params_exponent]
    assert sorted(drawn.values()) == sorted(exponent.value for _, exponent in shown)
    assert drawn["Chinchilla, approach 2 (C Hoffmann, 80 %)"] == 0.49
    bars = [low for mark in points if mark.low is not None for low in mark.low if np.isfinite(low)]
    assert sorted(bars) == sorted(exponent.low for _, exponent in shown if exponent.low is not None)
    faint = {panel.y.names[row].split(" (C ")[0] for row in panel.y.faint}
    assert faint == {row.label + " †" * row.doubtful for row, _ in shown if not row.comparable and not row.ours}
    headings = [panel.y.names[row] for row in sorted(panel.y.strong)]
    assert headings[0] == "N: total"
    assert not set(headings) & set(drawn)
