"""Links: a benchmark's score from its loss, falling as the loss rises, by weighted least squares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ..errors import InputError
from ..estimators.forms.search import FormFit, fit_form
from ..estimators.forms.starts import Parameter
from ..laws import ErrorLaw
from ..results import FitStatus

Array = NDArray[np.float64]
Values = Mapping[str, float | Array]


def _sigmoid(
    x: Array, *, floor: float | Array, ceiling: float | Array, steepness: float | Array, midpoint: float | Array
) -> Array:
    return floor + (ceiling - floor) * expit(steepness * (midpoint - x))


def _linear(x: Array, *, intercept: Array, slope: Array) -> Array:
    return intercept + slope * x


def _exponential(x: Array, *, floor: Array, height: Array, gamma: Array) -> Array:
    return floor + height * np.exp(-gamma * x)


@dataclass(frozen=True)
class _Family:
    """A shape, its parameters over losses in units of their range about their middle, and the way back to losses."""

    shape: Callable[..., Array]
    parameters: tuple[Parameter, ...]
    restored: Callable[[Values, float, float], Values]


def _steep(values: Values, middle: float, width: float) -> Values:
    return {
        **values,
        "steepness": values["steepness"] / width,
        "midpoint": middle + width * values["midpoint"],
    }


def _sloped(values: Values, middle: float, width: float) -> Values:
    slope = values["slope"] / width
    return {"intercept": values["intercept"] - slope * middle, "slope": slope}


def _decaying(values: Values, middle: float, width: float) -> Values:
    gamma = values["gamma"] / width
    return {**values, "height": values["height"] * np.exp(gamma * middle), "gamma": gamma}


_FLOOR, _CEILING = Parameter("floor", 0.0, 1.0), Parameter("ceiling", 0.0, 1.0)
_FAMILIES = {
    "sigmoid": _Family(
        _sigmoid,
        (
            _FLOOR,
            _CEILING,
            Parameter("steepness", 0.05, 500.0, (1.0, 50.0)),
            Parameter("midpoint", -10.0, 10.0, (-1.5, 1.0)),
        ),
        _steep,
    ),
    "linear": _Family(_linear, (Parameter("intercept"), Parameter("slope")), _sloped),
    "exponential": _Family(
        _exponential, (_FLOOR, Parameter("height", 0.0), Parameter("gamma", 1e-3, 100.0, (0.1, 20.0))), _decaying
    ),
}
LINKS = tuple(_FAMILIES)


@dataclass(frozen=True)
class Link:
    """score(L), a share from 0 to 1, for a loss L in the unit that was fitted.

    "sigmoid": floor + (ceiling - floor) / (1 + exp(k (L - L0))), k the `steepness` and L0 the `midpoint` (Bhagia 2024,
    arXiv:2412.04403, equation 3, with k of the other sign); "linear": intercept + slope L; "exponential": floor +
    height exp(-gamma L), which is 1 - Err(L) of `laws.ErrorLaw` (Gadre 2024, arXiv:2403.08540, equation 5) with
    epsilon = 1 - floor. The last two are cut off at `lowest` and `highest`. The values may be arrays, one entry a
    resample.
    """

    name: str
    values: Values
    lowest: float = 0.0
    highest: float = 1.0

    def score(self, loss: ArrayLike) -> Array:
        """The score at `loss`, which broadcasts with the values."""
        found = _FAMILIES[self.name].shape(np.asarray(loss, dtype=float), **self.values)
        return found if self.name == "sigmoid" else np.clip(found, self.lowest, self.highest)

    @property
    def falls(self) -> bool:
        """Whether a lower loss has a higher score."""
        known = self.values
        if self.name == "sigmoid":
            return bool(known["ceiling"] > known["floor"])
        return bool(known["slope"] < 0 if self.name == "linear" else known["height"] > 0)

    @property
    def error_law(self) -> ErrorLaw | None:
        """The exponential link as the law of errors; None for the others."""
        if self.name != "exponential":
            return None
        values = {name: float(value) for name, value in self.values.items()}
        return ErrorLaw(1 - values["floor"], values["height"], values["gamma"])


@dataclass(frozen=True)
class LinkFit:
    """A link at its optimum. `at_bound` names the parameters on a bound, `known` those that were given."""

    link: Link
    status: FitStatus
    at_bound: tuple[str, ...]
    known: tuple[str, ...]
    _x: Array  # losses in units of their range about their middle
    _y: Array
    _form: FormFit
    _free: tuple[str, ...]
    _middle: float
    _width: float
    _anchored: bool
    _full: FormFit | None  # the sigmoid with its ceiling at 1, where the ceiling was fitted

    @property
    def n_free(self) -> int:
        """How many parameters were fitted."""
        return len(self._free)

    def refit(self, weights: Array) -> Link:
        """The link under each row of `weights` (m, n), as one link with values (m,); NaN where there is no optimum."""
        own = np.pad(weights, ((0, 0), (0, 1)), constant_values=1.0) if self._anchored else weights
        theta = np.full((len(own), len(self._free)), np.nan) if self._full is None else self._at_full_score(own)
        rest = np.flatnonzero(np.isnan(theta).any(axis=1))
        if len(rest):
            inner, good = self._form.resample(own[rest])
            theta[rest] = np.where(good[:, None], inner, np.nan)
        found: Values = dict(zip(self._free, theta.T, strict=True))
        values = _FAMILIES[self.link.name].restored({**found, **self._known_values}, self._middle, self._width)
        return Link(self.link.name, values, self.link.lowest, self.link.highest)

    def _at_full_score(self, weights: Array) -> Array:
        """The parameters of each resample whose ceiling would rise beyond 1, held there, (m, p); NaN for the others."""
        assert self._full is not None
        theta, good = self._full.resample(weights)
        theta = np.insert(theta, self._free.index("ceiling"), 1.0, axis=1)
        values = {**dict(zip(self._free, theta.T[:, :, None], strict=True)), **self._known_values}
        residual = self._y - _sigmoid(self._x, **values)
        wants_more = weights * residual * expit(values["steepness"] * (values["midpoint"] - self._x))
        return np.where((good & (wants_more.sum(axis=1) > 0))[:, None], theta, np.nan)

    @property
    def _known_values(self) -> dict[str, float | Array]:
        return {name: self.link.values[name] for name in self.known}


def fit_link(
    name: str,
    loss: ArrayLike,
    score: ArrayLike,
    *,
    chance: float | None = None,
    ceiling: float | None = None,
    anchor: float | None = None,
) -> LinkFit:
    """Least squares over the points (n,); scores and `chance`, `ceiling`, `anchor` are shares from 0 to 1.

    `chance` and `ceiling` fix the floor and the ceiling of the sigmoid, `chance` the floor of the exponential; both cut
    off what the other links predict. Without them floor and ceiling are fitted, within 0 to 1. `anchor` adds to the
    sigmoid's points one of that score at loss 0, as OLMo's ladder does with 1 (arXiv:2412.04403, section 3.3).

    Raises InputError for an unknown link and for losses that are all equal; FitError for too few points.
    """
    if name not in _FAMILIES:
        raise InputError(f"--link {name}: choose one of {', '.join(LINKS)}")
    family = _FAMILIES[name]
    x, y = np.asarray(loss, dtype=float), np.asarray(score, dtype=float)
    middle, width = float(x.mean()), float(np.ptp(x))
    if not width > 0:
        raise InputError(f"every loss is {middle:.4g}: a link needs runs of different losses")
    anchored = name == "sigmoid" and anchor is not None
    if anchor is not None and anchored:
        x, y = np.append(x, 0.0), np.append(y, anchor)
    x = (x - middle) / width
    names = [parameter.name for parameter in family.parameters]
    given = {"floor": chance, "ceiling": ceiling}
    known = {key: value for key, value in given.items() if value is not None and key in names}
    form, keys = _fit(family, x, y, known)
    open_top = name == "sigmoid" and "ceiling" not in known
    full = _fit(family, x, y, {**known, "ceiling": 1.0})[0] if open_top else None
    values = family.restored({**dict(zip(keys, map(float, form.theta), strict=True)), **known}, middle, width)
    at_bound = tuple(key for key, bound in zip(keys, form.at_bound, strict=True) if bound)
    converged = FitStatus.CONVERGED if form.converged else FitStatus.MAX_ITER
    return LinkFit(
        link=Link(name, values, chance or 0.0, 1.0 if ceiling is None else ceiling),
        status=FitStatus.BOUND_HIT if at_bound else converged,
        at_bound=at_bound,
        known=tuple(known),
        _x=x,
        _y=y,
        _form=form,
        _free=keys,
        _middle=middle,
        _width=width,
        _anchored=anchored,
        _full=full,
    )


def _fit(family: _Family, x: Array, y: Array, known: Mapping[str, float]) -> tuple[FormFit, tuple[str, ...]]:
    """The optimum over what is not `known`, and the names of its parameters."""
    free = tuple(parameter for parameter in family.parameters if parameter.name not in known)
    keys = tuple(parameter.name for parameter in free)

    def predict(theta: Array) -> Array:
        return family.shape(x, **dict(zip(keys, theta.T[:, :, None], strict=True)), **known)

    return fit_form(predict, free, y, np.ones(len(y)), "mse"), keys
