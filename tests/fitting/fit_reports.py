"""Reports (fit.json) of simulated sweeps, for the tests that compare them."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoflop.fitting import Analysis, ChinchillaLaw, Options, fit_isoflop, fit_parametric
from isoflop.fitting.diagnostics import Fits

from .sweeps import sweep

BUDGETS = np.geomspace(1e18, 1e21, 5)
FIRST = ChinchillaLaw(E=1.7, A=400.0, B=900.0, alpha=0.34, beta=0.31)
# The same law but for what every FLOP is worth: N and D count 1/2 of what they did, so a quarter of C is wasted.
WASTEFUL = ChinchillaLaw(E=1.7, A=400.0 * 2**0.34, B=900.0 * 2**0.31, alpha=0.34, beta=0.31)


def report(
    law: ChinchillaLaw, *, noise: float = 0.004, seed: int = 0, resamples: int = 200, surface: bool = False
) -> dict[str, Any]:
    """The fit.json of a sweep of 7 sizes at each of `BUDGETS`: approach 2, and approach 3 where `surface` is asked."""
    table = sweep(law, budgets=BUDGETS, sizes=7, noise=noise, seed=seed)
    fits = Fits(
        parametric=fit_parametric(table, resamples=resamples) if surface else None,
        isoflop=fit_isoflop(table, minimum="parabola", resamples=resamples),
    )
    return Analysis(table, Options(), fits).to_json()
