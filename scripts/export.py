"""Write a finished run's model into a folder that transformers loads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from isoflop.scripts.cli import Debug, run
from isoflop.scripts.output import JsonFile, note, show, write_json
from isoflop.training.records import SweepFolder


def main(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep folder (made by sweep.py).")],
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="A finished run, as in plan.json.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: SWEEP/RUN_ID/export.")] = None,
    json_file: JsonFile = None,
    debug: Debug = False,
) -> None:
    """Write config.json, weights, tokenizer and a model card for AutoModelForCausalLM.from_pretrained.

    Example: python scripts/export.py runs/demo 0123456789ab --out models/demo
    """
    from transformers.utils.logging import disable_progress_bar

    from isoflop.training.export import export_run  # torch: --help does without

    disable_progress_bar()

    folder = out or sweep / run_id / "export"
    record = export_run(SweepFolder(sweep), run_id, folder)
    if (folder / "config.json").is_file() and not (folder / "tokenizer.json").is_file():
        name = record["corpus"]["tokenizer"]
        note(f"note: without a tokenizer: the cache has none for this corpus ({name})")
    counts = {key: record[key] for key in ("n_params", "tokens", "loss")}
    write_json(json_file, {"folder": folder, "run_id": run_id, "files": sorted(os.listdir(folder)), **counts})
    show(f"wrote {folder}: N = {record['n_params']:,}, D = {record['tokens']:,}, loss {record['loss']:.4f}")


if __name__ == "__main__":
    run(main)
