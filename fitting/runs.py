"""The table of runs that every estimator reads: named columns with units, checked once, nothing dropped silently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .cells import bad_numbers, numbers_of, places, reasons_of, texts_of
from .counting import FLOP_CONVENTIONS
from .errors import InputError
from .query import rows_matching
from .shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REQUIRED = ("n_params", "tokens", "loss")
PARAMS_COLUMNS = ("n_params", "n_params_non_embedding", "n_params_blocks_and_head")
# What training one token costs under each convention; a column is "flops_" and the name.
FLOPS_CONVENTIONS = tuple(FLOP_CONVENTIONS)
FLOPS_COLUMNS = ("flops", *(f"flops_{name}" for name in FLOPS_CONVENTIONS))
NUMBERS = (
    *PARAMS_COLUMNS,
    "tokens",
    "loss",
    *FLOPS_COLUMNS,
    "budget",
    "loss_se",
    "bits_per_byte",
    "unique_tokens",
    "epochs",
    "step",
    "planned_steps",
    "planned_tokens",
    "lowest_loss",
)
COLUMNS = ("run", "source", *NUMBERS, "seed", "phase", "loss_unit", "state", "flag")
# In these a text may be a count with a suffix, as 60M.
COUNTS = (*PARAMS_COLUMNS, "tokens", *FLOPS_COLUMNS, "budget", "unique_tokens", "planned_tokens")
# One flag a row: what keeps it from being fitted. The order is that of the reasons given.
_FITTED_NUMBERS = ("n_params", "tokens", "loss", "flops")


@dataclass(frozen=True, repr=False)
class RunTable(Shown, says="runs.run_table"):
    """Runs, one row each (or an end point of a run): a validated copy of `frame`.

    Required columns: `n_params` and `tokens` (counts), `loss` (any one unit, as a rule nats per token). Others with
    a meaning: `run` (id), `source` and `source_line` (where the row stands), `flops` (training FLOPs), `budget`
    (planned FLOPs), `n_params_non_embedding`, `n_params_blocks_and_head`, `flops_<convention>`, `unique_tokens`,
    `epochs`, `seed`, `phase` ("cooled" or "hot"), `loss_se`, `bits_per_byte`, those that `quality` reads (`state`,
    `step`, `planned_steps`, `planned_tokens`, `lowest_loss`, `loss_unit`) and `flag`, the reason why a row must not
    be fitted ("" for none). Any other column is kept as it is.

    Rows whose numbers cannot be fitted are flagged here, stay in the table and are listed by `excluded`. Flags that
    came with the data are honoured unless `keep_flagged`; no setting fits a row without usable numbers.
    `notes` says what was assumed. Raises InputError for a missing column, a column that is not numeric, or a table
    without a usable row.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    keep_flagged: bool = False

    def __post_init__(self) -> None:
        frame, notes = _completed(self.frame)
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
        return cls(pd.DataFrame({name: values if values.ndim else values.item() for name, values in arrays.items()}))

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
            return name in usable and not bad_numbers(usable[name].to_numpy(dtype=float))

        return {
            "n_params": [name for name in PARAMS_COLUMNS if complete(name)],
            "flops": [_flops_label(name) for name in FLOPS_COLUMNS if complete(name)],
        }

    @property
    def flops_convention(self) -> str | None:
        """The name of the convention that `flops` equals in every fitted row, None if it is none of them."""
        usable = self.fitted
        own = usable["flops"].to_numpy(dtype=float)
        for label in self.conventions["flops"]:
            if label != "flops" and np.allclose(usable[f"flops_{label}"], own, rtol=1e-9, atol=0):
                return label
        return None

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

        `n_params` is a column; `flops` a column or a convention's name ("6nd" is flops_6nd). Raises InputError,
        listing what there is, for one that the table does not have.
        """
        known = self.conventions
        label = flops.removeprefix("flops_")
        if n_params not in known["n_params"] and not self._is_number_column(n_params):
            raise InputError(f"--n-params {n_params!r} is not in the table: choose {', '.join(known['n_params'])}")
        if label not in known["flops"] and not self._is_number_column(flops):
            raise InputError(f"--flops {flops!r} is not in the table: choose {', '.join(known['flops'])}")
        column = label if label == "flops" else f"flops_{label}"
        if (n_params, flops) == ("n_params", "flops"):
            return self
        frame = self._with_given_flags()
        chosen = {"n_params": frame[n_params], "flops": frame[column if label in known["flops"] else flops]}
        return replace(self, frame=frame.assign(**chosen))

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
            return _number_flags(self.frame).eq("")
        return pd.Series(self.frame["flag"]).eq("")

    def _is_number_column(self, name: str) -> bool:
        return name in self.frame and pd.api.types.is_numeric_dtype(self.frame[name]) and name not in ("loss", "seed")

    def _with_given_flags(self) -> pd.DataFrame:
        """The frame with only the flags that came with the data: those of the numbers are made afresh."""
        frame = self.frame.copy()
        return frame.assign(flag=frame["flag"].where(frame["flag"] != _number_flags(frame), ""))


def _completed(given: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A checked copy of `given` with every derived column, and what was assumed in making it."""
    frame = given.reset_index(drop=True)  # which pandas copies where it is written to
    frame.columns = [str(name) for name in frame.columns]
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"column {repeated[0]!r} occurs twice: name each column once")
    for name in REQUIRED:
        if name not in frame:
            raise InputError(f"no column {name!r} among {', '.join(frame.columns)}: name it with --columns {name}=COL")
    for name in NUMBERS:
        if name in frame:
            frame[name] = numbers_of(frame, name, suffixes=name in COUNTS)
    notes = _derive_flops(frame)
    for name in ("run", "source"):
        if name not in frame:
            frame[name] = [f"row {i + 1}" for i in range(len(frame))] if name == "run" else ""
        frame[name] = texts_of(pd.Series(frame[name]))
    flags = _number_flags(frame)
    if "flag" in frame:
        own = reasons_of(pd.Series(frame["flag"]))
        flags = own.where(own != "", flags)
    frame["flag"] = flags.astype(object)
    return frame, notes


def _reasons(rows: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {"run": str(run), "reason": str(flag)} | ({"source": place} if place else {})
        for run, flag, place in zip(rows["run"], rows["flag"], places(rows), strict=True)
    ]


def _derive_flops(frame: pd.DataFrame) -> list[str]:
    """Fill in the two counts that follow from N and D, and `flops` itself where the table has none."""
    for name, params in (("flops_6nd", "n_params"), ("flops_6nd_non_embedding", "n_params_non_embedding")):
        if params in frame:
            derived = 6.0 * frame[params] * frame["tokens"]
            frame[name] = frame[name].where(frame[name].notna(), derived) if name in frame else derived
    if "flops" in frame:
        return []
    frame["flops"] = frame["flops_6nd"]
    return ["no FLOP column: C = 6 N D is assumed"]


def _number_flags(frame: pd.DataFrame) -> pd.Series:
    flags = np.full(len(frame), "", dtype=object)
    for name in reversed(_FITTED_NUMBERS):
        for row, reason in bad_numbers(frame[name].to_numpy(dtype=float)).items():
            flags[row] = f"{name} {reason}"
    return pd.Series(flags, index=frame.index, dtype=object)


def _flops_label(column: str) -> str:
    return column.removeprefix("flops_")
