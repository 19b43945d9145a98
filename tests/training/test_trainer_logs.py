"""Logs that the installed Hugging Face Trainer wrote, read back: its output folders, and what it reports to W&B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from isoflop.fitting import Options, analyse
from isoflop.fitting.counting import ModelShape, counts_of
from isoflop.fitting.readers import load_runs
from isoflop.fitting.readers.sources import read_log

MAPPING = Path(__file__).resolve().parents[2] / "configs" / "logs" / "hf_trainer.yaml"
CONTEXT, BATCH, ACCUMULATION, VOCAB = 32, 4, 2, 64
STEP_TOKENS = CONTEXT * BATCH * ACCUMULATION
WIDTHS, STEPS = (8, 16, 32), (4, 8, 16)


@dataclass(frozen=True)
class Trained:
    n_params: int
    non_embedding: int
    eval_loss: float


class _Killed(TrainerCallback):
    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        raise KeyboardInterrupt


def train(out: Path, width: int, steps: int, callbacks: Sequence[TrainerCallback] = (), **words: Any) -> Trained:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=width == 16,
        )
    )
    rows = [(torch.arange(CONTEXT) + start).remainder(VOCAB).tolist() for start in range(40)]
    data: Any = [{"input_ids": row, "labels": row} for row in rows]
    defaults: dict[str, Any] = {"report_to": [], "save_steps": steps // 2, "eval_steps": steps // 2}
    arguments = TrainingArguments(
        str(out),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION,
        learning_rate=1e-2,
        logging_steps=2,
        eval_strategy="steps",
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **defaults | words,
    )
    trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data[:8], callbacks=list(callbacks))
    trainer.train()
    without = model.num_parameters(exclude_embeddings=True)
    head = 0 if model.config.tie_word_embeddings else VOCAB * width
    return Trained(model.num_parameters(), without - head, trainer.evaluate()["eval_loss"])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Trained]]:
    """Three sizes (one with its embeddings tied) at three lengths; the shortest runs counted their tokens."""
    folder = tmp_path_factory.mktemp("trained")
    runs = {}
    for width in WIDTHS:
        for steps in STEPS:
            name = f"d{width}-{steps}"
            counted = "all" if steps == STEPS[0] else "no"
            runs[name] = train(folder / name, width, steps, include_num_input_tokens_seen=counted)
    return folder, runs


def test_a_trainers_output_folder_is_a_table_of_runs(sweep: tuple[Path, dict[str, Trained]]) -> None:
    folder, trained = sweep
    table = load_runs(folder)
    assert table.excluded == []
    rows = table.fitted.to_dict("records")
    assert sorted(row["run"] for row in rows) == sorted(trained)
    for row in rows:
        run, steps = trained[row["run"]], int(row["run"].split("-")[1])
        assert (row["n_params"], row["n_params_non_embedding"]) == (run.n_params, run.non_embedding)
        assert row["tokens"] == steps * STEP_TOKENS
        assert row["loss"] == pytest.approx(run.eval_loss, rel=1e-6)


def test_flops_are_those_of_the_same_shape_of_ours(sweep: tuple[Path, dict[str, Trained]]) -> None:
    rows = {row["run"]: row for row in load_runs(sweep[0]).fitted.to_dict("records")}
    for width in WIDTHS:
        shape = ModelShape(width, 2, 2, 2, width // 2, 3 * width, VOCAB, CONTEXT, width == 16)
        counts = counts_of(shape).of_run(STEPS[0] * STEP_TOKENS)["flops"]
        assert isinstance(counts, dict)
        row = rows[f"d{width}-{STEPS[0]}"]
        assert {name: row[f"flops_{name}"] for name in counts} == pytest.approx(counts)


def test_they_are_fitted(sweep: tuple[Path, dict[str, Trained]]) -> None:
    table = load_runs(sweep[0])
    fit = analyse(table, Options(methods=("parametric",), resamples=0)).parametric
    assert fit is not None
    assert fit.n_runs == len(WIDTHS) * len(STEPS)
    sizes, tokens, losses = (table.fitted[name].to_numpy() for name in ("n_params", "tokens", "loss"))
    assert np.median(np.abs(fit.law.loss(sizes, tokens) / losses - 1)) < 0.05
    assert 0 < fit.params_exponent.value < 1


def test_the_mapping_file_reads_the_same(sweep: tuple[Path, dict[str, Trained]]) -> None:
    plain, mapped = load_runs(sweep[0]).fitted, load_runs(sweep[0], mapping=MAPPING).fitted
    for name in ("run", "n_params", "tokens", "loss", "step"):
        assert mapped[name].tolist() == plain[name].tolist()


def test_points_are_those_logged(sweep: tuple[Path, dict[str, Trained]]) -> None:
    log = read_log(sweep[0])
    assert log.history is not None
    points = log.history()
    assert len(points["loss"].dropna()) == len(WIDTHS) * sum(steps // 2 for steps in STEPS)
    assert len(points["eval_loss"].dropna()) == len(WIDTHS) * len(STEPS) * 2
    counted = points.dropna(subset="num_input_tokens_seen")
    assert counted["num_input_tokens_seen"].tolist() == [step * STEP_TOKENS for step in counted["step"]]


def test_a_run_that_was_killed_is_flagged(tmp_path: Path, sweep: tuple[Path, dict[str, Trained]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", 8, 12, callbacks=[_Killed()])
    table = load_runs(tmp_path, sweep[0])
    assert [row["reason"] for row in table.excluded] == ["unfinished: step 6 of 12"]


def test_what_trainer_reports_to_wandb_is_read_by_its_mapping(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True, console="off"))
    run = train(tmp_path / "out", 8, 8, report_to=["wandb"], save_strategy="no", include_num_input_tokens_seen="all")
    wandb.finish()
    wandb.teardown()  # only then is every record on the disk
    row = load_runs(tmp_path / "wandb", mapping=MAPPING).fitted.to_dict("records")[0]
    assert (row["n_params"], row["tokens"], row["step"]) == (run.n_params, 8 * STEP_TOKENS, 8)
    assert row["loss"] == pytest.approx(run.eval_loss, rel=1e-6)
