"""Which column of a stranger's table is which of ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import pandas as pd

from ..cells import numbers_of
from ..errors import InputError
from ..query import check_formula, values_of
from ..run_columns import COLUMNS, COUNTS, NUMBERS, PARAMS_COLUMNS, REQUIRED
from .log import Log
from .mapping import ColumnMap

# Names seen in published tables and in logs, best first; words are compared without case, spaces, dashes,
# dots, underscores and slashes, single letters as they are.
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
_FORMULA = re.compile(r"[`*]|\s[-+/]\s")
_A_LOSS = re.compile(r"(?!loss_se(_|$))(loss|bits_per_byte)(_|$)")  # in our records
_OPERATOR = re.compile(r"[-+*/]")
_AS_FORMULA = "; a formula has spaces around + - /, and `backticks` around names that are no plain words"
# What quality control reads: a column that merely has such a name must not stop a fit.
_ONLY_NUMERIC = ("step", "planned_steps", "planned_tokens", "lowest_loss")


def name_columns(log: Log, mapping: ColumnMap) -> tuple[dict[str, str], list[str]]:
    """Their column (or formula) for each of ours that `log` has, and notes of every guess.

    What the user names wins, then the mapping file, then our exact names, then our names in any spelling, then the
    aliases. Raises InputError for a name given that is not there and for a required column that cannot be found.
    """
    names = [str(name) for name in log.frame.columns]
    logged = log.history is not None
    found = {ours: _existing(ours, theirs, names, log) for ours, theirs in mapping.exact.items()}
    notes: list[str] = []
    for ours, alternatives in mapping.columns.items():
        match = next((theirs for theirs in alternatives if _is_there(theirs, names)), None)
        if match is not None:
            found.setdefault(ours, match)
        elif ours in REQUIRED and ours not in found:
            notes.append(f"{mapping.file} names {', '.join(alternatives)} for {ours}: not in {log.source}")
    taken = set(found.values())
    for ours in COLUMNS:
        if ours in found or ours in mapping.values or ours in ("flag", "source"):
            continue
        left = [name for name in names if name not in taken or name == ours]
        guess = (ours if ours in left else None) if log.ours else guessed_column(ours, left, logged)
        if guess is None or (ours in _ONLY_NUMERIC and not pd.api.types.is_numeric_dtype(log.frame[guess])):
            continue
        found[ours] = guess
        said = "" if log.ours or ours != "loss" else _of_losses(guess, names, logged)
        if guess != ours or said:
            taken.add(guess)
            notes.append(f"column {guess!r} is read as {ours}{said}")
    if "loss" in mapping.exact and found["loss"] != "loss":
        notes.append(f"the loss fitted is {found['loss']!r}")
    if "loss" in found and not any("loss_se" in given for given in (mapping.exact, mapping.columns, mapping.values)):
        found = _with_own_error(found, names)
    missing = [ours for ours in REQUIRED if ours not in found and ours not in mapping.values]
    if any(name in found for name in PARAMS_COLUMNS):
        missing = [ours for ours in missing if ours != "n_params"]  # N is then counted by the one that is there
    if missing:
        raise InputError(_not_there(missing, names, notes, log))
    return found, notes


def _with_own_error(found: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """`found` with the loss's own standard error: `loss_se_code` is that of `loss_code`, `loss_se` that of `loss`."""
    loss = found["loss"]
    prefix, _, name = loss.rpartition(".")
    candidates = [f"{loss}_se", f"{loss}_stderr"]
    if name.startswith("loss_"):
        candidates.insert(0, f"{prefix}{'.' if prefix else ''}loss_se_{name.removeprefix('loss_')}")
    own = next((each for each in candidates if each in names), None)
    if own is not None:
        return found | {"loss_se": own}
    stranger = loss != "loss" and "loss" in names
    return {ours: theirs for ours, theirs in found.items() if not (stranger and ours == "loss_se")}


def _not_there(missing: Sequence[str], names: Sequence[str], notes: Sequence[str], log: Log) -> str:
    """What to say where no column is `missing`: what there is, what was tried, and the remedy that is known."""
    tried = "".join(f"; {note}" for note in notes if any(f" for {ours}: not in" in note for ours in missing))
    remedies = [note for note in log.notes if any(f"--columns {ours}=" in note for ours in missing)]
    remedy = "; ".join(remedies) or f"name it with --columns {','.join(f'{ours}=COL' for ours in missing)}"
    own = [name for name in names if name not in ("source", "source_path", "source_line", "run", "flag")]
    return f"{log.source}: no column for {' nor '.join(missing)} among {_listed(own)}{tried}: {remedy}"


def with_columns(log: Log, found: dict[str, str], mapping: ColumnMap) -> pd.DataFrame:
    """The rows of `log` with our columns added beside its own. Raises InputError for text where a number is due."""
    frame = log.frame
    if "loss_se" not in found:  # a column of that name is of another loss
        frame = frame.drop(columns="loss_se", errors="ignore")
    values: dict[str, pd.Series | str | float] = dict(mapping.values)
    for ours, theirs in found.items():
        if theirs not in log.frame.columns:
            parts = {
                name: numbers_of(log.frame, name, suffixes=ours in COUNTS)
                for name in columns_in(theirs, list(log.frame.columns))
            }
            values[ours] = values_of(pd.DataFrame(parts, index=frame.index), theirs, f"{log.source}: column {ours}")
        else:  # Numbers are checked here, where the file's own name of the column is known.
            values[ours] = (
                numbers_of(log.frame, theirs, suffixes=ours in COUNTS)
                if ours in NUMBERS
                else pd.Series(log.frame[theirs])
            )
    return frame.assign(**values)


def _existing(ours: str, theirs: str, names: Sequence[str], log: Log) -> str:
    """The column or formula that the user named; of a log without its history also by the key in its summary."""
    label = f"{log.source}: --columns {ours}={theirs}{f' (or --loss {theirs})' if ours == 'loss' else ''}"
    logged = log.history is not None
    if logged and theirs not in names and f"summary.{theirs}" in names:
        return f"summary.{theirs}"
    if theirs not in names and _FORMULA.search(theirs):
        check_formula(theirs, label)
    missing = next((name for name in columns_in(theirs, names) if name not in names), None)
    if missing is None:
        return theirs
    if log.ours and ours == "loss":
        names = [name for name in names if _A_LOSS.match(name)]
    near = difflib.get_close_matches(missing, names, n=3, cutoff=0.7)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    meant += formula_hint(theirs, names)
    raise InputError(f"{label}: no column {missing!r} among {_listed(names)}{meant}")


def formula_hint(theirs: str, names: Sequence[str]) -> str:
    """How a formula is written, where `theirs` looks like one that was not read as one; else nothing."""
    parts = [part.strip() for part in _OPERATOR.split(theirs)]
    return _AS_FORMULA if _FORMULA.search(theirs) or any(part in names for part in parts) else ""


def _is_there(theirs: str, names: Sequence[str]) -> bool:
    """Whether it is a column, or a formula whose columns are all there."""
    return all(name in names for name in columns_in(theirs, names))


def columns_in(theirs: str, names: Sequence[str]) -> list[str]:
    """The columns of `names` that `theirs` is made of: itself, or those of a formula, which need not be there."""
    if theirs in names or not _FORMULA.search(theirs):
        return [theirs]
    bare = re.sub(r"`[^`]*`|\b\d[\d._]*(?:[eE][+-]?\d+)?", " ", theirs)
    return [*re.findall(r"`([^`]*)`", theirs), *re.findall(r"[A-Za-z_]\w*", bare)]


def guessed_column(ours: str, names: Sequence[str], logged: bool) -> str | None:
    """The column of `names` that is `ours` by our name in any spelling or by an alias; `logged`: of a training log."""
    if ours in names and not (logged and ours == "loss"):
        return ours
    plain: dict[str, str] = {}
    for name in names:
        # Single letters are meant as capitals: l is layers, d a width, c a context as often as not.
        plain.setdefault(name if len(name.rpartition(".")[2]) == 1 else _plain(name), name)
    aliases = _LOSSES_OF_LOGS if logged and ours == "loss" else (ours, *ALIASES.get(ours, ()))
    letters = [alias for alias in aliases if len(alias) == 1]
    words = [alias for alias in aliases if len(alias) > 1]
    measured, said = ("", "summary."), ("config.", "run.")  # what a run was to do is no measure of what it did
    order = ((said, measured) if ours.startswith("planned_") else (measured, said)) if logged else (("",),)
    spelt = [_plain(prefix + alias) for prefixes in order for alias in words for prefix in prefixes]
    spelt += [prefix + alias for prefixes in order for alias in letters for prefix in prefixes]
    return next((plain[name] for name in spelt if name in plain), None) or _within(ours, names)


def _within(ours: str, names: Sequence[str]) -> str | None:
    """The only column that ends in one of the names for what must be there, as model.n_params does."""
    if ours not in REQUIRED:
        return None
    wanted = {_plain(alias) for alias in (ours, *ALIASES[ours]) if len(alias) > 1} - {"loss"}
    ends = [name for name in names if _plain(re.split(r"[./]", name)[-1]) in wanted]
    return ends[0] if len(ends) == 1 else None


def _of_losses(guess: str, names: Sequence[str], logged: bool) -> str:
    """What to say of the loss taken, where it may be the training's and others look like a validation's."""
    if guess.removeprefix("summary.") not in TRAINING_LOSSES:
        return ""
    better = [name for name in names if re.search("(eval|val|valid|test|dev)[^a-z]*(loss|ce)\\b", name.casefold())]
    text = ", the training's own as last logged; a validation loss scatters less" if logged else ""
    return f"{text}; if that is the training's: --columns loss=COL, of {_listed(better, 6)}" if better else text


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-./")


def _listed(names: Sequence[str], most: int = 60) -> str:
    """Logs have hundreds of columns: those that a user could mean come first, the rest is counted."""
    if len(names) <= most:
        return ", ".join(names)
    words = ("loss", "param", "token")
    first = sorted(names, key=lambda name: not any(word in name.casefold() for word in words))[:most]
    return f"{', '.join(first)} and {len(names) - most} more"
