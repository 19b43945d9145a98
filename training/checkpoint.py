"""A run's state in one safetensors file, replaced atomically: a kill leaves the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..fitting.errors import InputError
from .background import Background


def save_checkpoint(
    path: Path,
    of: str,
    tensors: Mapping[str, torch.Tensor],
    state: dict[str, Any],
    *,
    members: Sequence[str] = (),
    scratch: Path | None = None,
    writer: Background | None = None,
    check: Callable[[], object] = lambda: None,
) -> None:
    """Write parameters and optimiser moments, by name, and `state` (plain JSON values) to `path`, as of the run `of`.

    `members` are the runs of a stack. `scratch` is the folder it is written in first (default: beside). Nothing is
    pickled. Raises OSError where the disk says no; the previous checkpoint then still stands. With a `writer` the state
    is copied now and written by its thread, which tells the error later. `check` is called when all is written but the
    name: what it raises leaves the previous checkpoint in place.
    """
    words = {"of": of, "state": json.dumps(state), "members": json.dumps(list(members))}
    _save(path, tensors, words, scratch, writer, check)


def load_checkpoint(path: Path, of: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What `save_checkpoint` wrote, bit for bit: tensors on the CPU, and `state`; None without a checkpoint.

    One that is torn, as a crash of the machine or a bad disk leaves it, is set aside: what it held is trained anew.

    Raises:
        InputError: the file is of another run than `of`.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            words = file.metadata() or {}
            if words.get("of") != of:
                raise InputError(f"{path}: is of {words.get('of')!r}, not of {of!r}; delete it to train the run anew")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(words["state"])  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        set_aside(path, str(error))
        return None


def set_aside(path: Path, why: str) -> None:
    """Make room for what a torn file held, and keep it."""
    aside = path.with_suffix(".torn")
    with contextlib.suppress(FileNotFoundError):  # another process of the same run was faster
        path.replace(aside)
    logging.getLogger(__name__).warning("%s: is torn (%s); it is kept as %s", path, why, aside.name)


def save_weights(path: Path, model: nn.Module, words: Mapping[str, str], writer: Background | None = None) -> None:
    """The model's parameters alone, under their own names, with `words` about them; as above otherwise."""
    _save(path, {name: parameter.detach() for name, parameter in model.named_parameters()}, words, None, writer)


def _save(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    words: Mapping[str, str],
    scratch: Path | None,
    writer: Background | None,
    check: Callable[[], object] = lambda: None,
) -> None:
    if writer is None:
        _write(path, tensors, words, scratch, check)
    else:
        kept = _copied(tensors)
        writer.submit(lambda: _write(path, kept, words, scratch, check), key=path)


def _copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """In the host's memory, complete on return: what is trained meanwhile does not reach the copies."""
    copies = {name: tensor.to("cpu", non_blocking=True, copy=True) for name, tensor in tensors.items()}
    if any(tensor.is_cuda for tensor in tensors.values()):
        torch.cuda.synchronize()
    return copies


def _write(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    words: Mapping[str, str],
    scratch: Path | None,
    check: Callable[[], object],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f"{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, dict(words))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        check()
        temporary.replace(path)
    except SafetensorError as error:  # its words for a full disk
        raise OSError(str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)
