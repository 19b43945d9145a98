"""Doubts about the rarer laws: what their runs cannot tell apart."""

from __future__ import annotations

from ..law_results import DataConstrainedFit, SaturatingFit
from .warn import Warn

_TIED = 0.95  # correlation of E and gamma from which they are one number
_WIDE = 0.1  # of the least loss: an interval of E wider than this says little


def asymptote(fit: SaturatingFit | None) -> Warn | None:
    """A free asymptote that the points hardly determine."""
    if fit is None or fit.asymptote_fixed:
        return None
    E = fit.parameters["E"]
    least = min(loss for _, loss in fit.points)
    unknown = E.low is None or E.high is None or E.high - E.low > _WIDE * least
    if not unknown and (fit.correlation or 0) < _TIED:
        return None
    span = "no interval" if E.low is None or E.high is None else f"{E.low:.3g} to {E.high:.3g}"
    return Warn(
        "asymptote_uncertain",
        f"the asymptote of L(C) is {E.value:.3g} ({span}), {fit.asymptote_share:.0%} of the least loss seen: a free "
        "asymptote is over-optimistic; hold it with --fixed-e, or add budgets",
    )


def flat_repeats(fit: DataConstrainedFit | None) -> Warn | None:
    """R_D* that the runs do not determine."""
    if fit is None or not fit.flat:
        return None
    low, high = fit.range_R_D
    ends = f"{'0' if low is None else f'{low:.3g}'} to {'infinity' if high is None else f'{high:.3g}'}"
    return Warn(
        "repeat_profile_flat",
        f"R_D* = {fit.law.R_D:.3g} is one of {len(fit.minima)} local minima, and {ends} cost under 1 % of the "
        "objective: quote the range and the profile, not the number",
    )
