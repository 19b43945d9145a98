"""First weights: a function of the shape, the rule and the seed."""

from __future__ import annotations

import math

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ...fitting.counting import ModelShape
from ..config.model import ConstantInitialisation, Initialisation
from .custom import token_table

# The last part of the name of a matrix that writes into the residual stream, in transformers' models and most others.
RESIDUAL = ("o_proj", "down_proj", "c_proj", "out_proj")
# Of learned positions, beside the embedding's std: at 1 a GPT-2 of width 40 ends .06 nats higher, at .3 not.
POSITIONS = 0.1


@torch.no_grad()
def initialise(model: nn.Module, shape: ModelShape, rule: Initialisation | ConstantInitialisation, seed: int) -> None:
    """Fill every linear map and embedding of `model` from normal distributions, by `rule`; their biases with zeros.

    What is neither, norms among them, stays as it was made. Draws are in fp32 on the CPU, in the model's order of
    modules, so that they are the same on every device and under every precision.
    """
    generator = torch.Generator().manual_seed(seed)
    modules = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D | nn.Embedding)]
    tokens = token_table(model, shape)
    # The head of a tied model may come first, and is an embedding all the same.
    embeddings = {id(module.weight) for _, module in modules if isinstance(module, nn.Embedding)}
    done = set()
    for name, module in modules:
        bias = getattr(module, "bias", None)
        if bias is not None:
            bias.zero_()
        weight = module.weight
        if id(weight) in done:
            continue
        done.add(id(weight))
        if isinstance(rule, ConstantInitialisation):
            std = _constant(rule, shape, name)
        elif id(weight) in embeddings:
            std = rule.embedding_std * (1 if weight is tokens else POSITIONS)
        else:
            std = _linear(rule, shape, name, module.nx if isinstance(module, Conv1D) else weight.shape[1])
        weight.normal_(0.0, std, generator=generator)


def _linear(rule: Initialisation, shape: ModelShape, name: str, inputs: int) -> float:
    std = rule.linear_gain / math.sqrt(inputs)
    return std / math.sqrt(2 * shape.depth) if rule.scale_residual and name.endswith(RESIDUAL) else std


def _constant(rule: ConstantInitialisation, shape: ModelShape, name: str) -> float:
    # transformers scales these in GPT-2 (Radford 2019, section 2.3) and not in Llama.
    scaled = shape.family == "gpt2" and name.endswith(RESIDUAL)
    return rule.std / math.sqrt(2 * shape.depth) if scaled else rule.std
