"""What the pictures of approach 2 show and say, drawn for print."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.fitting.errors import InputError
from isoflop.fitting.laws import ChinchillaLaw
from isoflop.fitting.reporting.pictures.allocation import allocation_picture
from isoflop.fitting.reporting.pictures.curves import budget_curve
from isoflop.fitting.reporting.pictures.isoflop import isoflop_picture
from isoflop.fitting.reporting.pictures.paper import draw
from isoflop.fitting.reporting.pictures.picture import Band, Line, Picture, Points
from isoflop.fitting.reporting.style import GREY
from isoflop.fitting.results import Estimate, FitStatus, IsoflopFit, Minimum, MinimumStatus
from isoflop.fitting.runs import RunTable

LAW = ChinchillaLaw(E=0.6, A=300.0, B=60.0, alpha=0.62, beta=0.33)
BUDGETS = (2e10, 4e10, 8e10, 1.6e11, 3.2e11)


def sweep(resamples: bool = True, minimum: str = "parabola") -> tuple[RunTable, IsoflopFit]:
    """Six sizes a budget, two seeds, no noise; the largest budget's minimum lies at an edge."""
    rows, minima = [], []
    for budget in BUDGETS:
        best, tokens = (float(value) for value in LAW.optimum(budget))
        edge = budget == BUDGETS[-1]
        for n in np.geomspace(best * (1.05 if edge else 0.45), best * 2.2, 6):
            rows += [(n, budget / 6 / n, float(LAW.loss(n, budget / 6 / n)), budget, seed) for seed in (0, 1)]
        head = (budget, budget, 12, MinimumStatus.EDGE if edge else MinimumStatus.INTERIOR)
        loss = float(LAW.loss(best, tokens))
        minima.append(Minimum(*head) if edge else Minimum(*head, best, tokens, loss, log_n_params_se=0.05))
    table = RunTable(pd.DataFrame(rows, columns=["n_params", "tokens", "loss", "budget", "seed"]))
    n_law, d_law = LAW.params_law(), LAW.tokens_law()
    wobble = np.linspace(-0.04, 0.04, 41)
    middle = float(np.log(BUDGETS).mean())
    draws = np.column_stack(
        [
            np.log(n_law.coefficient) - wobble * middle,
            n_law.exponent + wobble,
            np.log(d_law.coefficient) + wobble * middle,
            d_law.exponent - wobble,
        ]
    )
    exponents = [
        Estimate(law.exponent, law.exponent - 0.04, law.exponent + 0.04) if resamples else Estimate(law.exponent)
        for law in (n_law, d_law)
    ]
    fit = IsoflopFit(
        status=FitStatus.CONVERGED,
        minimum=minimum,
        window=0.1,
        minima=tuple(minima),
        params_law=n_law,
        tokens_law=d_law,
        params_exponent=exponents[0],
        tokens_exponent=exponents[1],
        resamples=draws if resamples else None,
    )
    return table, fit


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def with_rows(table: RunTable, rows: list[tuple[float, float, float, str]]) -> RunTable:
    """`table` and runs left out: (n_params, loss, budget, flag)."""
    more = pd.DataFrame(rows, columns=["n_params", "loss", "budget", "flag"]).assign(tokens=1e6, run="extra")
    more["flops"] = more["budget"]
    return RunTable(pd.concat([table.frame, more], ignore_index=True))


def marks(picture: Picture, symbol: str) -> list[Points]:
    return [mark for mark in picture.panels[0].marks if isinstance(mark, Points) and mark.symbol == symbol]


def test_the_isoflop_picture_says_what_its_axes_and_marks_are():
    figure = draw(isoflop_picture(*sweep()))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "parameters N (total, embeddings included)"
    assert axes.get_ylabel() == "validation loss, nats per token"
    assert legend(figure) == [
        *("2e10 FLOPs", "4e10 FLOPs", "8e10 FLOPs", "1.6e11 FLOPs", "3.2e11 FLOPs"),
        *("minimum, ±1 SE", "no interior minimum"),
    ]


def test_the_other_counts_of_n_are_named():
    picture = isoflop_picture(*sweep(), "n_params_non_embedding")
    assert picture.panels[0].x.label == "parameters N (without embeddings)"
    assert "N (without embeddings)" in picture.caption


def test_a_refused_minimum_is_hollow_at_the_lowest_loss():
    table, fit = sweep()
    (hollow,) = [mark for mark in marks(isoflop_picture(table, fit), "diamond") if mark.hollow]
    runs = table.frame[["n_params", "loss", "budget"]].to_numpy()
    last = runs[runs[:, 2] == BUDGETS[-1]]
    assert (hollow.x[0], hollow.y[0]) == tuple(last[last[:, 1].argmin(), :2])


def test_a_minimum_has_a_bar_of_one_standard_error():
    table, fit = sweep()
    first = marks(isoflop_picture(table, fit), "diamond")[0]
    best = float(LAW.optimum(BUDGETS[0])[0])
    assert first.low is not None
    assert first.high is not None
    assert [first.low[0], first.x[0], first.high[0]] == pytest.approx(best * np.exp([-0.05, 0, 0.05]))


def test_runs_left_out_are_crosses_and_shape_nothing():
    table, fit = sweep()
    out = [(2e4, 50.0, 2e10, "diverged"), (2e4, 2.2, 2e10, "by hand"), (2e4, np.nan, 2e10, "loss is nan")]
    limits = isoflop_picture(table, fit).panels[0].y.limits
    picture = isoflop_picture(with_rows(table, out), fit)
    assert limits is not None
    assert picture.panels[0].y.limits == limits
    (crosses,) = marks(picture, "cross")
    # The diverged run sits on the top edge, the other where it is, the one without a loss nowhere.
    assert crosses.y.tolist() == pytest.approx([limits[1], 2.2])
    assert "left out (3)" in legend(draw(picture))
    assert "flag: diverged" in crosses.hover[0]


def test_runs_fitted_despite_their_flag_are_not_drawn_as_left_out():
    table, fit = sweep()
    flagged = with_rows(table, [(2e4, 2.2, 2e10, "diverged")])
    kept = RunTable(flagged.frame, keep_flagged=True)
    assert marks(isoflop_picture(flagged, fit), "cross")
    assert not marks(isoflop_picture(kept, fit), "cross")


def test_left_out_runs_below_the_figure_lie_on_its_edge_and_grey_without_a_budget():
    table, fit = sweep()
    picture = isoflop_picture(with_rows(table, [(5e4, 0.1, 1e14, "too good to be true")]), fit)
    (cross,) = marks(picture, "cross")
    assert picture.panels[0].y.limits is not None
    assert cross.y.tolist() == [picture.panels[0].y.limits[0]]
    assert cross.color == GREY


def test_fitted_runs_far_above_every_curve_lie_on_the_edge_and_keep_their_loss_in_words():
    table, fit = sweep()
    picture = isoflop_picture(with_rows(table, [(4e5, 40.0, 2e10, "")]), fit)
    (beyond,) = marks(picture, "triangle")
    limits = picture.panels[0].y.limits
    assert limits is not None
    assert limits[1] < 10
    assert beyond.y.tolist() == [limits[1]]
    assert "loss 40.0000" in beyond.hover[0]
    assert "beyond the range" in legend(draw(picture))


def test_runs_without_a_planned_budget_are_placed_by_their_flops():
    table, fit = sweep()
    by_flops = RunTable(table.frame.drop(columns="budget").assign(flops=table.frame["budget"] * 1.03))
    drawn = [len(isoflop_picture(each, fit).panels[0].marks) for each in (table, by_flops)]
    assert drawn[0] == drawn[1]


def test_no_budget_no_picture():
    table, fit = sweep()
    with pytest.raises(InputError, match="at least one budget"):
        isoflop_picture(table, IsoflopFit(**{**vars(fit), "minima": ()}))


def test_neighbouring_budgets_differ_without_their_colours_and_shared_marks_are_grey_in_the_legend():
    picture = isoflop_picture(*sweep())
    of_budgets = [m for m in picture.panels[0].marks if isinstance(m, Points) and m.label.endswith("FLOPs")]
    assert all(one.symbol != other.symbol for one, other in itertools.pairwise(of_budgets))
    (box,) = draw(picture).legends
    handles = dict(zip([text.get_text() for text in box.get_texts()], box.legend_handles, strict=True))
    diamond = handles["minimum, ±1 SE"]
    assert isinstance(diamond, Line2D)
    assert diamond.get_markerfacecolor() == GREY


@pytest.mark.parametrize("window", [0.1, 0.001, None])
def test_the_parabola_is_drawn_through_the_runs_of_the_window(window):
    x = np.log(1e6) + np.linspace(-2, 2, 9)
    loss = 3 + 0.1 * (x - np.log(1e6)) ** 2
    minimum = Minimum(1e18, 1e18, 9, MinimumStatus.INTERIOR, 1e6, 1e9, 3.0)
    curve = budget_curve(np.exp(x), loss, minimum, "parabola", window)
    assert curve is not None
    n_params, drawn = curve
    assert drawn == pytest.approx(3 + 0.1 * (np.log(n_params) - np.log(1e6)) ** 2)
    # However narrow the window, the curve spans the four sizes nearest to the minimum.
    inside = loss <= 3 * (1 + window) if window else np.full(9, window is None)
    assert n_params[-1] >= np.exp(x[5])
    if inside.sum() > 4:
        assert n_params[[0, -1]] == pytest.approx(np.exp(x[inside][[0, -1]]))


def test_the_spline_passes_through_the_mean_of_replicates():
    n_params = np.array([1e6, 1e6, 2e6, 4e6, 8e6])
    loss = np.array([3.1, 3.3, 3.0, 3.05, 3.2])
    curve = budget_curve(n_params, loss, Minimum(1e18, 1e18, 5, MinimumStatus.EDGE), "akima", None)
    assert curve is not None
    assert curve[1][0] == pytest.approx(np.sqrt(3.1 * 3.3))
    assert curve[1][-1] == pytest.approx(3.2)


def test_two_sizes_have_no_curve():
    minimum = Minimum(1e18, 1e18, 2, MinimumStatus.TOO_FEW)
    assert budget_curve(np.array([1e6, 2e6]), np.array([3.0, 3.1]), minimum, "parabola", 0.1) is None


def test_the_allocation_picture_says_what_is_ours_and_what_is_published():
    _, fit = sweep()
    figure = draw(allocation_picture(fit, flops_convention="exact"))
    left, right = figure.axes
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert left.get_xlabel() == right.get_xlabel() == "compute C, FLOPs (exact)"
    assert left.get_ylabel() == "parameters N\n(total, embeddings included)"
    assert right.get_ylabel() == "tokens D"
    assert ".35 [.31, .39] (95 %)" in left.get_title()
    assert ".65 [.61, .69] (95 %)" in right.get_title()
    assert legend(figure) == [
        "fit and its 95 % band",
        "Chinchilla, approach 2: slopes .49, .51 (total N)",
        "Kaplan, N(C_min): slopes .73, .27 (N without embeddings)",
        "minima of the budgets, ±1 SE",
    ]


def reference(picture: Picture, name: str) -> Line:
    return next(m for m in picture.panels[0].marks if isinstance(m, Line) and m.label.startswith(name))


@pytest.mark.parametrize(
    ("n_params", "chinchilla", "kaplan"),
    [
        ("n_params", "dash", "dot"),
        ("n_params_non_embedding", "dot", "dash"),
        ("n_params_blocks_and_head", "dot", "dot"),
    ],
)
def test_slopes_that_count_n_otherwise_are_dotted(n_params, chinchilla, kaplan):
    picture = allocation_picture(sweep()[1], n_params)
    assert (reference(picture, "Chinchilla").dash, reference(picture, "Kaplan").dash) == (chinchilla, kaplan)


def test_published_slopes_pass_through_the_middle_of_our_minima():
    _, fit = sweep()
    kaplan = reference(allocation_picture(fit), "Kaplan")
    x, y = np.log(kaplan.x), np.log(kaplan.y)
    middle = np.log(BUDGETS[:-1]).mean()
    assert np.polyfit(x, y, 1)[0] == pytest.approx(0.73)
    assert np.interp(middle, x, y) == pytest.approx(np.log(fit.params_law(np.exp(middle))))


def test_the_band_has_the_level_of_the_interval():
    _, fit = sweep()
    exponent = Estimate(fit.params_exponent.value, 0.33, 0.37, level=0.5)
    half = allocation_picture(IsoflopFit(**{**vars(fit), "params_exponent": exponent}))
    whole = allocation_picture(fit)
    widths = [
        float(np.ptp(np.log([mark.low[0], mark.high[0]])))
        for picture in (half, whole)
        for mark in picture.panels[0].marks
        if isinstance(mark, Band)
    ]
    assert widths[0] == pytest.approx(0.5 / 0.95 * widths[1], rel=0.05)
    assert "fit and its 50 % band" in legend(draw(half))


def test_without_resamples_there_is_no_band_and_no_interval():
    _, fit = sweep(resamples=False)
    picture = allocation_picture(fit)
    assert not [label for label in legend(draw(picture)) if "band" in label]
    assert "[" not in picture.panels[0].title
    assert "band" not in picture.caption


def test_no_interior_minimum_no_allocation():
    _, fit = sweep()
    edges = tuple(minimum for minimum in fit.minima if minimum.status is MinimumStatus.EDGE)
    with pytest.raises(InputError, match="interior minimum"):
        allocation_picture(IsoflopFit(**{**vars(fit), "minima": edges}))
