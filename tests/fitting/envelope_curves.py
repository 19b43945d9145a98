"""Training curves of a known law, as approach 1 reads them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from isoflop.fitting import ChinchillaLaw, RunTable
from isoflop.fitting.curves import CurveTable, curves_of

from .sweeps import HOFFMANN


def training_curves(
    law: ChinchillaLaw = HOFFMANN,
    *,
    budgets: ArrayLike = (1e18, 1e22),
    sizes: int = 12,
    beyond: float = 4.0,
    points: int = 150,
    runs: float = 0.0,
    steps: float = 0.0,
    lengths: ArrayLike = (1.0,),
    seeds: int = 1,
    hot: float = 0.0,
    seed: int = 0,
) -> CurveTable:
    """One run or more a size, logged evenly, the longest to `beyond` times the compute for which its size is best.

    `runs` and `steps` are the noise of each run and of each logged loss. `hot` is the loss that a decaying rate
    still has to take off, in proportion to the part of the run that is left.
    """
    rng = np.random.default_rng(seed)
    parts = []
    first, last = law.optimum(np.asarray(budgets))[0]
    for n in np.geomspace(first, last, sizes):
        best = 6 * (n / float(law.optimum(6.0)[0])) ** (1 / law.params_exponent)
        for length in np.asarray(lengths):
            for copy in range(seeds):
                part = np.arange(1, points + 1) / points
                d = part * length * beyond * best / 6 / n
                noise = runs * rng.standard_normal() + steps * rng.standard_normal(points)
                parts.append(
                    pd.DataFrame(
                        {
                            "run": f"{n:.4g} to {d[-1]:.4g}, {copy}",
                            "n_params": n,
                            "tokens": d,
                            "loss": law.loss(n, d) + noise + hot * (1 - part),
                            "phase": "cooled" if hot else "hot",
                        }
                    )
                )
    return curves_of(RunTable(pd.concat(parts, ignore_index=True)))


def end_points(law: ChinchillaLaw = HOFFMANN) -> CurveTable:
    """Every size at every number of tokens, one run each."""
    n, d = (grid.reshape(-1) for grid in np.meshgrid(np.geomspace(3e7, 3e10, 16), np.geomspace(1e9, 1e12, 9)))
    return curves_of(RunTable(pd.DataFrame({"n_params": n, "tokens": d, "loss": law.loss(n, d)})))


def changed(curves: CurveTable, frame: pd.DataFrame) -> CurveTable:
    return CurveTable(RunTable(frame), curves.kind)
