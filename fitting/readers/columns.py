"""Which column of a stranger's table is which of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from ..errors import InputError
from ..query import values_of
from ..runs import COLUMNS, NUMBERS, REQUIRED, numbers_of
from .log import Log
from .mapping import ColumnMap

# Names seen in published tables and in logs, best first; compared without case, spaces, dashes, dots and underscores.
ALIASES = {
    "n_params": ("params", "num_params", "parameters", "num_parameters", "total_params", "model_params", "n_total",
                 "model_size", "parameter_count", "model/num_parameters", "N"),
    "tokens": ("n_tokens", "num_tokens", "train_tokens", "training_tokens", "total_tokens", "tokens_seen",
               "tokens_trained", "num_input_tokens_seen", "train/num_input_tokens_seen", "train/tokens", "D"),
    "loss": ("final_loss", "val_loss", "validation_loss", "eval_loss", "eval/loss", "val/loss", "test_loss",
             "validation/loss", "final_val_loss", "final_eval_loss", "best_val_loss", "L"),
    "flops": ("flop", "total_flops", "train_flops", "training_flops", "training_flop", "compute", "C"),
    "budget": ("flops_budget", "flop_budget", "compute_budget", "isoflop_budget"),
    "run": ("run_id", "run_name", "id"),
    "n_params_non_embedding": ("params_non_embedding", "non_embedding_params", "n_nonembed", "n_non_embedding",
                               "num_params_non_embedding"),
    "bits_per_byte": ("bpb",),
    "loss_se": ("loss_stderr", "loss_std_err", "loss_standard_error"),
    "planned_steps": ("max_steps", "num_train_steps", "total_steps", "num_iterations"),
    "planned_tokens": ("target_tokens", "max_tokens"),
    "state": ("status",),
}  # fmt: skip
# In a log a plain "loss" is the training's, of one batch: what was validated comes first.
TRAINING_LOSSES = ("loss", "train_loss", "train/loss", "training_loss")
_LOSSES_OF_LOGS = (*ALIASES["loss"], *TRAINING_LOSSES)
_PREFIXES = ("", "summary.", "config.", "run.")
_FORMULA = re.compile(r"[`*]|\s[-+/]\s")
# What quality control reads: a column that merely has such a name must not stop a fit.
_ONLY_NUMERIC = ("step", "planned_steps", "planned_tokens", "lowest_loss")


def name_columns(log: Log, mapping: ColumnMap) -> tuple[dict[str, str], list[str]]:
    """Their column (or formula) for each of ours that `log` has, and notes of every guess.

    What the user names wins, then the mapping file, then our exact names, then our names in any spelling, then the
    aliases. Raises InputError for a name given that is not there and for a required column that cannot be found.
    """
    names = [str(name) for name in log.frame.columns]
    found = {ours: _existing(ours, theirs, names, log.source) for ours, theirs in mapping.exact.items()}
    for ours, alternatives in mapping.columns.items():
        match = next((theirs for theirs in alternatives if _is_there(theirs, names)), None)
        if match is not None:
            found.setdefault(ours, match)
    notes: list[str] = []
    taken = set(found.values())
    for ours in COLUMNS:
        if ours in found or ours in mapping.values or ours in ("flag", "source"):
            continue
        left = [name for name in names if name not in taken or name == ours]
        guess = (ours if ours in left else None) if log.ours else _guess(ours, left, log.history is not None)
        if guess is None or (ours in _ONLY_NUMERIC and not pd.api.types.is_numeric_dtype(log.frame[guess])):
            continue
        found[ours] = guess
        if guess != ours:
            taken.add(guess)
            notes.append(f"column {guess!r} is read as {ours}")
    for ours in REQUIRED:
        if ours not in found and ours not in mapping.values:
            tried = f" ({mapping.file} names {', '.join(mapping.columns[ours])})" if ours in mapping.columns else ""
            remedies = [note for note in log.notes if f"--columns {ours}=" in note]
            remedy = "; ".join(remedies) or f"name it with --columns {ours}=COL"
            raise InputError(f"{log.source}: no column for {ours} among {_listed(names)}{tried}: {remedy}")
    return found, notes


def with_columns(frame: pd.DataFrame, found: dict[str, str], mapping: ColumnMap) -> pd.DataFrame:
    """`frame` with our columns added beside its own. Raises InputError for text where a number is due."""
    values: dict[str, pd.Series | str | float] = dict(mapping.values)
    for ours, theirs in found.items():
        if theirs not in frame.columns:
            values[ours] = values_of(frame, theirs, f"column {ours}")
        else:  # Numbers are checked here, where the file's own name of the column is known.
            values[ours] = numbers_of(frame, theirs, counts=ours) if ours in NUMBERS else pd.Series(frame[theirs])
    return frame.assign(**values)


def _existing(ours: str, theirs: str, names: Sequence[str], source: str) -> str:
    if not _is_there(theirs, names):
        raise InputError(f"{source}: --columns {ours}={theirs}: no column {theirs!r} among {_listed(names)}")
    return theirs


def _is_there(theirs: str, names: Sequence[str]) -> bool:
    """Whether it is a column, or a formula whose columns are all there."""
    return all(name in names for name in columns_in(theirs, names))


def columns_in(theirs: str, names: Sequence[str]) -> list[str]:
    """The columns of `names` that `theirs` is made of: itself, or those of a formula, which need not be there."""
    if theirs in names or not _FORMULA.search(theirs):
        return [theirs]
    bare = re.sub(r"`[^`]*`|\b\d[\d.]*(?:[eE][+-]?\d+)?", " ", theirs)
    return [*re.findall(r"`([^`]*)`", theirs), *re.findall(r"[A-Za-z_]\w*", bare)]


def _guess(ours: str, names: Sequence[str], logged: bool) -> str | None:
    if ours in names and not (logged and ours == "loss"):
        return ours
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_plain(name), name)
    aliases = _LOSSES_OF_LOGS if logged and ours == "loss" else (ours, *ALIASES.get(ours, ()))
    for alias in aliases:
        # Single letters are meant as capitals; but "l" or "c" as such is taken too when nothing else is there.
        for prefix in _PREFIXES if logged else ("",):
            match = plain.get(_plain(prefix + alias))
            if match is not None:
                return match
    return None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-./")


def _listed(names: Sequence[str], most: int = 60) -> str:
    """Logs have hundreds of columns: those that a user could mean come first, the rest is counted."""
    if len(names) <= most:
        return ", ".join(names)
    words = ("loss", "param", "token")
    first = sorted(names, key=lambda name: not any(word in name.casefold() for word in words))[:most]
    return f"{', '.join(first)} and {len(names) - most} more"
