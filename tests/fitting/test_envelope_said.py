"""Approach 1: what is left out or refused is said, and the picture shows it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import FitError, InputError
from isoflop.fitting.estimators.envelope import fit_envelope
from isoflop.fitting.reporting.pictures.envelope import envelope_picture
from isoflop.fitting.reporting.pictures.paper import draw
from isoflop.fitting.reporting.pictures.picture import Line
from isoflop.fitting.results import FitStatus, MinimumStatus

from .envelope_curves import changed, end_points, training_curves
from .sweeps import HOFFMANN, selected


def test_a_decaying_schedule_is_said_and_its_best_length_counts():
    """.05 nats that the decay still has to take off move a by .12: no interval covers that, so it must be said."""
    alone = fit_envelope(training_curves(sizes=14, hot=0.05, beyond=6.0), resamples=0)
    assert alone.decaying_schedule is True
    assert alone.run_fraction < 0.5
    assert alone.params_exponent.value < HOFFMANN.params_exponent - 0.05
    lengths = 2.0 ** -np.arange(0, 9)
    many = fit_envelope(training_curves(sizes=14, hot=0.05, beyond=16.0, lengths=lengths), resamples=0)
    assert many.decaying_schedule is True
    assert many.run_fraction > 0.7  # read where runs end, for there the rate is low
    assert many.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.01)
    assert fit_envelope(training_curves(), resamples=0).decaying_schedule is False


def test_edges_are_counted_and_do_not_shape_the_line():
    """Of sizes that all have seen the same tokens, the largest holds the envelope at the highest compute."""
    fit = fit_envelope(end_points(), resamples=0)
    smallest, largest = 3e7, 3e10
    edges = [point for point in fit.points if point.status is MinimumStatus.EDGE]
    assert len(edges) == fit.n_edge_points > 0
    inside = [point.flops for point in fit.points if point.status is MinimumStatus.INTERIOR]
    assert all(smallest < size < largest for size in fit.params_law(inside))


def test_the_start_of_runs_is_left_out():
    curves = training_curves(sizes=12)
    frame = curves.table.frame
    started = frame["tokens"] < 0.05 * pd.Series(frame.groupby("run")["tokens"].transform("max"))
    spoiled = changed(curves, frame.assign(loss=frame["loss"].where(~started, 11.0)))
    assert fit_envelope(spoiled, resamples=0).params_exponent == fit_envelope(curves, resamples=0).params_exponent


def test_the_hull_leaves_a_bad_run_out():
    curves = training_curves(sizes=12)
    frame = curves.table.frame
    sizes = np.unique(frame["n_params"])
    bad = changed(curves, frame.assign(loss=frame["loss"] + 0.1 * (frame["n_params"] == sizes[6])))
    with_it, without = (fit_envelope(bad, hull=hull, resamples=0) for hull in (False, True))
    assert with_it.n_curves == 12
    assert without.n_curves == 11
    error = abs(without.params_exponent.value - HOFFMANN.params_exponent)
    assert error < 0.01
    assert error < abs(with_it.params_exponent.value - HOFFMANN.params_exponent)
    assert any("11 of 12 curves touch" in note for note in without.notes)


def test_three_sizes_give_a_number_without_an_interval():
    fit = fit_envelope(training_curves(sizes=5, budgets=(1e19, 1e20), beyond=6.0))
    assert fit.n_sizes == 3
    assert fit.status is FitStatus.TOO_FEW
    assert fit.params_exponent.low is None
    assert fit.params_exponent.value == pytest.approx(HOFFMANN.params_exponent, abs=0.01)


@pytest.mark.parametrize("sizes", [1, 2, 4])
def test_too_few_sizes_are_refused(sizes):
    curves = training_curves(sizes=12)
    kept = np.unique(curves.table.frame["n_params"])[:sizes]
    some = changed(curves, selected(curves.table.frame, curves.table.frame["n_params"].isin(list(kept))))
    with pytest.raises(FitError, match="train"):
        fit_envelope(some)


def test_curves_that_share_no_compute_are_refused():
    curves = training_curves(sizes=5, budgets=(1e18, 1e24), beyond=1.0)
    with pytest.raises(FitError, match="never cover one FLOP value by three"):
        fit_envelope(curves)


@pytest.mark.parametrize(
    ("setting", "bound"),
    [
        ({"flop_points": 3}, "flop_points 3 must be 20"),
        ({"smoothing": -0.1}, "smoothing -0.1"),
        ({"smoothing": float("nan")}, "smoothing nan"),
        ({"skip": 1.0}, "skip 1.0"),
        ({"resamples": -1}, "resamples -1"),
        ({"level": 1.0}, "level 1 must lie between 0 and 1"),
    ],
)
def test_bad_settings_are_refused(setting, bound):
    with pytest.raises(InputError, match=bound):
        fit_envelope(training_curves(sizes=5), **setting)


def test_the_figure_shows_curves_envelope_and_line():
    curves = training_curves(sizes=10, points=60, runs=0.003)
    fit = fit_envelope(curves, resamples=50, flop_points=60)
    picture = envelope_picture(curves, fit)
    figure = draw(picture)
    left, right = figure.axes
    thin = [mark for mark in picture.panels[0].marks if isinstance(mark, Line) and mark.width < 1]
    assert len(thin) == curves.fitted["curve"].nunique() == 10
    assert left.get_ylabel() == "loss, nats per token"
    assert right.get_xlabel() == "compute C, FLOPs"
    assert "95 %" in right.get_title()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "envelope" in texts
    assert "N*(C) and 95 % band" in texts
    assert ("left out of the line" in texts) == any(p.status is not MinimumStatus.INTERIOR for p in fit.points)
    with pytest.raises(InputError, match="needs points"):
        envelope_picture(curves, replace(fit, points=()))
