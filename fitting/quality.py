"""Which runs must not be fitted, by what their own columns say of them."""

from __future__ import annotations

import pandas as pd


def flagged(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`frame` with the reason in `flag` of every row that must not be fitted, and notes on what was found."""
    return frame, []
