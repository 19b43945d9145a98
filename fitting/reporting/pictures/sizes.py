"""Model sizes in few colours: each its own where there are few of them, else classes of equal width in ln N."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...curves import size_groups
from ..style import count_text, sequential_colors

_MOST = 7  # colours that a reader tells apart along one scale


@dataclass(frozen=True)
class SizeClasses:
    """The class of each size given, shape (n,); the classes' labels and colours, from small to large."""

    of: NDArray[np.int_]
    labels: tuple[str, ...]
    colors: tuple[str, ...]


def size_classes(n_params: ArrayLike) -> SizeClasses:
    """Classes of `n_params` (n,), positive counts; sizes within 1 % are one. Every class holds a size."""
    n = np.asarray(n_params, dtype=float)
    of = size_groups(n)
    if of.max() >= _MOST:
        edges = np.linspace(float(np.log(n.min())), float(np.log(n.max())), _MOST + 1)[1:-1]
        of = np.unique(np.digitize(np.log(n), edges), return_inverse=True)[1].reshape(-1)
    count = int(of.max()) + 1
    spans = [(n[of == place].min(), n[of == place].max()) for place in range(count)]
    labels = tuple(f"N = {_span(*span)}" for span in spans)
    return SizeClasses(of, labels, tuple(sequential_colors(count)))


def _span(low: float, high: float) -> str:
    """Such as "15M", or "15M–40M" where the texts of both ends differ."""
    ends = dict.fromkeys((count_text(low), count_text(high)))
    return count_text(float(np.sqrt(low * high))) if high < low * 1.02 else "–".join(ends)
