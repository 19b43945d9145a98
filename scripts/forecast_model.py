"""A launchable model for a forecast: the ladder's shape, its run by the recipe's rules, and the sweep's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isoflop.scripts.cli import naming
from isoflop.fitting.errors import InputError
from isoflop.fitting.forecasting.answers import Answer
from isoflop.fitting.reporting.style import count_text, flops_text
from isoflop.training.config import load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launchable import SIX_N_D, Launchable, launchable


def model_of(config: Path, overrides: Sequence[str], answers: Sequence[Answer], file: Path | None) -> Launchable:
    """The model of `config`'s ladder for the one answer; with `file`, its sweep is written there.

    Raises InputError for several answers, a law without N*, a config that does not suit, a corpus too small to write.
    """
    if len(answers) != 1:
        raise InputError(
            f"--model takes one answer and {len(answers)} were asked; give one LAW, --method and one compute"
        )
    answer = answers[0]
    law = answer.predictor
    if answer.size is None:
        raise InputError(f"{law.name}: does not say N*, which --model needs; it gives {law.says}")
    with naming(config):
        sweep = load_config(config, overrides)
        corpus = prepare_corpus(sweep.data).info
        # The optimum of a surface is at 6 N D, whatever the study counts.
        flops_count = SIX_N_D if law.scaling.surface is not None else law.flops
        found = launchable(
            sweep, corpus, answer.size.value, answer.flops.value, count=law.n_params, flops_count=flops_count
        )
        if file is not None:
            file.write_text(found.to_yaml(_header(found, answer, file)))
    return found


def check_file(file: Path | None) -> None:
    """Raises InputError where the sweep's file cannot be written."""
    if file is None:
        return
    if file.suffix not in (".yaml", ".yml") or not file.parent.is_dir():
        raise InputError(f"--write {file}: must end in .yaml, in a folder that exists")
    if file.exists():
        raise InputError(f"--write {file}: exists; name another file")


def model_lines(found: Launchable, file: Path | None) -> list[str]:
    """What would be trained, in words."""
    cell, shape = found.cell, found.cell.shape
    params = cell.counts.params
    off = found.n_params / found.wanted_params - 1
    lines = [
        "",
        f"Launchable: {shape.family}, width {shape.width}, depth {shape.depth}, heads {shape.heads}, "
        f"MLP {shape.mlp_width}, vocabulary {shape.vocab_size:,}, context {shape.context}",
        f"  N {count_text(params.n_params)} in all, {count_text(params.n_params_non_embedding)} without embeddings, "
        f"{count_text(params.n_params_blocks_and_head)} blocks and head; {off:+.1%} off the size asked",
        f"  D {count_text(cell.tokens)}: {cell.steps:,} steps of {cell.batch_tokens:,} tokens, {cell.epochs:.3g} "
        f"epochs; {flops_text(cell.budget)} FLOPs as its grid counts them",
        f"  learning rate {cell.learning_rate:.3g}, beta2 {cell.beta2:g}, weight decay {cell.weight_decay:.3g}",
        f"  memory {found.memory / 2**30:,.2f} GiB on one {found.device}, the whole batch at a time, by formula",
        *(f"  note: {note}" for note in found.notes),
    ]
    if found.lacks:
        lines.append(f"  cannot be planned yet: {found.lacks}")
    elif file is not None:
        lines.append(f"  wrote {file}: python scripts/plan.py {file}")
    else:
        lines.append("  --write FILE.yaml writes the sweep that trains it, and a trial of it before")
    return lines


def _header(found: Launchable, answer: Answer, file: Path) -> str:
    trial, question = found.sweep.grid.budgets[0], answer.question
    label, flops = answer.predictor.label, flops_text(answer.flops.value)
    size = f"N = {count_text(found.wanted_params)}"
    given = question.is_run or "n_params" in question.given
    first = (
        f"{size}, as asked, at {flops} FLOPs by {label}."
        if given
        else f"What {label} forecasts for {flops} FLOPs: {size}."
    )
    return (
        f"{first}\n"
        "This ladder's nearest model has {count_text(found.n_params)}, counted alike; it trains on "
        f"{count_text(found.cell.tokens)} tokens.\n\n"
        f"  python scripts/sweep.py {file}\n\n"
        f"The budget of {flops_text(trial)} is a trial of the same model: a grid has two budgets at least.\n"
        "Nothing can be fitted to one size. Planned, not run yet.\n"
    )
