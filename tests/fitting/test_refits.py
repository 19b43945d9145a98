"""Refits of one table under other weights: leaving runs out, and the profile of the exponents."""

import numpy as np
import pytest

from isoflop.fitting import InputError, fit_parametric
from isoflop.fitting.estimators.parametric.chinchilla import fit_law
from isoflop.fitting.estimators.parametric.objectives import OBJECTIVES
from isoflop.fitting.estimators.parametric.profile import exponent_profile
from isoflop.fitting.estimators.parametric.refits import leave_out

from .sweeps import HOFFMANN, sweep


def law_of(table, **options):
    frame = table.frame
    return fit_law(frame["n_params"], frame["tokens"], frame["loss"], **options)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_leaving_rows_out_is_fitting_the_others(objective):
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    frame = table.frame.sample(frac=1, random_state=3)
    groups = frame["budget"].to_numpy()
    out = leave_out(fit_law(frame["n_params"], frame["tokens"], frame["loss"], objective=objective), groups)
    for group, exponent, parameters in zip(out.groups, out.params_exponent, out.parameters, strict=True):
        rest = frame[groups != group]
        cold = fit_law(rest["n_params"], rest["tokens"], rest["loss"], objective=objective).law
        # Least absolute errors stop at a Huber of width 1e-5.
        close = 1e-3 if objective == "log_lad" else 1e-7
        assert exponent == pytest.approx(cold.params_exponent, abs=close)
        assert parameters[0] == pytest.approx(cold.E, rel=10 * close)


def test_one_bad_run_shows_in_the_fit_without_it():
    table = sweep(HOFFMANN, sizes=7, noise=0.002)
    loss = table.frame["loss"].to_numpy().copy()
    loss[3] += 2.0
    frame = table.frame.assign(loss=loss)
    fit = fit_law(frame["n_params"], frame["tokens"], frame["loss"], objective="mse")
    out = leave_out(fit, np.arange(len(frame)))
    assert abs(fit.law.params_exponent - HOFFMANN.params_exponent) > 0.01
    assert out.params_exponent[3] == pytest.approx(HOFFMANN.params_exponent, abs=0.005)


def test_what_cannot_be_fitted_without_a_group_is_nan():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    everything = leave_out(law_of(table), np.zeros(len(table)))
    assert np.isnan(everything.params_exponent).all()
    with pytest.raises(InputError, match="groups has 3 labels for 35 runs"):
        leave_out(law_of(table), [1, 2, 3])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_profile_is_the_best_at_its_exponents_and_lowest_at_the_optimum(objective):
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    fit = law_of(table, objective=objective)
    profile = exponent_profile(fit, points=5)
    assert profile.alphas[2] == pytest.approx(fit.law.alpha * (1.4 + 1 / 1.4) / 2)
    assert (profile.rise > 0).all()
    assert profile.threshold is None
    assert profile.inside is None
    # No law with these exponents does better: try around the optimum's terms.
    rng = np.random.default_rng(0)
    frame = table.frame
    n, d, loss = (frame[name].to_numpy() for name in ("n_params", "tokens", "loss"))
    alpha, beta = profile.alphas[1], profile.betas[3]
    middle_n, middle_d = np.exp(np.log(n).mean()), np.exp(np.log(d).mean())
    terms = [fit.law.E, fit.law.A * middle_n**-fit.law.alpha, fit.law.B * middle_d**-fit.law.beta]
    for _ in range(300):
        e, at_n, at_d = terms * np.exp(rng.uniform(-0.5, 0.5, 3))
        predicted = e + at_n * (n / middle_n) ** -alpha + at_d * (d / middle_d) ** -beta
        residual = np.log(loss / predicted) if "log" in objective else loss - predicted
        inside = np.minimum(np.abs(residual), 1e-3)
        each = {
            "mse": residual**2 / len(loss),
            "log_lad": np.abs(residual),
            "huber": inside * (np.abs(residual) - inside / 2) / len(loss),
            "log_huber": inside * (np.abs(residual) - inside / 2),
        }
        assert each[objective].sum() > fit.value * (1 + profile.rise[1, 3]) * (1 - 1e-3)


def test_the_region_of_the_profile_holds_the_optimum_and_its_share_of_resamples():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    fit = fit_parametric(table, resamples=200)
    profile = exponent_profile(law_of(table), fit, points=15)
    assert profile.threshold is not None
    assert profile.inside is not None
    nearest = np.abs(profile.alphas - fit.law.alpha).argmin(), np.abs(profile.betas - fit.law.beta).argmin()
    assert profile.inside[nearest]
    edge = np.ones_like(profile.inside)
    edge[1:-1, 1:-1] = False
    assert not profile.inside[edge].any()  # the grid is wide enough to show the whole region


def test_no_profile_of_what_is_tied_or_absent():
    table = sweep(HOFFMANN, sizes=7, noise=0.01)
    with pytest.raises(InputError, match="tied"):
        exponent_profile(law_of(table, tied=True))
    flat = fit_law(table.frame["n_params"], table.frame["tokens"], 2 + 400 * table.frame["tokens"] ** -0.3)
    with pytest.raises(InputError, match="A lie"):
        exponent_profile(flat)
