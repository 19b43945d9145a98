"""What the pictures of a fit show: the law's own numbers, on axes that hold them, and only what is there."""

from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from isoflop.fitting import RunTable
from isoflop.fitting.analysis import Analysis, Options, analyse
from isoflop.fitting.comparison.published_rows import Comparison, compare_with_published
from isoflop.fitting.curves import curves_of
from isoflop.fitting.errors import FitError, InputError
from isoflop.fitting.reporting.pictures.compute import compute_picture
from isoflop.fitting.reporting.pictures.every import pictures_of
from isoflop.fitting.reporting.pictures.holdout import holdout_picture
from isoflop.fitting.reporting.pictures.picture import Band, Field, Line, Mark, Panel, Picture, Points, Rule
from isoflop.fitting.reporting.pictures.profile import profile_picture
from isoflop.fitting.reporting.pictures.residuals import residuals_picture
from isoflop.fitting.reporting.pictures.sizes import size_classes
from isoflop.fitting.reporting.pictures.surface import surface_picture
from isoflop.fitting.reporting.pictures.training_curves import training_curves_picture

from .sweeps import HOFFMANN, changed, reference_data, sweep

Kind = TypeVar("Kind", bound=Mark)


def of_kind(panel: Panel, kind: type[Kind], label: str = "") -> list[Kind]:
    return [mark for mark in panel.marks if isinstance(mark, kind) and label in getattr(mark, "label", "")]


def quick(table: RunTable, method: str, resamples: int = 0, **options: Any) -> Analysis:
    """One method's fit of `table` alone."""
    words: dict[str, Any] = {"by_convention": False, "holdout": False, "resamples": resamples, **options}
    return analyse(table, Options(methods=(method,), **words))


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """Five budgets of nine sizes of a known law, with a little noise."""
    table = sweep(HOFFMANN, sizes=9, noise=0.004, seed=1)
    return analyse(changed(table, run=[f"run-{i}" for i in range(len(table))], seed=3), Options(resamples=200))


def test_residuals_of_the_right_law_are_level_and_a_bent_one_shows(analysis):
    for panel in residuals_picture(analysis).panels:
        (line,) = of_kind(panel, Line)
        assert np.abs(line.y).max() < 0.004
    frame = analysis.table.fitted
    middle = np.log(frame["flops"]) - np.log(frame["flops"]).mean()
    bent = changed(analysis.table, loss=frame["loss"] * (1 + 0.004 * middle**2))
    left = residuals_picture(quick(bent, "parametric")).panels[0]
    (line,) = of_kind(left, Line)
    assert line.y[[0, -1]].mean() > line.y[2] + 0.01


def test_residuals_name_each_run_and_hide_none(analysis):
    losses = analysis.table.frame["loss"].to_numpy().copy()
    losses[3] *= 3.0
    flags = np.where(np.arange(len(losses)) == 7, "diverged", "")
    told = quick(changed(analysis.table, loss=losses, flag=flags), "parametric")
    picture = residuals_picture(told)
    assert "1 more is left out" in picture.caption
    assert picture.notes == ("fitted runs beyond the vertical range, drawn at its edge: 1",)
    for panel in picture.panels:
        points = of_kind(panel, Points)
        assert sum(len(mark.x) for mark in points) == len(told.table)
        (crossed,) = [mark for mark in points if mark.symbol == "cross"]
        assert crossed.label == "left out (1)"
        assert "run-7" in crossed.hover[0]
        assert "diverged" in crossed.hover[0]
        (far,) = of_kind(panel, Points, "beyond the range")
        assert far.axis_edge
        assert panel.y.limits is not None
        assert far.y[0] == panel.y.limits[1]
        assert "run-3" in far.hover[0]
        (text,) = [text for mark in points for text in mark.hover if text.startswith("run-0\n")]
        assert "seed 3" in text
        assert "measured over predicted" in text


def test_the_noise_is_the_one_that_approach_2_measured(analysis):
    noise = analysis.isoflop.noise
    (band,) = of_kind(residuals_picture(analysis).panels[0], Band)
    expected = np.hypot(noise.sigma, noise.between_cells) / analysis.table.fitted["loss"].median()
    np.testing.assert_allclose(band.high, expected)


def test_the_surface_is_the_law_and_its_frontier_the_law_s_optimum(analysis):
    (panel,) = surface_picture(analysis).panels
    law = analysis.parametric.law
    (field,), (frontier,), (runs,) = of_kind(panel, Field), of_kind(panel, Line), of_kind(panel, Points)
    i, j = 11, 42
    assert field.z[i, j] == pytest.approx(law.loss(field.x[j], field.y[i] / 6 / field.x[j]))
    inside = np.isfinite(frontier.x)
    np.testing.assert_allclose(frontier.x[inside], law.optimum(frontier.y[inside])[0])
    frame = analysis.table.fitted
    np.testing.assert_allclose(runs.y, 6 * frame["n_params"] * frame["tokens"])
    # At each budget the least of the map lies on the frontier.
    assert field.x[field.z[i].argmin()] == pytest.approx(float(law.optimum(field.y[i])[0]), rel=0.15)


def test_the_profile_s_region_holds_the_truth_and_the_optimum(analysis):
    picture = profile_picture(analysis)
    (panel,) = picture.panels
    (field,), (fit,) = of_kind(panel, Field), of_kind(panel, Points, "this fit")
    rise = RegularGridInterpolator((field.y, field.x), field.z)
    assert field.lines == (analysis.profile.threshold,)
    assert rise([[HOFFMANN.beta, HOFFMANN.alpha]])[0] < field.lines[0]
    law = analysis.parametric.law
    assert (fit.x[0], fit.y[0]) == (law.alpha, law.beta)
    assert rise([[law.beta, law.alpha]])[0] < 0.1 * field.lines[0]
    (line,) = of_kind(panel, Line, "a = beta/(alpha + beta)")
    np.testing.assert_allclose(line.y / (line.x + line.y), law.params_exponent)
    assert "joint 95 % region" in picture.caption


@pytest.mark.parametrize(
    ("n_params", "shown"),
    [
        ("n_params", ["this fit", "Chinchilla, approach 3"]),
        ("n_params_non_embedding", ["this fit"]),
    ],
)
def test_published_exponents_stand_beside_those_that_count_n_alike(n_params, shown):
    table = sweep(HOFFMANN, sizes=9, noise=0.08, seed=1)
    table = changed(table, n_params_non_embedding=table.frame["n_params"])
    (panel,) = profile_picture(quick(table, "parametric", 100, n_params=n_params)).panels
    assert [mark.label for mark in of_kind(panel, Points)] == shown


def test_least_loss_of_compute_is_the_law_s_and_goes_on_dashed(analysis):
    picture = compute_picture(analysis)
    (panel,) = picture.panels
    law = analysis.parametric.law
    inside, beyond = of_kind(panel, Line)
    for line in (inside, beyond):
        np.testing.assert_allclose(line.y, law.loss(*law.optimum(line.x)))
    (runs, minima), (band,) = of_kind(panel, Points), of_kind(panel, Band)
    assert inside.x[-1] == pytest.approx(runs.x.max())
    assert beyond.x[-1] == pytest.approx(10 * runs.x.max())
    assert (inside.dash, beyond.dash) == ("solid", "dash")
    line = np.interp(np.log(band.x), np.log([*inside.x, *beyond.x[1:]]), [*inside.y, *beyond.y[1:]])
    assert ((band.low <= line) & (line <= band.high)).all()
    found = analysis.isoflop.minima
    np.testing.assert_allclose(minima.x, [6 * m.n_params * m.tokens for m in found])
    np.testing.assert_allclose(minima.y, [m.loss for m in found])
    assert not of_kind(panel, Rule)  # E lies far below


def test_a_flat_law_shows_its_asymptote_and_one_without_resamples_no_band():
    table = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e27, 6), sizes=7)
    (panel,) = compute_picture(quick(table, "parametric")).panels
    (rule,) = of_kind(panel, Rule)
    assert rule.at == pytest.approx(HOFFMANN.E, abs=1e-3)
    assert not of_kind(panel, Band)


@pytest.mark.parametrize(("method", "axis"), [("saturating", "compute C, FLOPs"), ("kaplan", "compute C, FLOPs (6ND)")])
def test_other_laws_have_a_least_loss_too(analysis, method, axis):
    found = quick(analysis.table, method)
    (picture,) = pictures_of(found)
    assert picture.name == "compute"
    assert picture.panels[0].x.label == axis
    assert "no band" in picture.caption


def test_the_holdout_s_numbers_are_the_analysis_s(analysis):
    held = analysis.holdout
    left, right = holdout_picture(analysis).panels
    measured, chinchilla = of_kind(left, Points, "measured")[0], of_kind(left, Points, "Chinchilla")[0]
    runs = sorted(held.runs, key=lambda run: run.n_params)
    assert measured.y.tolist() == [run.loss for run in runs]
    assert chinchilla.y.tolist() == [run.predicted["chinchilla"] for run in runs]
    assert [text.split("\n")[0] for text in measured.hover] == [run.run for run in runs]
    errors = of_kind(right, Points, "Kaplan")[0]
    assert errors.y.tolist() == [each.rms_error for each in held.each["kaplan"]]
    assert of_kind(right, Rule)[0].at == held.budget


def checkpoints(decaying: str = "cooled") -> RunTable:
    """Forty checkpoints of each of eleven sizes, every run of them a curve."""
    n = np.repeat(np.geomspace(1e7, 1e9, 11), 40)
    d = np.tile(np.geomspace(1e8, 1e11, 40), 11)
    frame = pd.DataFrame({"n_params": n, "tokens": d, "loss": HOFFMANN.loss(n, d), "phase": decaying})
    return RunTable(frame.assign(run=[f"size {value:.3g}" for value in n]))


def test_training_curves_have_their_least_beneath_and_say_when_it_is_biased():
    picture = training_curves_picture(curves_of(checkpoints()))
    *lines, envelope = of_kind(picture.panels[0], Line)
    assert len(lines) == 11
    assert envelope.dash == "dash"
    assert "biased" in picture.caption
    law, middle = HOFFMANN, slice(50, -30)
    np.testing.assert_allclose(envelope.y[middle], law.loss(*law.optimum(envelope.x[middle])), rtol=0.01)
    for line in lines:
        least = np.interp(np.log(line.x), np.log(envelope.x), envelope.y)
        assert (line.y >= least - 1e-9).all()
    hot = training_curves_picture(curves_of(checkpoints("hot")))
    assert of_kind(hot.panels[0], Line)[-1].dash == "solid"
    assert "biased" not in hot.caption


def test_two_training_curves_are_drawn_without_a_least():
    table = checkpoints()
    picture = training_curves_picture(curves_of(RunTable(table.frame.iloc[:80])))
    assert len(of_kind(picture.panels[0], Line)) == 2
    assert "no envelope is drawn" in picture.notes[0]


def test_many_sizes_share_a_few_colours_and_few_have_their_own():
    few = size_classes([1e6, 1.001e6, 5e6])
    assert few.of.tolist() == [0, 0, 1]
    assert few.labels == ("N = 1M", "N = 5M")
    many = size_classes(np.geomspace(1e6, 1e9, 30))
    assert len(many.labels) == len(set(many.colors)) == 7
    assert (np.diff(many.of) >= 0).all()


def names(pictures: tuple[Picture, ...]) -> list[str]:
    return [picture.name for picture in pictures]


def test_every_picture_that_is_there_in_the_report_s_order(analysis):
    comparison = compare_with_published(analysis.to_json())
    found = pictures_of(analysis, curves_of(checkpoints()), comparison)
    assert names(found) == [
        *("isoflop_curves", "allocation", "compute", "envelope", "training_curves", "surface", "residuals"),
        *("exponent_profile", "forest", "holdout"),
    ]
    assert all(picture.caption.endswith(".") and picture.title for picture in found)


def test_what_is_not_there_is_left_out(analysis):
    tied = quick(analysis.table, "parametric", tied=True)
    assert names(pictures_of(tied)) == ["compute", "surface", "residuals"]
    with pytest.raises(InputError, match="approach 3"):
        surface_picture(quick(analysis.table, "isoflop"))
    one = RunTable(analysis.table.frame.iloc[:9])
    alone = quick(one, "parametric")
    assert names(pictures_of(alone, None, Comparison((), ()))) == ["compute", "surface", "residuals"]
    flat = quick(changed(analysis.table, loss=2.0), "parametric", 20)
    assert names(pictures_of(flat)) == ["surface", "residuals"]  # a law without an optimum


def test_a_fitted_envelope_is_not_shown_twice():
    table = checkpoints("hot")
    found = quick(table, "envelope")
    assert names(pictures_of(found, curves_of(table))) == ["envelope"]
    assert names(pictures_of(found, curves_of(checkpoints()))) == ["envelope"]
    other = curves_of(RunTable(table.frame.iloc[:-1]))
    assert names(pictures_of(found, other)) == ["envelope", "training_curves"]


@settings(max_examples=8, deadline=None)
@given(
    sizes=st.integers(2, 6),
    budgets=st.integers(1, 4),
    low=st.floats(12, 24),
    noise=st.sampled_from([0.0, 0.01, 0.5]),
    wrong=st.sampled_from([np.nan, -1.0, np.inf, 1e9]),
)
def test_pictures_are_finite_inside_their_limits(sizes, budgets, low, noise, wrong):
    compute = 10.0 ** np.linspace(low, low + 3, budgets)
    table = sweep(HOFFMANN, budgets=compute, sizes=sizes + 2, noise=noise)
    losses = np.abs(table.frame["loss"].to_numpy())
    losses[0] = wrong
    try:
        found = quick(changed(table, loss=losses), "parametric")
    except (FitError, InputError):  # tables without an answer are other tests' matter
        return
    for picture in pictures_of(found):
        for panel in picture.panels:
            for axis in (panel.x, panel.y):
                assert axis.limits is None or (np.isfinite(axis.limits).all() and axis.limits[0] < axis.limits[1])
            for mark in of_kind(panel, Points):
                assert np.isfinite([mark.x, mark.y]).all()
                assert len(mark.hover) in (0, len(mark.x))
            for mark in of_kind(panel, Field):
                assert np.isfinite(mark.z).all()
                assert mark.levels is None or (np.diff(mark.levels) > 0).all()


def test_chinchilla_s_own_runs_show_besiroglu_s_refit():
    table = RunTable(reference_data("epoch_chinchilla.csv"))
    found = quick(table, "parametric", 50)
    assert names(pictures_of(found)) == ["compute", "surface", "residuals", "exponent_profile"]
    (panel,) = profile_picture(found).panels
    assert of_kind(panel, Points, "Besiroglu")
