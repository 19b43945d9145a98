"""How well the runs tell alpha from beta: the objective over both exponents, and the region that it allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from ...analysis import Analysis
from ...errors import InputError
from ...prediction.sources import N_PARAMS_OF_COLUMN
from ...published import published_estimate
from ...results import ExponentProfile, ParametricFit
from ..style import BLACK, ORANGE, exponent_number, interval_text
from .captions import runs_words, size_words
from .levels import round_levels
from .picture import Array, Axis, Field, Line, Mark, Panel, Picture, Points, Symbol, Text

_GRID = 60  # points of either axis, interpolated between those of the profile
_WIDTH = 1e-6  # of exponents, relative: runs without noise have narrower profiles
_STEEPEST = 4.0  # of the logarithms: beyond, contours lose their digits
_SHOWN = 4.0  # times the threshold: what rises further is beyond the colours
_WHITE = "#ffffff"
_PUBLISHED: tuple[tuple[str, Symbol], ...] = (("hoffmann_approach3", "square"), ("besiroglu", "triangle"))
_ROUND_SHARES = np.arange(1, 10) / 10
_WRITTEN = 0.85  # how far along a line its value stands
_SHORT, _ROOM = 0.4, np.array([0.25, 0.1])  # lines, and the room of their values, as parts of the box
_APART = 0.03  # of a: a round value closer to this fit's is not written


def profile_picture(analysis: Analysis) -> Picture:
    """The profile of (alpha, beta), with its joint region, lines of equal a, and published pairs that lie near.

    Raises:
        InputError: there is no profile (no fit of approach 3, tied exponents, a parameter on its bound, many runs), or
            one of runs without noise.
    """
    profile, fit = analysis.profile, analysis.parametric
    if profile is None or fit is None:
        raise InputError("the profile of alpha and beta needs approach 3 with both free; the analysis has no profile")
    if min(np.ptp(axis) / axis[-1] for axis in (profile.alphas, profile.betas)) < _WIDTH:
        raise InputError("the profile of alpha and beta has no width to draw: the resamples agree to all digits")
    alphas, betas = (np.linspace(float(axis[0]), float(axis[-1]), _GRID) for axis in (profile.alphas, profile.betas))
    top = _top(profile)
    rise = _fine(profile, alphas, betas, top)
    x, y = _limits(alphas, betas, rise <= top, fit)
    lines = () if profile.threshold is None else (profile.threshold,)
    region = f"joint {100 * profile.level:g} % region"
    marks: list[Mark] = [
        Field(alphas, betas, rise.T, "rise of the objective", round_levels(0.0, top), lines, region),
        *_equal_shares(fit, x, y),
        Points(
            np.array([fit.law.alpha]),
            np.array([fit.law.beta]),
            ORANGE,
            "diamond",
            6.0,
            label="this fit",
            edge=BLACK,
            hover=(f"this fit\nalpha = {fit.law.alpha:.3f}\nbeta = {fit.law.beta:.3f}",),
        ),
        *_published(analysis, x, y),
    ]
    panel = Panel(Axis("alpha, exponent of N", limits=x), Axis("beta, exponent of D", limits=y), tuple(marks))
    return Picture(
        "exponent_profile", "What the runs say of alpha and beta", _caption(analysis, profile, fit), (panel,)
    )


def _top(profile: ExponentProfile) -> float:
    """The highest rise that has a colour of its own."""
    wanted = float(np.median(profile.rise)) if profile.threshold is None else _SHOWN * profile.threshold
    return min(wanted, float(profile.rise.max())) or 1.0


def _fine(profile: ExponentProfile, alphas: Array, betas: Array, top: float) -> Array:
    """The rise at all pairs, shape (p, q), nowhere beyond the values computed around it: no optimum that is none.

    Through logarithms, since far off it grows steeply.
    """
    known = np.log1p(profile.rise.clip(0.0) / top)
    along = PchipInterpolator(profile.alphas, known, axis=0)(alphas)
    return top * np.expm1(PchipInterpolator(profile.betas, along, axis=1)(betas).clip(0.0, _STEEPEST))


def _limits(
    alphas: Array, betas: Array, shown: NDArray[np.bool_], fit: ParametricFit
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The box about what has a colour of its own, and about the optimum."""
    return (
        _around(alphas[shown.any(axis=1)], fit.law.alpha, alphas),
        _around(betas[shown.any(axis=0)], fit.law.beta, betas),
    )


def _around(shown: Array, optimum: float, axis: Array) -> tuple[float, float]:
    low, high = min([*shown, optimum]), max([*shown, optimum])
    room = 0.05 * ((high - low) or float(axis[-1] - axis[0]))
    return max(low - room, float(axis[0])), min(high + room, float(axis[-1]))


def _equal_shares(fit: ParametricFit, x: tuple[float, float], y: tuple[float, float]) -> list[Mark]:
    """Lines along which a = beta/(alpha + beta) is the same: this fit's, and faint ones at round values beside it."""
    own = fit.params_exponent.value
    marks: list[Mark] = []
    written: list[Array] = []
    size = np.array([x[1] - x[0], y[1] - y[0]])
    for share in _ROUND_SHARES[np.abs(_ROUND_SHARES - own) > _APART]:
        ends = _ray(share, x, y)
        if ends is None or np.abs((ends[1] - ends[0]) / size).max() < _SHORT:
            continue
        place = ends[0] + _WRITTEN * (ends[1] - ends[0])
        if all((np.abs(place - other) / size > _ROOM).any() for other in written):
            written.append(place)
            text = f"a = {exponent_number(share)}"
            marks += [
                Line(ends[:, 0], ends[:, 1], _WHITE, 0.7, "dash", hover=text),
                Text(float(place[0]), float(place[1]), text, _WHITE),
            ]
    ends = _ray(own, x, y)
    if ends is not None:
        text = f"a = beta/(alpha + beta) = {exponent_number(own)}"
        marks.append(Line(ends[:, 0], ends[:, 1], ORANGE, label=text, hover=text))
    return marks


def _ray(share: float, x: tuple[float, float], y: tuple[float, float]) -> Array | None:
    """Both ends (alpha, beta) of beta = alpha a/(1 - a) within the box, shape (2, 2); None where it misses it."""
    slope = share / (1 - share)
    low, high = max(x[0], y[0] / slope), min(x[1], y[1] / slope)
    return None if low >= high else np.array([[low, low * slope], [high, high * slope]])


def _published(analysis: Analysis, x: tuple[float, float], y: tuple[float, float]) -> list[Mark]:
    """Published pairs that count N as this fit does, where they lie inside."""
    counted = N_PARAMS_OF_COLUMN.get(analysis.options.n_params)
    marks: list[Mark] = []
    for name, symbol in _PUBLISHED:
        row = published_estimate(name)
        if row.n_params != counted or row.alpha is None or row.beta is None:
            continue
        if _within(row.alpha, x) and _within(row.beta, y):
            hover = f"{row.label}\nalpha = {row.alpha:.3f}\nbeta = {row.beta:.3f}\n{row.corpus}"
            place = np.array([row.alpha]), np.array([row.beta])
            marks.append(Points(*place, _WHITE, symbol, 6.0, label=row.label, edge=BLACK, hover=(hover,)))
    return marks


def _within(value: float, limits: tuple[float, float]) -> bool:
    """Whether a mark there is whole."""
    room = 0.02 * (limits[1] - limits[0])
    return limits[0] + room <= value <= limits[1] - room


def _caption(analysis: Analysis, profile: ExponentProfile, fit: ParametricFit) -> str:
    a = fit.params_exponent
    interval = interval_text(a.value, a.low, a.high, f"({100 * a.level:g} %)")
    if profile.inside is None:
        region = "No region is drawn: without resamples none is known."
    else:
        edges = (profile.inside[[0, -1]], profile.inside[:, [0, -1]])
        region = (
            f"The black line bounds the joint {100 * profile.level:g} % region: that share of the resamples lies at no "
            f"higher rise{'; it goes on beyond the exponents computed' if any(edge.any() for edge in edges) else ''}."
        )
    return (
        f"The objective of approach 3 ({profile.objective}) over {runs_words(analysis.table)}, minimised over E, A and "
        "B at each pair of exponents, less its minimum and relative to it (N: "
        f"{size_words(analysis.options.n_params)}). {region} On a line through the origin a = beta/(alpha + beta) is "
        f"the same; here a = {interval}. A long valley across these lines means that a is known no better "
        "than its length; exponents of other corpora need not agree."
    )
