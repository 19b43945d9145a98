"""The table of runs that every estimator reads: named columns with units, checked once, nothing dropped silently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .cells import bad_numbers, places
from .errors import InputError
from .query import rows_matching
from .run_columns import (
    COUNTED,
    FLOPS_COLUMNS,
    FLOPS_CONVENTIONS,
    GIVEN,
    PARAMS_COLUMNS,
    REQUIRED,
    completed,
    mistyped,
    number_flags,
    own_count,
)
from .shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class RunTable(Shown, says="runs.run_table"):
    """Runs, one row each (or an end point of a run): a validated copy of `frame`.

    Required columns: `n_params` and `tokens` (counts), `loss` (one unit, as a rule nats per token). A table with only
    another count of N (below) counts by that one. Others with a meaning: `run` (id), `source` and `source_line`
    (where the row stands), `flops` (training FLOPs), `budget` (planned FLOPs), `n_params_non_embedding`,
    `n_params_blocks_and_head`, `flops_<convention>`, `unique_tokens`, `epochs`, `seed`, `phase` ("cooled" or "hot"),
    `loss_se`, `bits_per_byte`, those that `quality` reads (`state`, `step`, `planned_steps`, `planned_tokens`,
    `lowest_loss`, `loss_unit`) and `flag`, the reason why a row must not be fitted ("" for none). Any other column is
    kept as it is.

    Rows whose numbers cannot be fitted are flagged here, stay in the table and are listed by `excluded`. Flags that
    came with the data are honoured unless `keep_flagged`; no setting fits a row without usable numbers.
    `notes` says what was assumed. Raises InputError for a missing column, a column that is not numeric, or a table
    without a usable row.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    keep_flagged: bool = False

    def __post_init__(self) -> None:
        frame, notes = completed(self.frame)
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "notes", tuple(dict.fromkeys((*self.notes, *notes))))
        if not self.usable.any():
            first = next((flag for flag in frame["flag"] if flag), "the table has no rows")
            raise InputError(f"no usable run among {len(frame)}: the first is out because {first}")

    @classmethod
    def from_arrays(
        cls, n_params: ArrayLike, tokens: ArrayLike, loss: ArrayLike, **columns: ArrayLike | str
    ) -> RunTable:
        """From lists or arrays (n,), one entry a run: `RunTable.from_arrays(n_params, tokens, loss, budget=budgets)`.

        Counts, tokens and losses as in the table; `columns` are any of its others by name, a single value standing for
        every run. A DataFrame needs no such help: `RunTable(frame)`. Raises InputError for arrays of several lengths.
        """
        named: dict[str, ArrayLike | str] = {"n_params": n_params, "tokens": tokens, "loss": loss, **columns}
        arrays = {name: np.asarray(values) for name, values in named.items()}
        count = arrays["loss"].size
        for name, values in arrays.items():
            single = values.ndim == 0 and name not in REQUIRED
            if not single and values.shape != (count,):
                raise InputError(f"{name} has shape {values.shape}: it must be ({count},), one entry for each loss")
        frame = pd.DataFrame({name: values if values.ndim else values.item() for name, values in arrays.items()})
        return cls(frame, tuple(filter(None, map(mistyped, columns))))

    def plot(self) -> Figure:
        """Size and loss of each run against its compute, as a matplotlib figure."""
        from .reporting.pictures.paper import draw
        from .reporting.pictures.runs import runs_picture

        return draw(runs_picture(self))

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def fitted(self) -> pd.DataFrame:
        """The rows to fit, with a fresh index."""
        return self.frame.loc[self.usable].reset_index(drop=True)

    @property
    def excluded(self) -> list[dict[str, str]]:
        """Every row that is not fitted: its run, the reason, and where it stands (`source`, where that is known)."""
        return _reasons(self.frame.loc[~self.usable])

    @property
    def kept(self) -> list[dict[str, str]]:
        """Every row that is fitted despite its flag, as `excluded` tells the others; none without `keep_flagged`."""
        return _reasons(self.frame.loc[self.usable & self.frame["flag"].ne("")])

    @property
    def budgets(self) -> NDArray[np.float64] | None:
        """The planned budget of each fitted row in FLOPs; None where some row has none (`unbudgeted` says which)."""
        return None if self.unbudgeted else self.fitted["budget"].to_numpy(dtype=float)

    @property
    def unbudgeted(self) -> str:
        """Why the budgets have to be guessed, "" where they have not."""
        if "budget" not in self.frame:
            return "no budget column"
        fitted = self.fitted
        wrong = bad_numbers(fitted["budget"].to_numpy(dtype=float))
        if not wrong:
            return ""
        row, reason = next(iter(wrong.items()))
        return (
            f"{len(wrong)} of {len(fitted)} runs have no budget (first: {fitted['run'].iloc[row]}, where it {reason})"
        )

    @property
    def conventions(self) -> dict[str, list[str]]:
        """The parameter counts (columns) and FLOP counts (names) that every fitted row has."""
        usable = self.fitted

        def complete(name: str) -> bool:
            own = GIVEN.get(name, "")
            column = own if own in usable else name
            if name == "n_params" != own_count(usable):
                return False
            return column in usable and not bad_numbers(usable[column].to_numpy(dtype=float))

        return {
            "n_params": [name for name in PARAMS_COLUMNS if complete(name)],
            "flops": [_flops_label(name) for name in FLOPS_COLUMNS if complete(name)],
        }

    @property
    def flops_convention(self) -> str | None:
        """The name of the convention that `flops` is by `with_conventions`, or equals in every fitted row, or None."""
        if self.counted_flops in FLOPS_CONVENTIONS:
            return self.counted_flops
        usable = self.fitted
        own = usable["flops"].to_numpy(dtype=float)
        for label in self.conventions["flops"]:
            if label != "flops" and np.allclose(usable[f"flops_{label}"], own, rtol=1e-9, atol=0):
                return label
        return None

    @property
    def counted_n_params(self) -> str:
        """The column that `n_params` is of: its own, unless `with_conventions` put another in its place.

        This and `counted_flops` travel in the frame. Raises InputError for rows that are counted in several ways.
        """
        return self._counted("n_params")

    @property
    def counted_flops(self) -> str:
        """What `flops` counts by `with_conventions`: a convention's name or a column; "flops", the table's own."""
        return self._counted("flops")

    @property
    def as_given(self) -> RunTable:
        """The same runs counted by the table's own columns again, as before `with_conventions`."""
        there = [name for name, column in GIVEN.items() if column in self.frame]
        if not there:
            return self
        frame = self._with_given_flags()
        own = frame.assign(**{name: frame[GIVEN[name]] for name in there})
        return replace(self, frame=own.drop(columns=[kept[name] for name in there for kept in (GIVEN, COUNTED)]))

    @property
    def loss_unit(self) -> str | None:
        """What the fitted losses are in, where the column `loss_unit` says one thing of all of them."""
        return self._one_of("loss_unit")

    @property
    def corpus(self) -> str | None:
        """What the fitted runs were trained and validated on, where the column `corpus` says one thing of all of them.

        In sweeps of ours it is a fingerprint that covers the tokenizer and the split.
        """
        return self._one_of("corpus")

    def _one_of(self, column: str) -> str | None:
        """The one value of a column in the fitted rows; None where it has several, or there is no such column."""
        values = pd.Series(self.fitted[column]).dropna().unique() if column in self.frame else ()
        return str(values[0]) if len(values) == 1 else None

    def with_conventions(self, n_params: str = "n_params", flops: str = "flops") -> RunTable:
        """The same runs counted differently: `n_params` and `flops` are then those of the columns named.

        `n_params` is a column; `flops` a column or a convention's name ("6nd" is flops_6nd); both mean the columns as
        they were given, however the table counts now. Fits, pictures and comparisons of the result are labelled by
        `counted_n_params` and `counted_flops`. Raises InputError, listing what there is, for one that the table does
        not have.
        """
        base = self.as_given
        known = base.conventions
        label = flops.removeprefix("flops_")
        own = own_count(base.frame)
        n_params = own if n_params == "n_params" else n_params
        if n_params not in known["n_params"] and not base._is_number_column(n_params):
            raise InputError(f"--n-params {n_params!r} is not in the table: choose {', '.join(known['n_params'])}")
        if label not in known["flops"] and not base._is_number_column(flops):
            raise InputError(f"--flops {flops!r} is not in the table: choose {', '.join(known['flops'])}")
        column = label if label == "flops" else f"flops_{label}"
        frame = base._with_given_flags()
        chosen: dict[str, pd.Series | str] = {}
        for name, source, said in (
            ("n_params", n_params, n_params),
            ("flops", *((column, label) if label in known["flops"] else (flops, flops))),
        ):
            if source not in (name, own):
                chosen |= {name: frame[source], GIVEN[name]: frame[name], COUNTED[name]: said}
        return replace(base, frame=frame.assign(**chosen)) if chosen else base

    def where(self, query: str) -> RunTable:
        """The rows for which `query`, a condition on columns, holds (see `query.rows_matching` for its language).

        Raises InputError for a bad query and for one that selects nothing usable.
        """
        chosen = rows_matching(self.frame, query)
        if not chosen.any():
            raise InputError(f"--where {query!r} selects none of {len(self.frame)} runs")
        return replace(self, frame=self._with_given_flags()[chosen])

    @property
    def usable(self) -> pd.Series:
        """Which rows are fitted, one boolean a row."""
        if self.keep_flagged:
            return number_flags(self.frame).eq("")
        return pd.Series(self.frame["flag"]).eq("")

    def _counted(self, name: str) -> str:
        if COUNTED[name] not in self.frame:
            return name
        said = pd.Series(self.fitted[COUNTED[name]]).fillna(name).map(str).unique()
        if len(said) > 1:
            raise InputError(f"runs count {name} in several ways, {' and '.join(said)}: give tables of one alone")
        return str(said[0])

    def _is_number_column(self, name: str) -> bool:
        return name in self.frame and pd.api.types.is_numeric_dtype(self.frame[name]) and name not in ("loss", "seed")

    def _with_given_flags(self) -> pd.DataFrame:
        """The frame with only the flags that came with the data: those of the numbers are made afresh."""
        frame = self.frame.copy()
        return frame.assign(flag=frame["flag"].where(frame["flag"] != number_flags(frame), ""))


def _reasons(rows: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {"run": str(run), "reason": str(flag)} | ({"source": place} if place else {})
        for run, flag, place in zip(rows["run"], rows["flag"], places(rows), strict=True)
    ]


def _flops_label(column: str) -> str:
    return column.removeprefix("flops_")
