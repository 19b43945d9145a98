"""A user's own architecture: made by a named factory, its counts given or taken from the module."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ...fitting.counting import ModelCounts, ModelShape, ParamCounts, counts_of
from ...fitting.errors import InputError
from ..config import ModelConfig
from . import factory

PARTS = tuple(field.name for field in fields(ParamCounts))
_REMEDY = (
    "where that is for lack of values (tensors have shapes only here), give model.factory_counts with flops_per_token"
)


def made_by_factory(shape: ModelShape, model: ModelConfig) -> nn.Module:
    """What `model.factory` builds for `shape`, as it is.

    Raises:
        InputError: that is no torch module, or one of which a resumed run would differ.
    """
    named = model.factory or ""
    built = factory.called(factory.load(named, "factory"), "factory", named, shape, **(model.factory_options or {}))
    if not isinstance(built, nn.Module):
        raise InputError(f"model.factory: {named} returned a {type(built).__name__}, where a torch.nn.Module is due")
    for name, module in built.named_modules():
        why = _not_resumable(module)
        if why:
            raise InputError(f"model.factory: the model of {named} has {why} ({name}): a resumed run would differ")
    return built


def _not_resumable(module: nn.Module) -> str:
    """What of `module` a checkpoint, which holds parameters and no generator's state, does not bring back."""
    if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
        return f"dropout {module.p:g}; set it to 0"
    if isinstance(module, nn.MultiheadAttention) and module.dropout > 0:
        return f"dropout {module.dropout:g}; set it to 0"
    if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
        return "running averages; use track_running_stats=False or another norm"
    return ""


def custom_counts(shape: ModelShape, model: ModelConfig) -> ModelCounts:
    """The counts of a factory's model: those of `model.factory_counts`, and for the rest the module's own.

    The module is made and run with tensors that have shapes and no memory. Conventions other than `exact` take
    attention from the shape: depth, heads, head size and context.

    Raises:
        InputError: a function that cannot be used, counts that are none, logits of another shape than (B, S, V).
    """
    return _custom_counts(shape, model.model_dump_json())


@functools.lru_cache(maxsize=1024)
def _custom_counts(shape: ModelShape, config: str) -> ModelCounts:
    model = ModelConfig.model_validate(json.loads(config))
    params, exact = _given(shape, model)
    if params is None or exact is None:
        factory.load(model.factory or "", "factory")  # while tensors are real: a module may keep some of its own
        # torch's counter knows attention by its matmuls alone.
        with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH):
            built = made_by_factory(shape, model)
            params = params or params_of(built, shape)
            exact = exact or exact_flops(built, shape, model.factory or "")
    counts = counts_of(shape, params)
    return replace(counts, flops_per_token={**counts.flops_per_token, "exact": exact})


def _given(shape: ModelShape, model: ModelConfig) -> tuple[ParamCounts | None, float | None]:
    """What `model.factory_counts` says of parameters by part, and of training FLOPs a token."""
    named = model.factory_counts
    if named is None:
        return None, None
    function = factory.load(named, "factory_counts")
    said = factory.called(function, "factory_counts", named, shape, **(model.factory_options or {}))
    where = f"model.factory_counts: {named}"
    if is_dataclass(said) and not isinstance(said, type):
        said = asdict(said)
    if not isinstance(said, Mapping):
        raise InputError(f"{where} returned a {type(said).__name__}; return a mapping of {', '.join(PARTS)}")
    flops = said.get("flops_per_token")
    if flops is not None and not (isinstance(flops, int | float) and 0 < flops < math.inf):
        raise InputError(f"{where}: flops_per_token {flops!r} is no number of FLOPs")
    parts = {name: count for name, count in said.items() if name != "flops_per_token"}
    for name, count in parts.items():
        if name not in PARTS:
            raise InputError(f"{where}: {name!r} is no part; there are {', '.join(PARTS)} and flops_per_token")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError(f"{where}: {name}: {count!r} is no count of parameters")
    params = ParamCounts(**(dict.fromkeys(PARTS, 0) | parts)) if parts else None
    return params, None if flops is None else float(flops)


def params_of(model: nn.Module, shape: ModelShape) -> ParamCounts:
    """The parameters of `model` by part, told by module type, shape and name; each is counted once.

    The first nn.Embedding of V rows is the embedding; other embeddings, and bare parameters of (..., S, d), are
    positions. A matrix of V rows outside the blocks is the head. Blocks are what stands in a list of modules. Other
    matrices there are attention where "attn" or "attention" is in the name, else MLP, as are those outside of blocks.

    Raises:
        InputError: no embedding of V rows.
    """
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    embedding = token_table(model, shape)
    if embedding is None:
        raise InputError(
            f"model.factory: its model has no nn.Embedding of {shape.vocab_size:,} rows, one for each token, to count "
            "by; give model.factory_counts"
        )
    parts = dict.fromkeys(PARTS, 0)
    owned = {id(p) for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        in_block = any(part.isdigit() for part in name.split("."))
        if parameter is embedding:
            part = "embedding"
        elif any(parameter is table for table in tables):
            part = "positions"
        elif parameter.ndim < 2:
            part = "block_vectors" if in_block else "final_norm"
        elif id(parameter) not in owned and parameter.shape[-2:] == (shape.context, shape.width) and not in_block:
            part = "positions"
        elif len(parameter) == shape.vocab_size and not in_block:
            part = "head"
        else:
            part = "attention" if "attn" in name or "attention" in name else "mlp"
        parts[part] += parameter.numel()
    return ParamCounts(**parts)


def token_table(model: nn.Module, shape: ModelShape) -> torch.Tensor | None:
    """The weights of the first nn.Embedding of V rows: the tokens' embedding, not that of positions."""
    tables = (module.weight for module in model.modules() if isinstance(module, nn.Embedding))
    return next((table for table in tables if len(table) == shape.vocab_size), None)


def exact_flops(model: nn.Module, shape: ModelShape, named: str) -> float:
    """Training FLOPs a token at the context S, by torch's counter of a forward pass, times 3.

    What grows with the context (between S / 2 and S) is taken for attention over all pairs of tokens, of which the
    causal half is counted, as in `fitting.counting`. A model whose attention is not full must give its FLOPs.
    """
    context, half = shape.context, shape.context // 2
    full = _forward_flops(model, shape, context, named)
    growing = (full - _forward_flops(model, shape, half, named)) * context / (context - half) if half else 0.0
    return 3 * (full - growing / 2)


@torch.no_grad()
def _forward_flops(model: nn.Module, shape: ModelShape, context: int, named: str) -> float:
    rows = torch.zeros((2, context), dtype=torch.long)
    counter = FlopCounterMode(display=False)
    with counter:
        try:
            answer = model(input_ids=rows)
        except Exception as error:
            raise InputError(
                f"model.factory: the model of {named} fails on (2, {context}) tokens: "
                f"{factory.one_line(error)}; {_REMEDY}"
            ) from error
    logits, expected = getattr(answer, "logits", answer), (2, context, shape.vocab_size)
    if not isinstance(logits, torch.Tensor) or logits.shape != expected:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise InputError(f"model.factory: the model of {named} returns {got}, where logits of {expected} are due")
    return counter.get_total_flops() / rows.numel()
