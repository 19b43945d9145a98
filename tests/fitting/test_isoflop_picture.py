"""The isoFLOP curves of a real fit: every run is there, in the budget that the fit gave it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import RunTable, fit_isoflop
from isoflop.fitting.errors import InputError
from isoflop.fitting.reporting.pictures.isoflop import isoflop_picture
from isoflop.fitting.reporting.pictures.picture import Line, Picture, Points
from isoflop.fitting.reporting.style import flops_text
from isoflop.fitting.results import MinimumStatus

from .sweeps import HOFFMANN, sweep


def lines(picture: Picture) -> list[Line]:
    return [mark for mark in picture.panels[0].marks if isinstance(mark, Line)]


def named(picture: Picture) -> list[str]:
    """The labels of the runs, as the legend has them."""
    return [mark.label for mark in picture.panels[0].marks if isinstance(mark, Points) and mark.label]


def test_every_run_is_drawn_in_the_budget_that_the_fit_gave_it():
    planned = sweep(HOFFMANN, budgets=np.geomspace(1e18, 1e20, 3), sizes=7).frame.drop(columns="budget")
    chain, lone = sweep(HOFFMANN, budgets=3e21 * 1.05 ** np.arange(20), sizes=1), planned.iloc[:1]
    more = [chain.frame.drop(columns="budget"), lone.assign(flops=1e16), lone.assign(flops=1.3e18)]
    table = RunTable(pd.concat([planned, *more], ignore_index=True))
    fit = fit_isoflop(table, resamples=0, budget_tolerance=0.2)
    picture = isoflop_picture(table, fit)
    points = [m for m in picture.panels[0].marks if isinstance(m, Points) and m.symbol in ("circle", "square")]
    drawn = {mark.label: len(mark.x) for mark in points}
    with_curve = [m for m in fit.minima if m.status is MinimumStatus.INTERIOR]
    assert drawn == {"of budgets without a curve": 22} | {f"{flops_text(m.budget)} FLOPs": m.n_runs for m in with_curve}
    assert [line.label for line in lines(picture)] == [f"{flops_text(m.budget)} FLOPs" for m in with_curve]
    assert "grey dots are the 22 runs of 3 budgets without a curve" in picture.caption
    with pytest.raises(InputError, match=f"the fit has {len(table)}, this table {len(table) - 1}"):
        isoflop_picture(RunTable(table.frame.iloc[1:]), fit)


def test_of_many_budgets_the_legend_names_those_with_a_minimum():
    compute = np.geomspace(1e17, 1e21, 16)
    table = sweep(HOFFMANN, budgets=compute, sizes=7, centre=[1.0] * 9 + [9.0] * 7)
    picture = isoflop_picture(table, fit_isoflop(table, resamples=0))
    assert [name for name in named(picture) if name.endswith("FLOPs")] == [
        f"{flops_text(c)} FLOPs" for c in compute[:9]
    ]
    assert len(lines(picture)) == 16
    assert "the legend names 9 of 16 curves" in picture.caption
