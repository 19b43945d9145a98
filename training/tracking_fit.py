"""A sweep's fit as a W&B run of its own, the same one however often the sweep is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..fitting.jsonio import to_strict
from .config import SweepConfig
from .tracking import wandb_id
from .wandb_session import end_run, forget_mirrored, guarded, is_mirrored, open_run

_EXPONENTS = ("params_exponent", "tokens_exponent")


def log_fit(config: SweepConfig, folder: Path, report: Mapping[str, Any], rows: Any, figures: Sequence[Path]) -> None:
    """Log tables of the runs, the minima and the exponents, the figures, and fit.json as an artifact.

    `report` is the content of fit.json in `folder`, `rows` the table of runs (a DataFrame).
    """
    guarded(lambda: _log_fit(config, folder, report, rows, figures))


def fit_is_mirrored(config: SweepConfig, folder: Path) -> bool:
    """Whether the last fit that was begun to be logged was logged to its end."""
    return is_mirrored(folder, wandb_id(config, "fit"))


def _log_fit(config: SweepConfig, folder: Path, report: Mapping[str, Any], rows: Any, figures: Sequence[Path]) -> None:
    forget_mirrored(folder, wandb_id(config, "fit"))
    settings = {"sweep": config.name, "config": config.model_dump(mode="json"), "conventions": report["conventions"]}
    words = {"name": f"{config.name} fit", "job_type": "fit", "tags": ["fit"], "config": settings}
    run = open_run(config, folder, id=wandb_id(config, "fit"), **words)
    if run is None:
        return
    import wandb

    done = False
    try:
        minima = report["fits"].get("isoflop", {}).get("minima", [])
        tables = {"runs": to_strict(rows.to_dict("records")), "minima": minima, "exponents": _exponents(report)}
        logged = {name: _table(entries) for name, entries in tables.items() if entries}
        run.log(logged | {path.stem: wandb.Image(str(path)) for path in figures if path.suffix == ".png"})
        run.summary.update(_headline(report))
        artifact = wandb.Artifact(wandb_id(config, "fit"), type="scaling-fit")
        artifact.add_file(str(folder / "fit.json"))
        run.log_artifact(artifact)
        done = True
    finally:
        end_run(run, folder, whole=done, failed=not done)


def _table(entries: Sequence[Mapping[str, Any]]) -> Any:
    import wandb

    columns: list[Any] = list(entries[0])
    return wandb.Table(columns, [[entry[name] for name in columns] for entry in entries], allow_mixed_types=True)


def _exponents(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row an estimator and pair of conventions, as `isoflop compare` shows them."""
    # Imported here: it brings pandas, which a worker does without.
    from ..fitting.comparison.published_rows import our_rows

    return [
        {"estimator": row.label, "n_params": row.n_params, "flops": row.flops}
        | {
            f"{name}.{part}": getattr(getattr(row, name), part, None)
            for name in _EXPONENTS
            for part in ("value", "low", "high", "interval")
        }
        | {"status": row.words or ("converged" if row.params_exponent else "no fit")}
        for row in our_rows(report)
    ]


def _headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """The exponents under the chosen conventions, by method."""
    return {
        f"{method}.{name}.{key}": value
        for method, fit in report["fits"].items()
        for name in _EXPONENTS
        for key, value in fit.get(name, {}).items()
    }
