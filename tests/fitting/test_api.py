"""What a notebook's owner meets: names, arrays in, results that say what they hold, pictures of them."""

import ast
import dataclasses
import inspect
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from isoflop import fitting
from isoflop.fitting import (
    ChinchillaLaw,
    Estimate,
    InputError,
    NoiseModel,
    Options,
    PowerQuestion,
    Question,
    RunTable,
    analyse,
    analyse_power,
    analyse_task,
    answer,
    compare_with_published,
    curves_of,
    fit_custom,
    fit_data_constrained,
    fit_envelope,
    fit_error,
    fit_kaplan,
    fit_overtraining,
    fit_parametric,
    fit_power,
    fit_saturating,
    predictors_of,
    published_estimates,
    simulate,
    tasks_of,
)
from isoflop.fitting.precision import PlannedGrid
from isoflop.fitting.shown import Shown

from ..conftest import ROOT
from .sweeps import HOFFMANN


@pytest.fixture(scope="module")
def table():
    """6 budgets of sizes of one ladder, so that the runs of a size make curves."""
    ladder, budgets = np.geomspace(5e7, 4e9, 12), np.geomspace(1e18, 1e21, 6)
    n, c = (each.ravel() for each in np.meshgrid(ladder, budgets))
    best = HOFFMANN.optimum(c)[0]
    near = (n < 5 * best) & (n > best / 5)
    n, c = n[near], c[near]
    noise = 0.005 * np.random.default_rng(0).standard_normal(len(n))
    return RunTable.from_arrays(n, c / 6 / n, HOFFMANN.loss(n, c / 6 / n) + noise, flops=c, budget=c)


@pytest.fixture(scope="module")
def found(table):
    return analyse(table, Options(resamples=60))


@pytest.fixture(scope="module")
def every_result(table, found):
    """One of each class that says what it is."""
    grid = PlannedGrid.centred(HOFFMANN, np.geomspace(1e18, 1e20, 4), 5, 3.0)
    fitted = table.fitted
    repeated = RunTable(table.frame.assign(unique_tokens=fitted["tokens"] / np.where(fitted.index % 3, 1.0, 8.0)))
    scored = RunTable(table.frame.assign(score=1 / (1 + np.exp(4 * (fitted["loss"] - 2.6)))))
    predictors = predictors_of(found)
    power = analyse_power(
        pd.DataFrame({"seconds": [1.0, 2, 4, 8, 16, 32], "loss": [3.0, 2.51, 2.24, 2.13, 2.06, 2.03]}),
        PowerQuestion("seconds", "loss"),
    )
    comparison = compare_with_published(found)
    noise = NoiseModel.constant(0.01)
    simulation = simulate(grid, HOFFMANN, noise, methods=("isoflop",), at_flops=1e21, sims=20, intervals=False)
    quick: dict[str, Any] = {"resamples": 20}
    saturating = fit_saturating(table)
    repeats = fit_data_constrained(repeated, **quick)
    overtraining = fit_overtraining(table, **quick)
    with_errors = RunTable(table.frame.assign(error=0.8 - 2 * np.exp(-1.2 * fitted["loss"])))
    error = fit_error(with_errors, "error", resamples=0)
    kaplan = fit_kaplan(table, **quick)
    results = [
        table,
        curves_of(table),
        found,
        found.fits,
        found.isoflop,
        found.isoflop.minima[0],
        found.isoflop.params_exponent,
        found.isoflop.params_law,
        found.parametric,
        found.parametric.law,
        found.profile,
        found.holdout,
        found.envelope,
        found.envelope.points[0],
        kaplan,
        kaplan.law,
        kaplan.loss_of_params,
        saturating,
        saturating.law,
        repeats,
        repeats.law,
        overtraining,
        overtraining.law,
        error,
        error.law,
        fit_custom(
            lambda n_params, *, E, A: E + A / n_params**0.3, table, bounds={"E": (0, 9), "A": (0, None)}, **quick
        ),
        power,
        power.fit,
        power.fit.law,
        power.fit.region,
        published_estimates()[0],
        comparison,
        comparison.rows[0],
        predictors[0],
        answer(predictors[0], Question(flops=1e22)),
        analyse_task(tasks_of(scored, ["score"], None)[0], resamples=20),
        simulation := simulate(
            grid, HOFFMANN, NoiseModel.constant(0.01), methods=("isoflop",), at_flops=1e21, sims=20, intervals=False
        ),
        simulation.methods[0].params_exponent,
    ]
    return {type(result): result for result in results}


def subclasses(parent):
    """Those of the package; tests make their own."""
    return {each for each in parent.__subclasses__() if each.__module__.startswith("isoflop.")}


def test_every_result_that_says_what_it_is_does_so_in_a_few_lines(every_result):
    assert set(every_result) == subclasses(Shown)
    for kind, result in every_result.items():
        lines = repr(result).splitlines()
        assert lines[0].startswith((kind.__name__, "Comparison with"))
        assert len(lines) <= 20
        assert max(map(len, lines)) <= 170
        assert "array(" not in repr(result)


class Tags(HTMLParser):
    """The tags of a text, and what stands between them."""

    def __init__(self, html):
        super().__init__()
        self.open, self.names, self.text = [], set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_html_holds_the_text_and_closes_every_tag(every_result):
    for result in every_result.values():
        page = Tags(result._repr_html_())
        assert not page.open
        for word in repr(result).splitlines()[0].split():
            assert word in page.text


def test_names_out_of_logs_stay_text_in_html():
    frame = pd.DataFrame(
        {"n_params": [1e6, 2e6], "tokens": 1e8, "loss": 3.0, "run": ["<script>alert(1)</script>", "b&b"]}
    )
    page = Tags(RunTable(frame)._repr_html_())
    assert "script" not in page.names
    assert "<script>alert(1)</script>" in page.text
    assert "b&b" in page.text


def test_a_repr_has_the_values_with_their_intervals_and_level(found):
    text, a = repr(found), found.isoflop.params_exponent
    shown = f"{a.value:.2f} [{a.low:.2f}, {a.high:.2f}] 95 %".replace("0.", ".")
    assert shown in text
    assert shown in repr(found.isoflop)
    assert f"{len(found.warnings)} warning" in text
    assert repr(Estimate(0.4567891, 0.4, 0.5, 0.8)) == "Estimate: 0.4568 [0.4, 0.5] 80 %"
    assert repr(Estimate(0.4567891)) == "Estimate: 0.4568"
    assert repr(ChinchillaLaw(1.69, 406.4, 410.7, 0.34, 0.28)).startswith(
        "ChinchillaLaw: L(N, D) = 1.69 + 406.4/N^0.34 + 410.7/D^0.28; a = 0.4516"
    )
    assert repr(fit_parametric(found.table, resamples=0)).endswith("no intervals")


def test_a_table_says_what_is_left_out_and_why():
    table = RunTable.from_arrays([1e6, 2e6, 4e6], [1e8, 1e8, 1e8], [3.0, 2.9, float("nan")], flag=["", "diverged", ""])
    text = repr(table)
    assert "3 runs, 1 fitted, 2 excluded" in text
    assert "1 x diverged" in text
    assert "1 x loss" in text


def test_plots_are_figures_without_pyplot(table, found):
    power = fit_power([1, 2, 4, 8, 16], [3.0, 2.5, 2.25, 2.125, 2.0625])
    assert not hasattr(power, "plot")  # it does not know what its x and y are
    for figure in (
        table.plot(),
        found.plot(),
        found.plot("exponent_profile"),
        found.isoflop.plot(),
        found.isoflop.plot(table),
        found.parametric.plot(table, "residuals"),
        fit_envelope(curves_of(table), resamples=0).plot(curves_of(table)),
        compare_with_published(found).plot(),
    ):
        assert isinstance(figure, Figure)
        assert any(axes.get_lines() or axes.collections for axes in figure.axes)
        assert figure.get_size_inches()[0] <= 7
    assert found.plot()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"no picture 'isoflop' of these results; there are isoflop_curves, .*holdout"):
        found.plot("isoflop")


def test_arrays_make_the_table_that_a_frame_makes():
    arrays = {"n_params": [1e6, 2e6], "tokens": [2e8, 1e8], "loss": [3.0, 3.1], "budget": [1e15, 1e15]}
    made = RunTable.from_arrays(**arrays, loss_unit="nats_per_token")
    pd.testing.assert_frame_equal(made.frame, RunTable(pd.DataFrame(arrays).assign(loss_unit="nats_per_token")).frame)
    for wrong in ({"budget": [1e15]}, {"tokens": 1e8}, {"n_params": [[1e6, 2e6]]}):
        name = next(iter(wrong))
        with pytest.raises(InputError, match=rf"{name} has shape .*must be \(2,\)"):
            RunTable.from_arrays(**(arrays | wrong))


def test_predictors_and_comparisons_take_an_analysis_or_its_json(found):
    assert compare_with_published(found) == compare_with_published(found.to_json())
    law = found.parametric.law
    said = answer(predictors_of(found)[0], Question(flops=1e20))
    assert said.loss is not None
    assert said.loss.value == pytest.approx(float(law.loss(*law.optimum(1e20))))


def test_public_names_stand_in_one_order_and_are_what_type_checkers_read():
    tree = ast.parse(inspect.getsource(fitting))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    read = {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}
    assert read == {name: (home, name) for name, home in fitting._HOMES.items()}
    assert fitting.__all__ == sorted(fitting._HOMES) == list(fitting._HOMES)
    assert set(fitting.__all__) <= set(dir(fitting))


def test_every_public_name_explains_itself():
    for name in fitting.__all__:
        public = getattr(fitting, name)
        text = inspect.getdoc(public)
        assert text, name
        assert not text.startswith(f"{name}("), f"{name} has only the docstring that dataclasses make"
        if inspect.isfunction(public):
            hints = inspect.get_annotations(public)
            assert set(inspect.signature(public).parameters) | {"return"} <= set(hints), name
        if dataclasses.is_dataclass(public):
            methods = [each for key, each in vars(public).items() if not key.startswith("_") and callable(each)]
            assert all(inspect.getdoc(method) for method in methods), name


def test_one_page_lists_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    assert set(fitting.__all__) <= named
    assert {name for name in named if name.startswith(("fit_", "load_", "published_"))} <= set(fitting.__all__)
