"""What a run's point says when a reader points at it, and where a click on it leads."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from ...estimators.isoflop.replicates import SETTINGS
from ...results import Minimum
from ..style import count_text, flops_text, number_text

_COUNTS = (("n_params", "N", count_text), ("tokens", "D", count_text), ("flops", "C", flops_text))
_RATES = tuple(name for name in SETTINGS if name.endswith(("rate", "lr")))


def run_hover(frame: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of each row its lines of text and its address, "" without a column `url`.

    The lines hold what the table knows of: the run's name; N, D and C; the loss; learning rate and seed; and the flag,
    why it must not be fitted.
    """
    rows = cast("list[dict[str, object]]", frame.to_dict("records"))
    return tuple(map(_text, rows)), tuple(_word(row, "url") for row in rows)


def minimum_hover(minimum: Minimum) -> str:
    """The lines of a budget's interior minimum: its size with one standard error, tokens, loss and runs."""
    n_params, tokens, loss = (
        np.nan if number is None else number for number in (minimum.n_params, minimum.tokens, minimum.loss)
    )
    error = "" if minimum.log_n_params_se is None else f" (±{100 * minimum.log_n_params_se:.2g} %, 1 SE)"
    return "\n".join(
        (
            f"minimum at {flops_text(minimum.budget)} FLOPs, {minimum.n_runs} runs",
            f"N* {count_text(n_params)}{error}, D* {count_text(tokens)}",
            f"loss {loss:.4f}",
        )
    )


def _text(row: dict[str, object]) -> str:
    counts = [
        f"{letter} {write(number)}" for name, letter, write in _COUNTS if (number := _number(row, name)) is not None
    ]
    rates = [f"learning rate {number:.3g}" for name in _RATES if (number := _number(row, name)) is not None][:1]
    seeds = [f"seed {word}"] if (word := _word(row, "seed")) else []
    loss = _number(row, "loss")
    lines = [
        _word(row, "run"),
        ", ".join(counts),
        "" if loss is None else f"loss {loss:.4f}",
        ", ".join([*rates, *seeds]),
        f"flag: {word}" if (word := _word(row, "flag")) else "",
    ]
    return "\n".join(line for line in lines if line)


def _number(row: dict[str, object], name: str) -> float | None:
    try:
        number = float(row.get(name, np.nan))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _word(row: dict[str, object], name: str) -> str:
    """A cell as text, whole numbers without their ".0" and missing ones as ""."""
    number = _number(row, name)
    value = row.get(name)
    if number is not None and not isinstance(value, str):
        return number_text(number)
    return value if isinstance(value, str) else ""
