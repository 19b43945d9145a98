"""A cell's peak memory before it runs, by formula: what weights, activations and logits come to in bytes. No torch.

Symbols: T tokens of a micro-batch, S of them a sequence; d width, L blocks, h heads, A and G the widths of all query
and of all key heads, f MLP width, V vocabulary, N parameters. Activations are counted as autograd keeps them of
transformers' models, or as the written-out step does (kernels/fused.py); attention by sdpa keeps no S x S weights, on a
CPU neither. A factory's model is taken for a Llama of the same shape and N, which is rough.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..fitting.counting import ModelShape
from .config import SweepConfig
from .corpus import CorpusInfo
from .corpus.store import token_type
from .plan import RunPlan

# Logits of a chunk; where there would be more they are made in chunks (kernels/head.py). On a CPU, chunks were never
# the slower way, and 1.2 to 2.4 times faster from four times as many on; not measured on a GPU yet.
LOGITS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 27}
LEAST_CHUNK = 64  # tokens
ATTENTION_BYTES = 1 << 28  # of all blocks' attention weights, which the written-out step keeps
WRITTEN_OUT_LOGITS = 1 << 18  # of a chunk there, of all models of a stack: 1 MiB, a core's cache
WRITTEN_OUT_CHUNK = 256  # tokens at least: with fewer, a large head is read too often
FEED_BYTES = 1 << 20  # ids of the batches that are made together (feed.py)
EVALUATED_TOKENS = {"cpu": 2_048, "cuda": 16_384}  # a pass; on a CPU, more does not fit a core's cache
LOGITS_A_PASS = 1 << 27  # whole ones where a model's own forward pass makes them: half a GiB in fp32

# On a CPU: what a process has for any cell (interpreter, torch, transformers, accelerate), and what wandb adds.
PROCESS_BYTES = 420 << 20
WANDB_BYTES = 80 << 20
READ_AROUND = 1 << 16  # bytes that the kernel maps around a page of the corpus that is read
# There, what the process grows by for each byte of tensors: the allocator keeps gaps between blocks of different sizes.
GROWTH = {"transformers": 1.5, "fused": 1.2}
# On a GPU: cuBLAS' workspace, which torch allocates.
WORKSPACE_BYTES = 32 << 20


def chunk_tokens(vocab_size: int, device: str) -> int:
    """Tokens whose logits exist at a time on `device` ("cpu", "cuda") where they are made in chunks."""
    return max(LEAST_CHUNK, LOGITS_AT_ONCE.get(device, LOGITS_AT_ONCE["cuda"]) // vocab_size)


def written_out_chunk(vocab_size: int, members: int) -> int:
    """Tokens of each of `members` models whose logits the written-out step makes at a time."""
    return max(WRITTEN_OUT_CHUNK, WRITTEN_OUT_LOGITS // (vocab_size * members))


def is_chunked(tokens: int, vocab_size: int, device: str) -> bool:
    """Whether the logits of so many tokens are made in chunks there: where they would be several."""
    return tokens > chunk_tokens(vocab_size, device)


def evaluated_sequences(context: int, vocab_size: int, device: str) -> int:
    """Sequences scored at a time; at least one: a model that trains on one sequence at a time can be scored on it."""
    tokens = EVALUATED_TOKENS.get(device, EVALUATED_TOKENS["cuda"])
    return max(1, min(tokens, LOGITS_A_PASS // vocab_size) // context)


def is_written_out(cell: RunPlan, config: SweepConfig, device: str) -> bool:
    """Whether one process takes the written-out step: a Llama in fp32 on a CPU, full heads, short contexts.

    It was the faster one at every width tried, 16 to 256, most at the smallest.
    """
    shape = cell.shape
    attention = 4 * cell.batch_sequences * shape.heads * shape.context**2 * shape.depth
    is_llama = shape.family == "llama" and shape.kv_heads == shape.heads
    on = config.execution.kernels == "auto" and device == "cpu" and config.recipe.precision == "fp32"
    return is_llama and on and attention <= ATTENTION_BYTES


def process_memory(cell: RunPlan, config: SweepConfig, corpus: CorpusInfo) -> int:
    """Bytes that a process on a CPU has beside the tensors of `cell`, the corpus' pages that it reads among them."""
    tracked = WANDB_BYTES if config.wandb.mode != "disabled" else 0
    read = cell.tokens // cell.shape.context * READ_AROUND
    return PROCESS_BYTES + tracked + min(read, corpus.train_tokens * token_type(corpus.vocab_size).itemsize)


def cell_memory(
    cell: RunPlan, config: SweepConfig, *, device: str, sequences: int | None = None, members: int = 1
) -> int:
    """Peak bytes of training and scoring `cell` on one `device`, "cpu" or "cuda", `sequences` at a time.

    On a CPU it is what the process grows by, `process_memory` not among it; on a GPU what torch allocates at most,
    which leaves out CUDA's own context and training tokens kept on the device. `sequences` is the micro-batch (default:
    the config's, else the batch); `members` cells of the same shape and batch are trained as one stack. While a
    checkpoint is written in the background, its copy (12 N) comes on top on the host.
    """
    tensors = tensor_memory(cell, config, device=device, sequences=sequences, members=members)
    if device == "cpu":
        return round(GROWTH["fused" if is_written_out(cell, config, device) else "transformers"] * tensors)
    return tensors + WORKSPACE_BYTES


def micro_batch_for(cell: RunPlan, config: SweepConfig, *, device: str, room: int, members: int = 1) -> int:
    """The largest even share of the batch, in sequences, whose `cell_memory` is at most `room` bytes; else 1."""
    batch = cell.batch_sequences
    for sequences in dict.fromkeys(-(-batch // parts) for parts in range(1, batch + 1)):
        if cell_memory(cell, config, device=device, sequences=sequences, members=members) <= room:
            return sequences
    return 1


def tensor_memory(
    cell: RunPlan, config: SweepConfig, *, device: str, sequences: int | None = None, members: int = 1
) -> int:
    """Bytes of all tensors at the peak: `cell_memory` without what an allocator adds."""
    batch = cell.batch_sequences
    sequences = min(sequences or config.execution.micro_batch or batch, batch)
    tokens = sequences * cell.shape.context
    n_params, scoring = members * cell.counts.params.n_params, _scoring(cell, config, device)
    if is_written_out(cell, config, device):
        # Its room stays while it is scored.
        return FEED_BYTES + 16 * n_params + _written_out(cell, tokens, members) + scoring
    # A stack's gradients stay between steps, as those of a batch's earlier parts do.
    kept = 16 if members > 1 or sequences < batch else 12
    training = _autograd(cell, config, tokens, device, members, gradients_stay=kept == 16)
    return FEED_BYTES + kept * n_params + max(members * training, scoring)


@dataclass(frozen=True)
class _Kept:
    """Bytes a token that autograd keeps of one block, and of what follows the last one up to the logits."""

    block: int
    after: int


def _kept(shape: ModelShape, e: int) -> _Kept:
    """`e` bytes a number in matmuls: 4, or 2 under bf16 autocast, where norms stay in fp32."""
    d, f, h, g = shape.width, shape.mlp_width, shape.heads, shape.kv_heads
    A, G = shape.attention_width, shape.kv_heads * shape.head_dim
    attention = e * (2 * A + 2 * G) + 4 * h  # query, key, value, output, log-sum-exp
    if shape.family == "gpt2":
        norms, inputs, mlp = 2 * (4 * d + 8), e * 2 * d, e * 5 * f  # GELU by its formula, step by step
        return _Kept(norms + inputs + attention + mlp, 4 * d + 8 + e * d)
    # Under autocast every matrix has a copy of its input for itself.
    norms, inputs, mlp = 2 * (8 * d + 4), e * (2 if e == 4 else 5) * d, e * 4 * f
    if shape.family == "qwen3":
        norms += (4 + e) * (A + G) + 4 * (h + g)
    return _Kept(norms + inputs + attention + mlp, 8 * d + 4 + e * d)


def _autograd(
    cell: RunPlan, config: SweepConfig, tokens: int, device: str, members: int, *, gradients_stay: bool
) -> int:
    """The largest of three moments: at the logits, going back through the last block, and at the embedding."""
    shape, params = cell.shape, cell.counts.params
    d, table = shape.width, 4 * shape.vocab_size * shape.width
    e = _matmul_bytes(config)
    kept = _kept(shape, e)
    blocks = shape.depth * kept.block * tokens
    if members == 1 and shape.family != "custom" and is_chunked(tokens, shape.vocab_size, device):
        chunk = chunk_tokens(shape.vocab_size, device) * shape.vocab_size
        # A chunk's logits and softmax, in bf16 before and after too; hidden states' gradient; the head's, and its cast.
        logits, head = (8 if e == 4 else 12) * chunk + 4 * d * tokens, table + (table // 2 if e == 2 else 0)
    else:
        logits, head = 12 * shape.vocab_size * tokens, 0
    at_logits = blocks + kept.after * tokens + max(logits, 16 * d * tokens) + head
    in_block = blocks + (e * 2 * shape.mlp_width + 4 * d) * tokens + table
    gradients = 0 if gradients_stay else 4 * params.n_params
    # Tied, the table's gradients from both its uses and their sum exist at a time.
    at_embedding = gradients + (2 * table if shape.tied_embeddings else 0) + 8 * d * tokens
    return _copies(cell, e) + 16 * tokens + max(at_logits, in_block, at_embedding)


def _matmul_bytes(config: SweepConfig) -> int:
    return 2 if config.recipe.precision == "bf16" else 4


def _copies(cell: RunPlan, e: int) -> int:
    """Of all matrices, in bf16, which autocast keeps from the forward pass to the end of the backward one."""
    return 2 * (cell.counts.params.block_matrices + cell.shape.vocab_size * cell.shape.width) if e == 2 else 0


def _written_out(cell: RunPlan, tokens: int, members: int) -> int:
    """`FusedLlama`: matrices with their norms folded in, their gradients, and a `Room` for so many tokens."""
    shape = cell.shape
    d, f, A, weights = shape.width, shape.mlp_width, shape.attention_width, shape.heads * shape.context
    table = shape.vocab_size * d
    folded = shape.depth * (3 * A + 2 * f) * d + table
    applied = cell.counts.params.block_matrices + table
    block = 2 * d + 4 * A + weights + 4 * f + 4
    shared = 5 * d + 8 * A + 2 * weights + 3 * f + 2
    logits = min(tokens, written_out_chunk(shape.vocab_size, members)) * shape.vocab_size
    ids = 4 * tokens  # inputs and targets, two int64 each
    return 4 * members * (folded + applied + (shape.depth * block + shared) * tokens + ids + logits)


def _scoring(cell: RunPlan, config: SweepConfig, device: str) -> int:
    """One block's activations are there at a time, or the logits."""
    shape, e = cell.shape, _matmul_bytes(config)
    d, f, v = shape.width, shape.mlp_width, shape.vocab_size
    at_once = min(evaluated_sequences(shape.context, v, device), config.data.validation_sequences)
    tokens = at_once * shape.context
    whole = shape.family == "custom" or not is_chunked(tokens, v, device)
    logits = 8 * v * (tokens if whole else chunk_tokens(v, device))
    block = tokens * (12 * d + e * (4 * f if shape.family == "gpt2" else 3 * f))
    return _copies(cell, e) + 4 * d * tokens + max(block, logits)
