"""The options by which commands take runs: which columns are what, which rows are fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isoflop.fitting.errors import InputError

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Sweep folders; CSV, TSV, JSONL, JSON, Parquet files; wandb:ENTITY/PROJECT; .wandb files or folders of "
        "them; trainer_state.json, output folders of Trainer; hf:DATASET.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME=COL,...", help="Which column, or formula of columns, is n_params, tokens, loss, flops."),
]
MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", metavar="FILE", help="A YAML file that names the columns; see configs/logs/."),
]
Loss = Annotated[
    str | None,
    typer.Option(metavar="COL", help="The loss to fit, as loss_code of the validation set code, or bits_per_byte."),
]
Where = Annotated[str | None, typer.Option(metavar="QUERY", help="Fit only rows for which this holds.")]
Ends = Annotated[bool, typer.Option("--ends", help="Of tables with checkpoints, only the last row of each run.")]
KeepFlagged = Annotated[bool, typer.Option("--keep-flagged", help="Fit flagged rows too.")]


def columns_of(text: str | None, loss: str | None = None) -> dict[str, str]:
    """`n_params=COL,loss=COL` as a dict, with the column of `--loss`. Raises InputError for anything else."""
    pairs = {}
    for item in (text or "").split(","):
        name, equals, column = (part.strip() for part in item.partition("="))
        if item.strip() and not (name and equals and column):
            raise InputError(f"--columns {text}: {item!r} must look like loss=COLUMN")
        if item.strip():
            pairs[name] = column
    if loss is not None and "loss" in pairs:
        raise InputError(f"--loss {loss}: --columns names {pairs['loss']!r} as the loss; give one of them")
    return pairs if loss is None else pairs | {"loss": loss}
