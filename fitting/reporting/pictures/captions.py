"""What captions say alike: how N and C are counted, how many runs are drawn and how many are left out."""

from __future__ import annotations

from ...runs import RunTable
from ..marks import n_params_label
from ..style import unit_text


def size_words(n_params_convention: str) -> str:
    """What N counts, for the middle of a sentence: "total, embeddings included"."""
    return n_params_label(n_params_convention).removeprefix("parameters N ").strip("()")


def runs_words(table: RunTable) -> str:
    """How many runs are fitted, and how many are not: "48 runs" or "240 runs (5 more are left out)"."""
    fitted, left_out = int(table.usable.sum()), int((~table.usable).sum())
    more = f" ({left_out} more {'is' if left_out == 1 else 'are'} left out)" if left_out else ""
    return f"{fitted} run{'s' * (fitted != 1)}{more}"


def loss_label(table: RunTable, before: str = "") -> str:
    """The label of an axis of losses."""
    return f"{before} loss, {unit_text(table.loss_unit)}".strip()


def percent_text(fraction: float, signed: bool = False) -> str:
    """Such as "1.12 %" of .0112, or "+1.12 %"."""
    return f"{100 * fraction:{'+' * signed}.2f} %"
