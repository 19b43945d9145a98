"""What one trainer_state.json says: its points, how it ended, its tokens and its model's counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..hf_config import ConfigModel, model_of_config
from ..json_shapes import is_list, is_object

_TOKENS = "num_input_tokens_seen"
_EXACT_FLOATS = 2.0**53  # up to here a float holds every integer
_LATE = 0.03  # of the steps: the last evaluation may stand so far before the end, where the decay is all but done
_DERIVED = ("6nd", "6nd_non_embedding")  # which a table of runs derives itself, from whatever tokens it is told


def object_of(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises InputError, one line, where there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}): if it is torn, remove it or take an earlier copy") from error
    if not is_object(data):
        raise InputError(f"{path}: {type(data).__name__} where an object is due")
    return data


@dataclass(frozen=True)
class State:
    """A checked trainer_state.json. Numbers are as logged, NaN among them."""

    data: Mapping[str, Any]
    entries: Sequence[Mapping[str, Any]]  # of log_history, without the last of a run that came to its end
    end: Mapping[str, Any]  # that last one, or nothing

    @property
    def step(self) -> int:
        """Optimiser steps made."""
        return int(self.data["global_step"])

    def history(self) -> tuple[pd.DataFrame, list[str]]:
        """The points, a row a step and a column a key, and the keys that hold something else than numbers."""
        entries = pd.DataFrame(list(self.entries))
        points = entries.select_dtypes("number")
        others = [str(key) for key in entries.columns.difference(points.columns)]
        if points.empty:
            return pd.DataFrame(columns=["step"], dtype=float), others
        return points.astype(float).groupby("step").last().reset_index(), others

    def last(self, key: str) -> tuple[float, float] | None:
        """The step and the value where `key` was last logged, None where it never was."""
        at = next((entry for entry in reversed(self.entries) if key in entry), None)
        return None if at is None else (float(at["step"]), _number(at[key]))

    def ends(self) -> dict[str, float]:
        """The last value of each key: of a run that diverged, NaN."""
        last = {key: value for entry in self.entries for key, value in entry.items()}
        return {key: _number(value) for key, value in last.items() if value is None or _is_number(value)}

    def summary(self) -> dict[str, Any]:
        """The scalars that are no points. Trainer's train_loss, a mean over all steps, is no loss of the trained
        model: its name here keeps it from being taken for one."""
        scalars = {key: value for key, value in self.data.items() if isinstance(value, (str, int, float))}
        if not scalars.get(_TOKENS):
            scalars.pop(_TOKENS, None)  # 0 says that nothing was counted
        end = {key: value for key, value in self.end.items() if key not in ("step", "epoch", _TOKENS)}
        return scalars | {"mean_train_loss" if key == "train_loss" else key: value for key, value in end.items()}

    def planned_steps(self) -> float:
        """The steps the run was to make; NaN where that is not known and where its early stopping ended it."""
        planned = _number(self.data.get("max_steps"))
        return math.nan if planned <= 0 or self.stopped_early() else planned

    def stopped_early(self) -> bool:
        """Whether EarlyStoppingCallback had seen enough."""
        callbacks = self.data.get("stateful_callbacks")
        found = callbacks.get("EarlyStoppingCallback") if is_object(callbacks) else None
        for callback in found if is_list(found) else [found]:
            if is_object(callback):
                counter = _within(callback, "attributes", "early_stopping_patience_counter")
                if counter >= _within(callback, "args", "early_stopping_patience"):
                    return True
        return False

    def flag(self) -> str:
        """Why the run is not to be fitted, "" for nothing."""
        planned, evaluated = self.planned_steps(), self.last("eval_loss")
        if self.step < planned:
            return f"unfinished: step {self.step} of {planned:.0f}"
        if evaluated is not None and evaluated[0] < (1 - _LATE) * self.step:
            return f"eval_loss is of step {evaluated[0]:.0f}, the last is {self.step}: evaluate at the end"
        return ""

    def tokens(self, model: ConfigModel | None) -> tuple[float, str]:
        """Tokens trained on, NaN where not known, and how they were found where they were not logged."""
        counted = _number(self.data.get(_TOKENS))
        if counted > 0:
            return counted, ""
        flos = _number(self.data.get("total_flos"))
        if model is None or not 0 < flos < math.inf:
            return math.nan, f"no tokens: {_TOKENS} was not counted; {_OWN_TOKENS}"
        per_token = 6 * model.counts.without_embeddings
        if flos < _EXACT_FLOATS and flos % per_token:
            return math.nan, f"no tokens: total_flos is no multiple of what config.json's model costs; {_OWN_TOKENS}"
        return float(round(flos / per_token)), (
            "tokens = total_flos / 6 N, padding included, N without embeddings as Trainer counts it"
        )

    def context(self, model: ConfigModel, tokens: float) -> int | None:
        """The context trained at, in tokens: the model's longest where the tokens of a step are whole ones of it."""
        sequences = self.step * _number(self.data.get("train_batch_size"))  # at least: there may be several processes
        longest = model.shape.context
        return longest if longest * sequences > 0 and tokens % (longest * sequences) == 0 else None


_AT_CONTEXT = "attention's FLOPs are those at a context of {}, max_position_embeddings"
_NO_CONTEXT = (
    "attention's FLOPs are left out, the context being unknown: train_batch_size sequences of "
    "max_position_embeddings {} are no part of a step's tokens"
)
_OWN_TOKENS = "name them with --columns tokens='`summary.global_step` * TOKENS_A_STEP'"


def read_state(path: Path) -> State:
    """The state in `path`. Raises InputError, one line, for a file that is torn or not Trainer's."""
    data = object_of(path)
    entries, step = data.get("log_history"), data.get("global_step")
    if not is_list(entries) or not isinstance(step, int) or not _is_number(step):
        raise InputError(f"{path}: no log_history and global_step: not the state of a Hugging Face Trainer")
    for number, entry in enumerate(entries):
        if not is_object(entry) or not _is_number(entry.get("step")):
            raise InputError(f"{path}: log_history[{number}] is no object with a step: not Trainer's")
    points: list[dict[str, Any]] = []
    end: dict[str, Any] = {}
    for entry in entries:
        if "train_loss" in entry and "total_flos" in entry:
            end = entry
        else:
            points.append(entry)
    return State(data, points, end)


def counts_of(state: State, config: Mapping[str, Any] | None) -> tuple[dict[str, float], list[str]]:
    """What is known of a run under our names, and notes; `config` is the object in its config.json."""
    counts: dict[str, float] = {"step": state.step, "planned_steps": state.planned_steps()}
    notes = ["stopped early, by its EarlyStoppingCallback"] if state.stopped_early() else []
    model = None
    if config is None:
        notes.append("no config.json beside trainer_state.json: parameters are not counted")
    else:
        try:
            model = model_of_config(config)
        except InputError as error:
            notes.append(f"config.json: {error}: name the count with --columns n_params=COL")
    tokens, found = state.tokens(model)
    notes += [found] if found else []
    if model is not None:
        n = model.counts
        counts |= {
            "n_params": n.n_params,
            "n_params_non_embedding": n.n_params_non_embedding,
            "n_params_blocks_and_head": n.n_params_blocks_and_head,
        }
    if not math.isnan(tokens):
        counts["tokens"] = tokens
        if model is not None:
            context = state.context(model, tokens)
            notes.append(_AT_CONTEXT.format(context) if context else _NO_CONTEXT.format(model.shape.context))
            per_token = model.flops_per_token(context)
            counts |= {f"flops_{name}": per_token[name] * tokens for name in per_token if name not in _DERIVED}
    return counts, notes


def _is_number(value: Any) -> bool:
    """Whether it is a number that columns hold."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else math.nan


def _within(callback: Mapping[str, Any], part: str, key: str) -> float:
    inner = callback.get(part)
    return _number(inner.get(key)) if is_object(inner) else math.nan
