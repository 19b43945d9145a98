"""Every known way for a fit to mislead: the warning appears where the trap is laid, and only there."""

import re

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting import Options, RunTable, analyse, fit_isoflop, fit_parametric

from .sweeps import ASYMMETRIC, HOFFMANN, changed, reference_data, selected, sweep

QUICK = Options(resamples=200, by_convention=False, holdout=False)
BUDGETS = np.geomspace(1e18, 1e21, 6)


def clean(**options):
    return sweep(HOFFMANN, **{"sizes": 8, "budgets": BUDGETS, "noise": 0.003, **options})


def warned(table, code, options=QUICK):
    """The text of the warning, "" where there is none."""
    return next((warning.text for warning in analyse(table, options).warnings if warning.code == code), "")


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d*\.\d+|-?\d+", text)]


def diverged(table, rows=(3, 20, 40), factor=1.15):
    loss = table.frame["loss"].copy()
    loss.iloc[list(rows)] *= factor
    return changed(table, loss=loss)


def with_seeds(table, spread, law_error=0.0):
    """Three seeds a cell, `spread` apart; and a misfit common to a cell's seeds."""
    rng = np.random.default_rng(1)
    frames = []
    own = law_error * rng.standard_normal(len(table.frame))
    for seed in range(3):
        noise = spread * rng.standard_normal(len(table.frame))
        frames.append(
            table.frame.assign(
                seed=seed, run=[f"{i}-{seed}" for i in range(len(noise))], loss=table.frame["loss"] + own + noise
            )
        )
    return RunTable(pd.concat(frames))


def with_rates(table):
    """Three learning rates a cell; the bad ones hurt large sizes more, as an untuned rate does."""
    frames = []
    for i, misfit in enumerate((0.0, 0.03, 0.1)):
        hurt = misfit * (table.frame["n_params"] / 1e8) ** 0.3
        run = [f"{row}-lr{i}" for row in range(len(table.frame))]
        frames.append(table.frame.assign(learning_rate=10.0**-i, run=run, loss=table.frame["loss"] + hurt))
    return RunTable(pd.concat(frames))


def embedded(table, share):
    """A count without embeddings: 48k tokens' worth at `share` of a width that grows with the cube root of N."""
    n = table.frame["n_params"]
    blocks = n / (1 + share * (n / 1e8) ** (-2 / 3))
    return changed(table, n_params_non_embedding=blocks)


def halves(table, **column):
    (name, values), *_ = column.items()
    return changed(table, **{name: [values[i % 2] for i in range(len(table.frame))]})


def jittered(table):
    rng = np.random.default_rng(0)
    n = table.frame["n_params"].to_numpy(dtype=float)
    rounded = np.exp(np.round(np.log(n) / 0.35) * 0.35) * np.exp(0.001 * rng.standard_normal(len(n)))
    d = table.frame["flops"] / 6 / rounded
    return changed(table, n_params=rounded, tokens=d, loss=HOFFMANN.loss(rounded, d))


def checkpoints(table):
    """Each size one run, read at each budget's tokens."""
    frame = table.frame.assign(n_params=np.tile(table.frame["n_params"].iloc[:8], 6))
    frame = frame.assign(tokens=frame["flops"] / 6 / frame["n_params"], run=np.tile(np.arange(8), 6))
    return RunTable(frame.assign(loss=HOFFMANN.loss(frame["n_params"], frame["tokens"])))


TRAPS = {
    "outliers": (lambda: diverged(clean()), clean),
    "influential_runs": (lambda: clean(noise=0.02, seed=3), clean),
    "vague_coefficients": (lambda: clean(noise=0.03), clean),
    "near_duplicates": (lambda: jittered(clean()), clean),
    "sum_of_exponents": (
        lambda: changed(clean(), flops=clean().frame["flops"] * (1 + 30 * clean().frame["n_params"] ** -0.2)),
        clean,
    ),
    "edge_minima": (lambda: clean(centre=[1, 1, 1, 1, 1, 9.0]), clean),
    "few_budgets": (lambda: clean(budgets=[1e18, 1e19, 1e20]), clean),
    "drifting_centre": (lambda: clean(half_width=8, centre=3.0 ** np.linspace(0, 1, 6)), clean),
    "off_centre": (lambda: clean(half_width=8, centre=3.0), clean),
    "weak_curvature": (lambda: clean(half_width=1.5, noise=0.004), clean),
    "checkpoints": (lambda: checkpoints(clean(noise=0.0)), clean),
    "repeated_data": (lambda: changed(clean(), epochs=np.tile([1.0, 9.0], 24)), lambda: changed(clean(), epochs=2.0)),
    "mixed_phases": (lambda: halves(clean(), phase=["hot", "cooled"]), lambda: changed(clean(), phase="cooled")),
    "mixed_corpora": (lambda: halves(clean(), corpus=["c4", "pile"]), lambda: changed(clean(), corpus="c4")),
    "mixed_tokenizers": (lambda: halves(clean(), tokenizer=["bpe", "bytes"]), lambda: changed(clean(), tokenizer="")),
    "mixed_units": (lambda: halves(clean(), loss_unit=["nats", "bits"]), lambda: changed(clean(), loss_unit="nats")),
    "mixed_conventions": (lambda: halves(clean(), planned_flops=["6nd", "exact"]), clean),
    "mixed_experiments": (lambda: halves(clean(), experiment=["a", "b"]), lambda: changed(clean(), experiment="a")),
    "excluded_runs": (lambda: changed(clean(), loss=clean().frame["loss"].mask(clean().frame.index == 3)), clean),
    "replicates": (lambda: with_rates(clean()), lambda: with_seeds(clean(), 0.003)),
    "lack_of_fit": (lambda: with_seeds(clean(), 0.0005, law_error=0.01), lambda: with_seeds(clean(noise=0.0), 0.003)),
}


@pytest.mark.parametrize("code", TRAPS)
def test_the_warning_appears_in_the_trap_and_only_there(code):
    trap, harmless = TRAPS[code]
    text = warned(trap(), code)
    assert text
    assert "\n" not in text
    assert numbers(text), "a warning without a number"
    assert not warned(harmless(), code)


def test_a_clean_sweep_has_no_warning_at_all():
    assert analyse(clean(), QUICK).warnings == ()


def test_a_largest_budget_off_the_law_of_the_others_is_said():
    def off(factor):
        table = clean()
        last = table.frame["budget"] == table.frame["budget"].max()
        return changed(table, loss=table.frame["loss"].where(~last, table.frame["loss"] * factor))

    predicting = Options(resamples=0, by_convention=False)
    text = warned(off(1.04), "poor_prediction", predicting)
    bias = re.search(r"bias -(\d\.\d+)%", text)
    assert bias is not None
    assert 3.5 < float(bias.group(1)) < 4.2
    assert not warned(off(1.0), "poor_prediction", predicting)


def test_outliers_show_the_exponent_with_and_without_them():
    text = warned(diverged(clean()), "outliers")
    with_them, without = numbers(text[text.index("a =") :])[:2]
    assert abs(without - HOFFMANN.params_exponent) < 0.015
    assert abs(with_them - HOFFMANN.params_exponent) > 2 * abs(without - HOFFMANN.params_exponent)


def test_the_influential_run_moves_the_exponent_as_said():
    table = clean(noise=0.02, seed=3)
    text = warned(table, "influential_runs")
    run = text.split(" (N ")[0].removeprefix("without ")
    without = fit_parametric(table.where(f"run != '{run}'"), resamples=0).params_exponent.value
    assert f"would be {without:.3f}" in text


def test_epochs_five_outliers_are_found_and_both_answers_shown():
    text = warned(RunTable(reference_data("epoch_chinchilla.csv")), "outliers")
    with_them, without = numbers(text[text.index("a =") :])[:2]
    assert with_them == pytest.approx(0.5646, abs=5e-4)
    assert without == pytest.approx(0.514, abs=0.012)


def test_epochs_sizes_are_near_duplicates():
    text = warned(RunTable(reference_data("epoch_chinchilla.csv")), "near_duplicates")
    assert numbers(text)[:2] == [142, 41]


def test_an_asymptote_at_zero_has_no_interval():
    data = reference_data("porian_refinedweb.csv")
    runs = RunTable(selected(data, data["experiment"] == "rw__base__long__kaplan__kaplan__train"))
    fit = fit_parametric(runs, objective="mse", resamples=100)
    assert fit.law.E == 0
    assert fit.parameters["E"].low is None
    options = Options(methods=("parametric",), objective="mse", resamples=100, by_convention=False)
    assert "E" in warned(runs, "bound_hit", options)
    assert not warned(clean(), "bound_hit", options)


def test_a_parabola_over_a_wide_grid_is_said():
    wide = sweep(ASYMMETRIC, half_width=16, sizes=12, budgets=BUDGETS, centre=3.0 ** -np.linspace(0, 1, 6))
    whole = Options(methods=("isoflop",), minimum="parabola", window=None, by_convention=False, holdout=False)
    assert warned(wide, "wide_parabola", whole)
    narrow = sweep(HOFFMANN, half_width=2, sizes=12, budgets=BUDGETS, noise=0.001)
    assert not warned(narrow, "wide_parabola", whole)


def test_counting_embeddings_or_not_is_said_where_it_decides():
    options = Options(resamples=0, holdout=False)
    text = warned(embedded(clean(), 1.0), "counting_decides", options)
    assert "n_params_non_embedding" in text
    assert not warned(embedded(clean(), 0.01), "counting_decides", options)


def test_resamples_without_a_minimum_are_counted_and_withhold_the_interval():
    noisy = clean(noise=0.05, half_width=2, seed=3)
    fit = fit_isoflop(noisy, resamples=200)
    assert fit.resampling is not None
    assert fit.resampling.n_failed > 0.1 * 200
    assert fit.params_exponent.low is None
    assert warned(noisy, "failed_resamples")
    assert not warned(clean(), "failed_resamples")


def test_read_only_columns_are_fitted():
    frame = clean().frame.copy()
    for name in ("n_params", "tokens", "loss"):
        values = frame[name].to_numpy(dtype=float).copy()
        values.flags.writeable = False
        frame[name] = pd.Series(values, copy=False)
    assert analyse(RunTable(frame), QUICK).parametric is not None
