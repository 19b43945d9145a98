"""A run's state in one safetensors file, replaced atomically: a kill leaves the old one or the new one, whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..fitting.errors import InputError


def save_checkpoint(
    path: Path,
    of: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    scratch: Path | None = None,
) -> None:
    """Write parameters, optimiser moments and `state` (plain JSON values) to `path`, as the state of the run `of`.

    `scratch` is the folder it is written in first (default: beside). Nothing is pickled. Raises OSError where the
    disk says no; the previous checkpoint then still stands.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        for moment, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{moment}.{name}"] = value
    _write(path, tensors, {"of": of, "state": json.dumps(state)}, scratch)


def load_checkpoint(path: Path, of: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Restore what `save_checkpoint` wrote, bit for bit, in place; returns its `state`, None without a checkpoint.

    Raises:
        InputError: the file is torn, or of another run than `of`.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            words = file.metadata() or {}
            if words.get("of") != of:
                raise InputError(f"{path}: is of {words.get('of')!r}, not of {of!r}; delete it to train the run anew")
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            state = json.loads(words["state"])
    except (SafetensorError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is torn ({error}); delete it to train the run anew") from None
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[f"model.{name}"])
    for key, tensor in stored.items():
        if key.startswith("optimizer."):
            moment, name = key.removeprefix("optimizer.").split(".", 1)
            parameter = parameters[name]
            # The step counts stay where a fused optimiser wants them: on the parameter's device.
            optimizer.state[parameter][moment] = tensor.to(parameter.device)
    return state


def save_weights(path: Path, model: nn.Module, words: Mapping[str, str]) -> None:
    """The model's parameters alone, under their own names, with `words` about them. Raises OSError as above."""
    _write(path, {name: parameter.detach() for name, parameter in model.named_parameters()}, words)


def _write(
    path: Path, tensors: Mapping[str, torch.Tensor], words: Mapping[str, str], scratch: Path | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f"{path.name}.{os.getpid()}.tmp"
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, dict(words))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except SafetensorError as error:  # its words for a full disk
        raise OSError(str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)
