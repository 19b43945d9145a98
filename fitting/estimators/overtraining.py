"""Over-training (Gadre 2024, arXiv:2403.08540): loss from compute and tokens per parameter, and error from loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import check_fit
from ..errors import InputError
from ..law_results import ErrorFit, OvertrainingFit
from ..laws import ErrorLaw, OvertrainingLaw
from ..results import Estimate
from ..runs import RunTable
from .forms.custom import fit_custom
from .forms.descent import Array

_LOSS_BOUNDS = {"E": (0, None), "a": (0, None), "b": (0, None), "eta": (1e-3, 1.0)}
_ERROR_BOUNDS = {"epsilon": (0, None), "k": (0, None), "gamma": (1e-2, 10.0)}


def fit_overtraining(
    table: RunTable,
    *,
    objective: str = "log_huber",
    weights: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> OvertrainingFit:
    """L(C, M) = E + (a M^eta + b M^-eta) C^-eta (equation 4), C the `flops` and M tokens per parameter of each run.

    One corpus at a time: E differs between corpora. The authors fit `objective="mse"`, at 20 tokens per parameter and
    one small model at 320. Raises InputError where every run has the same tokens per parameter (a and b are then one
    number), else what `fit_custom` raises.
    """
    check_fit(table, level, resamples)
    frame = table.fitted
    n, d, c = (frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens", "flops"))
    m = d / n
    if np.ptp(np.log(m)) < 0.05:
        raise InputError(f"every run has {m[0]:.3g} tokens per parameter: a and b need runs of at least two")
    log_c, log_m = np.log(c), np.log(m)
    c_mean, m_mean = float(log_c.mean()), float(log_m.mean())

    # Centred, so that a, b and eta are searched at the size of the losses: the units of N and D then change nothing.
    def form(x: Array, z: Array, *, E: float, a: float, b: float, eta: float) -> Array:
        return E + a * np.exp(eta * (z - x)) + b * np.exp(-eta * (z + x))

    inner = RunTable(frame.assign(x=log_c - c_mean, z=log_m - m_mean), table.notes, table.keep_flagged)
    fit = fit_custom(
        form,
        inner,
        bounds=_LOSS_BOUNDS,
        objective=objective,
        weights=weights,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    value = fit.values
    law = OvertrainingLaw(
        E=value["E"],
        a=float(value["a"] * np.exp(value["eta"] * (c_mean - m_mean))),
        b=float(value["b"] * np.exp(value["eta"] * (c_mean + m_mean))),
        eta=value["eta"],
    )
    # At the centre a and b are well determined; at C = 1 and M = 1, where the law has them, eta decides all.
    parameters = {"E": fit.parameters["E"], "a": Estimate(law.a, level=level), "b": Estimate(law.b, level=level)}
    return OvertrainingFit(
        status=fit.status,
        objective=objective,
        objective_value=fit.objective_value,
        law=law,
        parameters={**parameters, "eta": fit.parameters["eta"]},
        n_runs=fit.n_runs,
        tokens_per_param_range=(float(m.min()), float(m.max())),
        n_agreeing=fit.n_agreeing,
        n_starts=fit.n_starts,
        resampling=fit.resampling,
    )


def fit_error(
    table: RunTable,
    error: str,
    *,
    objective: str = "mse",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> ErrorFit:
    """Err(L) = epsilon - k exp(-gamma L) (equation 5), from the `loss` of each run to column `error`, a share.

    Least squares by default, as the authors fit it. Raises what `fit_custom` raises.
    """
    check_fit(table, level, resamples)
    loss = table.fitted["loss"].to_numpy(dtype=float)
    middle = float(loss.mean())

    def form(x: Array, *, epsilon: float, k: float, gamma: float) -> Array:
        return epsilon - k * np.exp(-gamma * x)

    scaled = RunTable(table.fitted.assign(x=loss - middle), table.notes, table.keep_flagged)
    fit = fit_custom(
        form,
        scaled,
        bounds=_ERROR_BOUNDS,
        target=error,
        objective=objective,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    value = fit.values
    k = float(value["k"] * np.exp(value["gamma"] * middle))
    return ErrorFit(
        status=fit.status,
        objective=objective,
        objective_value=fit.objective_value,
        law=ErrorLaw(value["epsilon"], k, value["gamma"]),
        parameters={**fit.parameters, "k": Estimate(k, level=level)},
        n_runs=fit.n_runs,
        loss_range=(float(loss.min()), float(loss.max())),
        resampling=fit.resampling,
    )
