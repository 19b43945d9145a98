"""The folder in which the documentation's commands are run: a checkout with the files and sweeps that the pages name.

Nothing is trained: losses are a law's, with noise. Configs are ours but for their corpus, which is a small one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from isoflop.fitting import ChinchillaLaw
from isoflop.training.config import load_config
from isoflop.training.corpus import MAIN, prepare_corpus
from isoflop.training.outcome import Trained, trained_record
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder

from ..conftest import ROOT
from ..fitting.sweeps import HOFFMANN, sweep
from ..fitting.test_trainer import CONFIG, state
from ..fitting.wandb_logs import written
from ..training.helpers import write_text
from .doc_blocks import blocks_of

SMALL = ChinchillaLaw(E=1.16, A=52.6, B=64.9, alpha=0.523, beta=0.385)  # of models as small as the demo's
MACHINE = {
    "host": "here",
    "device": "cpu",
    "n_processes": 1,
    "threads": 1,
    "matmul_flops_per_second": 1e11,
    "peak_memory_bytes": 5e8,
}


class Score:
    """What scoring a model came to."""

    def __init__(self, loss: float) -> None:
        self.loss, self.loss_se, self.bits_per_byte, self.n_tokens = loss, 0.01, loss / np.log(2), 65536


def make_scene(folder: Path) -> Path:
    """Everything that the pages' commands read, below `folder`."""
    _copy_checkout(folder)
    _tables(folder)
    _logs(folder)
    demo = _sweep(folder, "demo", folder / "configs/demo.yaml", seed=0)
    for number, name in enumerate(("mine", "pilot", "a", "b"), start=1):
        _sweep(folder, name, folder / "configs/demo.yaml", seed=number, like=demo)
    for fit in (ROOT / "docs/results/ladder").glob("[0-9]*.json"):
        rung = SweepFolder(folder / "runs/ladder" / fit.stem)
        rung.write_plan(demo)
        shutil.copy(fit, rung.path / "fit.json")
    return folder


def _copy_checkout(folder: Path) -> None:
    corpus = write_text(folder / "text", n_documents=60)
    shutil.copytree(ROOT / "docs", folder / "docs", dirs_exist_ok=True)
    for name in ("scripts", "tests", "Makefile", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "configs", folder / "configs", dirs_exist_ok=True)
    for path in (folder / "configs").rglob("*.yaml"):
        _with_corpus(path, path, corpus)
    _with_corpus(ROOT / "configs/demo.yaml", folder / "my.yaml", corpus, name="mine")
    page = next(block.text for block in blocks_of(ROOT / "docs/cookbook.md") if block.text.startswith("name: wide"))
    (folder / "wide.yaml").write_text(page)


def _with_corpus(source: Path, path: Path, corpus: Path, **changes: Any) -> None:
    """The config, its corpus a small one that may be seen as often as the grid asks."""
    config = yaml.safe_load(source.read_text())
    if "corpus" in config.get("data", {}):
        config["data"] |= {"corpus": {"kind": "files", "paths": [str(corpus / "*.txt")]}, "max_epochs": 1.0e9}
        config["data"].pop("tokenizer", None)
        config.setdefault("fit", {})["resamples"] = 100
        path.write_text(yaml.safe_dump(config | changes))


def _sweep(folder: Path, name: str, config: Path, seed: int, like: Plan | None = None) -> Plan:
    """A finished sweep in runs/NAME, each cell with its curve, fitted as the demo was."""
    settings = load_config(config)
    plan = like or make_plan(settings, prepare_corpus(settings.data).info)
    place = SweepFolder(folder / "runs" / name)
    place.write_plan(plan)
    random = np.random.default_rng(seed)
    for cell in plan.cells:
        n_params = cell.counts.params.n_params
        loss = float(SMALL.loss(n_params, cell.tokens)) * (1 + 0.004 * random.standard_normal())
        scores: Any = {MAIN: Score(loss)}
        trained = Trained(scores, None, 0, 0.001 * cell.steps, 1)
        record = trained_record(cell, plan.config, plan.corpus, trained, machine=MACHINE)
        run = place.run_folder(cell.run_id)
        (run / "record.json").write_text(json.dumps(record))
        steps = np.unique(np.linspace(1, cell.steps, 30).astype(int))
        tokens = steps * cell.batch_tokens
        points = SMALL.loss(n_params, tokens.astype(float)) + loss - SMALL.loss(n_params, float(cell.tokens))
        flops = tokens * cell.counts.flops_per_token["exact"]
        curve = pd.DataFrame({"step": steps, "tokens": tokens, "flops": flops.astype(float), "loss": points})
        curve.to_json(run / "curve.jsonl", orient="records", lines=True)
    shutil.copy(ROOT / "docs/results/demo/fit.json", place.path / "fit.json")
    return plan


def _tables(folder: Path) -> None:
    budgets = [1e18, 4e18, 1.6e19, 6.4e19, 2.56e20]
    runs = sweep(HOFFMANN, budgets=budgets, sizes=7, noise=0.004).frame.assign(seed=0, corpus="web", step=1)
    runs.to_csv(folder / "runs.csv", index=False)
    named = runs.rename(columns={"n_params": "params"})
    named.to_csv(folder / "table.csv", index=False)
    other = {"size": runs.n_params, "step": (runs.tokens / 524288).round(), "val_loss": runs.loss}
    pd.DataFrame(other).to_csv(folder / "mine.csv", index=False)
    extracted = {"Model Size": runs.n_params, "Training FLOP": runs.flops, "loss": runs.loss}
    pd.DataFrame(extracted).to_csv(folder / "svg_extracted_data.csv", index=False)
    settings = [named.assign(experiment=name) for name in ("rw__base__long__kaplan", "rw__tuned__short__const")]
    pd.concat(settings).to_csv(folder / "porian_refinedweb.csv", index=False)
    pd.DataFrame(
        {
            "model_tag": [f"d{i}" for i in range(len(runs))],
            "params_total": runs.n_params,
            "params_transformer": runs.n_params * 0.8,
            "params_scalars": 10,
            "params_lm_head": runs.n_params * 0.1,
            "tokens_trained": runs.tokens,
            "val_bpb": runs.loss / 3,
            "flops_budget": runs.budget,
        }
    ).to_csv(folder / "results.csv", index=False)
    random = np.random.default_rng(0)
    labels = np.repeat(np.geomspace(500, 32000, 7), 3)
    error = (0.06 + 2.2 * labels**-0.45) * (1 + 0.01 * random.standard_normal(len(labels)))
    pd.DataFrame({"labels": labels, "error": error}).to_csv(folder / "labels.csv", index=False)
    _scores(folder / "evals.csv")


def _scores(path: Path) -> None:
    """A ladder of models scored on one task."""
    n_params, tokens = (
        axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 1e9, 4), np.geomspace(2e9, 4e10, 3), indexing="ij")
    )
    loss = HOFFMANN.loss(n_params, tokens)
    noise = 0.004 * np.random.default_rng(0).standard_normal(len(loss))
    score = 0.25 + 0.7 / (1 + np.exp(3 * (loss - 2.9))) + noise
    names = [f"{n:.0f}-{d:.0f}" for n, d in zip(n_params, tokens, strict=True)]
    rows = {"run": names, "n_params": n_params, "tokens": tokens, "task": "quiz", "task_loss": loss}
    pd.DataFrame(rows | {"accuracy": score}).to_csv(path, index=False)


def _logs(folder: Path) -> None:
    """Output folders of Trainer, and offline runs of W&B: five sizes at three lengths each."""
    for width in (32, 48, 64, 96, 128):
        for steps in (100, 200, 400):
            place = folder / "outputs" / f"{width}-{steps}"
            place.mkdir(parents=True)
            config = CONFIG | {"hidden_size": width, "intermediate_size": 2 * width}
            (place / "config.json").write_text(json.dumps(config))
            ended = state(steps, steps, num_input_tokens_seen=8192 * steps)
            n_params, loss = 20000.0 * width, 0.0
            for entry in ended["log_history"]:
                tokens = entry["step"] * 8192.0
                loss = float(SMALL.loss(n_params, tokens))
                entry.update({key: loss for key in ("loss", "eval_loss") if key in entry})
            (place / "trainer_state.json").write_text(json.dumps(ended))
            name = f"w{width}s{steps}"
            written(
                folder / f"wandb/offline-run-20260101_000000-{name}/run-{name}.wandb",
                [{"_step": steps, "loss": loss}],
                run=name,
                config={"n_params": n_params, "tokens": steps * 8192.0},
                summary={"loss": loss},
            )
