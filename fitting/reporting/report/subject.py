"""Everything that a report is about, gathered before a word of it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...analysis import Analysis
from ...comparison.published_rows import Comparison, compare_with_published
from ...curves import CurveTable
from ...diagnostics import Warn
from ...errors import InputError
from ...prediction.predictor import Predictor
from ...prediction.sources import predictors_in
from .spending import Spending
from .sweep import SweepDetails


@dataclass(frozen=True)
class Subject:
    """One analysis with what is known of its runs' making; `sweep` is None where they are not a sweep's of ours.

    `curves` are training curves to draw, `source` is what the report is called after, `files` the tables that the runs
    were read from, `commands` what makes all of it again, `doubts` warnings beside the analysis's own.
    """

    analysis: Analysis
    source: str
    spending: Spending
    sweep: SweepDetails | None = None
    curves: CurveTable | None = None
    files: tuple[Path, ...] = ()
    commands: tuple[str, ...] = ()
    doubts: tuple[Warn, ...] = ()
    title: str = ""
    where: str = ""  # which rows of the source, as --where says it
    code: str = ""  # the commit that wrote this
    date: str = ""  # of the report
    sources: tuple[str, ...] = ()  # where `source` is of several: these, for the title

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """The content of fit.json."""
        return self.analysis.to_json()

    @cached_property
    def comparison(self) -> Comparison | None:
        """Beside the literature; None where there is no exponent to hold against it."""
        try:
            return compare_with_published(self.report)
        except InputError:
            return None

    @cached_property
    def predictors(self) -> Mapping[str, Predictor]:
        """Our laws by method, those that have one."""
        try:
            found: Sequence[Predictor] = predictors_in(self.report, self.source)
        except InputError:
            return {}
        return {predictor.name.rpartition(", ")[2]: predictor for predictor in found}

    @property
    def warnings(self) -> tuple[Warn, ...]:
        """The report's own and the analysis's."""
        return (*self.doubts, *self.analysis.warnings)

    @cached_property
    def flops(self) -> tuple[float, float]:
        """The least and the most compute of a fitted run, as the fit counts it."""
        values = self.analysis.table.fitted["flops"].to_numpy(dtype=float)
        return float(np.min(values)), float(np.max(values))
