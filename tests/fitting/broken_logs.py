"""The kinds of sources that `broken` makes: a line each."""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from . import broken
from .broken import CELLS, N_ROWS, ROWS, Row, Source

RECORD = {
    "schema_version": 1,
    "status": "finished",
    "reason": None,
    "budget": 1e15,
    "n_params": 1000000,
    "tokens": 10**8,
    "steps": 10,
    "flops": {"exact": 7e15, "6nd": 6e15},
    "planned_flops": "exact",
    "loss": 3.0,
    "seed": 0,
    "config": {"recipe": {"schedule": {"warmup": 0.1}}},
}
CURVE = [{"step": 5 * i, "tokens": 5 * 10**7 * i, "loss": 4.0 - i} for i in (1, 2)]
TRAINER = {
    "global_step": 20,
    "max_steps": 20,
    "num_train_epochs": 1,
    "total_flos": 6e14,
    "num_input_tokens_seen": 10**8,
    "train_batch_size": 8,
    "log_history": [{"step": 10 * i, "epoch": i / 2, "loss": 4.0 - i, "eval_loss": 4.1 - i} for i in (1, 2)],
}
MODEL = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 172,
    "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 256, "tie_word_embeddings": True,
}  # fmt: skip


def _wrong_value(value: Any, rng: random.Random) -> Any:
    """`value`, or something inside it, replaced, left out or of another kind."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        if rng.random() < 0.15:
            return {other: inner for other, inner in value.items() if other != name}
        return value | {name: _wrong_value(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], _wrong_value(value[at], rng), *value[at + 1 :]]
    return rng.choice(CELLS)


def _sweep_files() -> dict[str, Any]:
    runs = [f"r{i}" for i in range(N_ROWS)]
    plan = {"schema_version": 1, "name": "x", "cells": [{"run_id": run, "budget": 1e15} for run in runs]}
    records = {f"{run}/record.json": RECORD | {"run_id": run, "loss": 3 - 0.1 * i} for i, run in enumerate(runs)}
    return {"plan.json": plan | {"config": {"grid": {"flops": "exact"}}}, **records}


def _encoded(files: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: json.dumps(content).encode() for name, content in files.items()}


def _folder(files: Mapping[str, Any], more: dict[str, bytes], rng: random.Random, n_rows: int | None) -> Source:
    """One of `files`, of JSON, with a wrong value or with wrong bytes in it."""
    name = rng.choice([*files, *more])
    if name in files and rng.random() < 0.6:
        return Source(_encoded({**files, name: _wrong_value(files[name], rng)}) | more, "", n_rows)
    whole = _encoded(files) | more
    return Source(whole | {name: broken.wrong_bytes(whole[name], rng)}, "", None)


def sweep(rng: random.Random) -> Source:
    curves = {f"r{i}/curve.jsonl": broken.json_lines(CURVE) for i in range(N_ROWS)}
    return _folder(_sweep_files(), curves, rng, None)


def trainer(rng: random.Random) -> Source:
    files = {f"{run}/{name}": content for run in "ab" for name, content in
             (("trainer_state.json", TRAINER), ("config.json", MODEL))}  # fmt: skip
    return _folder(files, {}, rng, None)


def wandb_log(rng: random.Random) -> Source:
    """Beside a whole log one whose bytes are wrong, or a record's, in a frame whose checksum is right."""
    from .wandb_logs import framed

    place = "wandb/offline-run-20260101_00000{}-{}/run-{}.wandb".format
    whole = framed(_wandb_records("a", random.Random(0), wrong=0.0))[0]
    records = _wandb_records("b", rng, wrong=rng.choice((0.0, 0.5)))
    if rng.random() < 0.4:
        at = rng.randrange(len(records))
        records[at] = broken.wrong_bytes(records[at], rng)
    data = framed(records)[0]
    if rng.random() < 0.4:
        data = broken.wrong_bytes(data, rng)
    return Source({place(0, "a", "a"): whole, place(1, "b", "b"): data}, "", None)


def _wandb_records(run: str, rng: random.Random, wrong: float) -> list[bytes]:
    from .wandb_logs import items, record

    config: dict[str, Any] = {"n_params": 10**6, "model": {"width": 8}, "max_steps": 4}
    points: list[dict[str, Any]] = [
        {"_step": i, "tokens": 10**6 * (i + 1), "val_loss": 4.0 - 0.1 * i} for i in range(5)
    ]
    for values in (config, *points):
        if rng.random() < wrong:
            values[rng.choice(list(values))] = rng.choice(CELLS)
    told = {"run_id": run, "start_time": {"seconds": 1}, "config": {"update": items(config)}}
    rows = [record(history={"item": items(point)}) for point in points]
    return [record(run=told), *rows, record(exit={"exit_code": 0})]


def _table(
    name: str, write: Callable[[list[Row]], bytes], *, counted: bool = True
) -> Callable[[random.Random], Source]:
    def make(rng: random.Random) -> Source:
        if rng.random() < 0.6:
            rows = broken.wrong_rows(rng)
            return Source({name: write(rows)}, name, len(rows) if counted else None)
        return Source({name: broken.wrong_bytes(write(ROWS), rng)}, name, None)

    return make


KINDS: dict[str, Callable[[random.Random], Source]] = {
    "csv": _table("runs.csv", lambda rows: broken.separated(rows, ",")),
    "tsv": _table("runs.tsv", lambda rows: broken.separated(rows, "\t")),
    "json": _table("runs.json", lambda rows: json.dumps(rows).encode()),
    "json columns": _table("columns.json", broken.json_columns),
    "jsonl": _table("runs.jsonl", broken.json_lines),
    "parquet": _table("runs.parquet", broken.parquet),
    "parquet types": lambda rng: Source({"runs.parquet": broken.typed_parquet(rng)}, "runs.parquet", N_ROWS),
    "sweep": sweep,
    "trainer": trainer,
}
if importlib.util.find_spec("wandb"):
    KINDS["wandb"] = wandb_log


def source_of(kind: str, seed: int) -> Source:
    """The broken source of this kind and seed, the same every time."""
    return KINDS[kind](random.Random(f"{kind} {seed}"))
