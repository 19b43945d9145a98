"""What the figures show and say, and that they are saved whole or not at all."""

import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from isoflop.fitting.errors import InputError
from isoflop.fitting.laws import ChinchillaLaw
from isoflop.fitting.reporting.curves import budget_curve
from isoflop.fitting.reporting.figures import allocation_figure, isoflop_figure, save_figures
from isoflop.fitting.reporting.style import GREY, count_text, figure_style, flops_text, sequential_colors
from isoflop.fitting.results import Estimate, FitStatus, IsoflopFit, Minimum, MinimumStatus

LAW = ChinchillaLaw(E=0.6, A=300.0, B=60.0, alpha=0.62, beta=0.33)
BUDGETS = (2e10, 4e10, 8e10, 1.6e11, 3.2e11)


def sweep(resamples: bool = True, minimum: str = "parabola") -> tuple[pd.DataFrame, IsoflopFit]:
    """Six sizes a budget, two seeds, no noise; the largest budget's minimum lies at an edge."""
    rows, minima = [], []
    for budget in BUDGETS:
        best, tokens = (float(value) for value in LAW.optimum(budget))
        edge = budget == BUDGETS[-1]
        for n in np.geomspace(best * (1.05 if edge else 0.45), best * 2.2, 6):
            rows += [(n, float(LAW.loss(n, budget / 6 / n)), budget, seed, "") for seed in (0, 1)]
        head = (budget, budget, 12, MinimumStatus.EDGE if edge else MinimumStatus.INTERIOR)
        loss = float(LAW.loss(best, tokens))
        minima.append(Minimum(*head) if edge else Minimum(*head, best, tokens, loss, log_n_params_se=0.05))
    table = pd.DataFrame(rows, columns=["n_params", "loss", "budget", "seed", "flag"])
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


def test_isoflop_figure_says_what_its_axes_and_marks_are():
    figure = isoflop_figure(*sweep())
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "parameters N (total, embeddings included)"
    assert axes.get_ylabel() == "validation loss, nats per token"
    assert legend(figure) == [
        *("2e10 FLOPs", "4e10 FLOPs", "8e10 FLOPs", "1.6e11 FLOPs", "3.2e11 FLOPs"),
        *("minimum, ±1 SE", "no interior minimum"),
    ]


def test_the_other_counts_of_n_are_named():
    table, fit = sweep()
    figure = isoflop_figure(table, fit, "n_params_non_embedding")
    assert figure.axes[0].get_xlabel() == "parameters N (without embeddings)"


def test_a_refused_minimum_is_hollow_at_the_lowest_loss():
    table, fit = sweep()
    (axes,) = isoflop_figure(table, fit).axes
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1
    runs = table[["n_params", "loss", "budget"]].to_numpy()
    last = runs[runs[:, 2] == BUDGETS[-1]]
    assert np.asarray(hollow[0].get_xydata()) == pytest.approx(last[last[:, 1].argmin(), :2][None])


def test_runs_left_out_are_crosses_and_shape_nothing():
    table, fit = sweep()
    left_out = pd.DataFrame(
        [(2e4, 50.0, 2e10, 0, "diverged"), (2e4, 2.2, 2e10, 0, "by hand"), (2e4, np.nan, 2e10, 0, "loss is nan")],
        columns=table.columns,
    )
    (axes,) = isoflop_figure(table, fit).axes
    figure = isoflop_figure(pd.concat([table, left_out]), fit)
    (with_crosses,) = figure.axes
    assert with_crosses.get_ylim() == axes.get_ylim()
    (crosses,) = [line for line in with_crosses.lines if line.get_marker() == "x"]
    # The diverged run sits on the top edge, the other where it is, the one without a loss nowhere.
    assert np.asarray(crosses.get_ydata()).tolist() == pytest.approx([axes.get_ylim()[1], 2.2])
    assert "left out (3)" in legend(figure)


def test_left_out_runs_below_the_figure_lie_on_its_edge_and_grey_without_a_budget():
    table, fit = sweep()
    lost = pd.DataFrame([(5e4, 0.1, 1e14, 0, "too good to be true")], columns=table.columns)
    (axes,) = isoflop_figure(pd.concat([table, lost]), fit).axes
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert np.asarray(cross.get_ydata()).tolist() == pytest.approx([axes.get_ylim()[0]])
    assert cross.get_color() == GREY


def test_runs_without_a_planned_budget_are_placed_by_their_flops():
    table, fit = sweep()
    by_flops = table.rename(columns={"budget": "flops"}).assign(flops=table["budget"] * 1.03)
    curves = [len(isoflop_figure(frame, fit).axes[0].lines) for frame in (table, by_flops)]
    assert curves[0] == curves[1]


def test_many_budgets_have_a_legend_that_fits():
    table, fit = sweep()
    budgets = np.geomspace(1e10, 1e14, 40)
    minima = tuple(Minimum(budget, budget, 0, MinimumStatus.TOO_FEW) for budget in budgets)
    many = IsoflopFit(**{**vars(fit), "minima": minima})
    assert len(legend(isoflop_figure(table, many))) <= 15


@pytest.mark.parametrize("column", ["n_params", "loss", "budget"])
def test_a_missing_column_is_named(column):
    table, fit = sweep()
    with pytest.raises(InputError, match=column):
        isoflop_figure(table.drop(columns=column), fit)


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


def test_allocation_figure_says_what_is_ours_and_what_is_published():
    _, fit = sweep()
    figure = allocation_figure(fit, flops_convention="exact")
    left, right = figure.axes
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert left.get_xlabel() == right.get_xlabel() == "compute C, FLOPs (exact)"
    assert left.get_ylabel() == "parameters N (total, embeddings included)"
    assert right.get_ylabel() == "tokens D"
    assert ".35 [.31, .39] (95 %)" in left.get_title()
    assert ".65 [.61, .69] (95 %)" in right.get_title()
    assert legend(figure) == [
        *("minima of the budgets, ±1 SE", "fit", "95 % band of the fit"),
        "Chinchilla, approach 2: slopes .49, .51 (total N)",
        "Kaplan, N(C_min): slopes .73, .27 (N without embeddings)",
        "(published slopes, drawn through our middle)",
    ]


@pytest.mark.parametrize(
    ("n_params", "chinchilla", "kaplan"),
    [("n_params", "--", ":"), ("n_params_non_embedding", ":", "--"), ("n_params_blocks_and_head", ":", ":")],
)
def test_slopes_that_count_n_otherwise_are_dotted(n_params, chinchilla, kaplan):
    _, fit = sweep()
    axes = allocation_figure(fit, n_params).axes[0]
    styles = {str(line.get_label()).split(",")[0]: line.get_linestyle() for line in axes.lines}
    assert (styles["Chinchilla"], styles["Kaplan"]) == (chinchilla, kaplan)


def test_published_slopes_pass_through_the_middle_of_our_minima():
    _, fit = sweep()
    axes = allocation_figure(fit).axes[0]
    (kaplan,) = [line for line in axes.lines if str(line.get_label()).startswith("Kaplan")]
    x, y = np.log(kaplan.get_xydata()).T
    middle = np.log(BUDGETS[:-1]).mean()
    assert np.polyfit(x, y, 1)[0] == pytest.approx(0.73)
    assert np.interp(middle, x, y) == pytest.approx(np.log(fit.params_law(np.exp(middle))))


def test_without_resamples_there_is_no_band_and_no_interval():
    _, fit = sweep(resamples=False)
    figure = allocation_figure(fit)
    assert not [label for label in legend(figure) if "band" in label]
    assert "[" not in figure.axes[0].get_title()


def test_no_interior_minimum_no_allocation():
    _, fit = sweep()
    edges = tuple(minimum for minimum in fit.minima if minimum.status is MinimumStatus.EDGE)
    with pytest.raises(InputError, match="interior minimum"):
        allocation_figure(IsoflopFit(**{**vars(fit), "minima": edges}))


def test_saved_figures_are_whole_alone_in_their_folder_and_touch_no_global_state(tmp_path):
    # matplotlib resolves "backend" when it is read, which would import pyplot.
    def settings() -> dict:
        return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}

    before = settings()
    table, fit = sweep(minimum="akima")
    figures = {"isoflop": isoflop_figure(table, fit), "allocation": allocation_figure(fit)}
    paths = save_figures(tmp_path / "figures", figures)
    assert [path.name for path in paths] == ["isoflop.png", "isoflop.pdf", "allocation.png", "allocation.pdf"]
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())
    for path in paths:
        head = path.read_bytes()[:5]
        assert head == (b"%PDF-" if path.suffix == ".pdf" else b"\x89PNG\r")
    assert settings() == before


@pytest.mark.parametrize("which", ["isoflop", "allocation"])
def test_no_text_is_cut_off(which):
    table, fit = sweep()
    figure = (
        isoflop_figure(table, fit)
        if which == "isoflop"
        else allocation_figure(fit, "n_params_non_embedding", "6nd_non_embedding")
    )
    with figure_style():
        figure.draw_without_rendering()
    page = figure.bbox.padded(1)  # a pixel of rounding
    labels = [part for axes in figure.axes for part in (axes.xaxis.label, axes.yaxis.label, axes.title)]
    shown = [part for part in labels if part.get_text()]
    for box in (part.get_window_extent() for part in [*shown, *figure.legends]):
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    _, fit = sweep()
    (tmp_path / "allocation.png").write_bytes(b"old")
    figure = allocation_figure(fit)

    def half_written(path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        save_figures(tmp_path, {"allocation": figure})
    assert [path.name for path in tmp_path.iterdir()] == ["allocation.png"]
    assert (tmp_path / "allocation.png").read_bytes() == b"old"


def test_figures_need_no_pyplot():
    code = "import sys, isoflop.fitting.reporting.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("count", "text"), [(950, "950"), (11_800, "11.8k"), (999_999, "1M"), (1.3e9, "1.3B"), (2e13, "20T"), (0.5, "0.5")]
)
def test_counts_in_words(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(("flops", "text"), [(4e10, "4e10"), (1.25e16, "1.25e16"), (3.2e11, "3.2e11"), (1e18, "1e18")])
def test_compute_in_words(flops, text):
    assert flops_text(flops) == text


def test_budget_colours_differ_and_stay_dark_enough_for_white_paper():
    colors = np.array(sequential_colors(12))[:, :3]
    luminance = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert luminance.max() < 0.8
