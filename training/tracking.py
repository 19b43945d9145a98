"""Weights & Biases as a mirror of the records: a run a cell, which reads back as the sweep folder does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ..fitting.jsonio import to_strict
from ..fitting.schema import MARK, SCHEMA_VERSION
from .background import Background
from .config import SweepConfig
from .outcome import planned_record
from .plan import Plan, RunPlan
from .records import SweepFolder
from .wandb_session import end_run, forget_mirrored, guarded, hold_mirror, is_mirrored, mode_of, open_run


def wandb_id(config: SweepConfig, name: str) -> str:
    """The id of a W&B run: not the run id alone, since two sweeps of one project may share a cell."""
    return f"{config.name}-{name}"


class Mirror:
    """One cell in W&B: the same run whenever it is resumed, its training curve, then its record as summary.

    `past` are the rows of the curve so far. They are logged again, since those of a process that was killed never left
    it; a run that is resumed online takes only what is newer than all it has. With a `queue` its thread talks to W&B,
    and the cell waits for none of it; the mirror is whole, or known not to be, once the queue is finished.
    """

    def __init__(
        self,
        cell: RunPlan,
        config: SweepConfig,
        folder: Path,
        *,
        past: Sequence[Mapping[str, Any]] = (),
        active: bool = True,
        queue: Background | None = None,
    ) -> None:
        self._active = active and mode_of(config) != "disabled"
        self._folder = folder
        self._queue = queue
        self._whole = self._failed = False
        self._run: Any = None
        self._lock: IO[str] | None = None  # the cell's claim may end before a queue comes to the mirror's end
        if not self._active:
            return
        # At once: a process that dies before the thread comes to it must not leave the mirror of an earlier try.
        guarded(lambda: forget_mirrored(folder, wandb_id(config, cell.run_id)))
        self._do(lambda: self._start(cell, config))
        for row in past:
            self.log(row)

    def _do(self, action: Callable[[], object]) -> None:
        """Now, or in its turn on the queue's thread; an error of W&B's costs the mirror, not the cell."""
        if not self._active:
            return
        if self._queue is None:
            guarded(action)
        else:
            self._queue.submit(lambda: guarded(action))

    def _start(self, cell: RunPlan, config: SweepConfig) -> None:
        self._config = _config_of(cell, config)
        # Told again even where it is as planned: a try that failed before has told the summary otherwise.
        self._reached = {key for key, value in planned_record(cell, config, 0).items() if value != self._config[key]}
        width, n_params, name = cell.shape.width, self._config["n_params"], wandb_id(config, cell.run_id)
        self._lock = hold_mirror(self._folder, name)
        if self._lock is None or is_mirrored(self._folder, name):  # by another process, just now
            return
        run = open_run(
            config,
            self._folder,
            id=name,
            name=f"{cell.budget:.3g} width {width} seed {cell.seed}",
            job_type="train",
            tags=[f"C={cell.budget:.3g}", f"N={n_params:.3g}", f"width={width}", f"seed={cell.seed}"],
            config=self._config,
        )
        # The summary is the record and nothing else: the last row's rate is not the cell's.
        run.define_metric("*", step_metric="tokens", summary="none")
        self._run = run

    def log(self, row: Mapping[str, Any]) -> None:
        """Mirror a row of the curve at its step, `loss` as `train_loss`: the summary's is the validation loss."""
        self._do(lambda: self._log(row))

    def _log(self, row: Mapping[str, Any]) -> None:
        if self._run is None or row["step"] < self._run.starting_step:
            return
        values = {"train_loss" if key == "loss" else key: value for key, value in to_strict(row).items()}
        step = values.pop("step")
        self._run.log(values, step=step)

    def finish(self, record: Mapping[str, Any]) -> None:
        """Mirror the record as the run's summary: how far it came, and what the run's config does not say."""
        self._do(lambda: self._summarise(to_strict(record)))

    def _summarise(self, record: Mapping[str, Any]) -> None:
        if self._run is None:
            return
        self._failed = record["status"] != "finished"
        new = {k: v for k, v in record.items() if k in self._reached or k not in self._config or self._config[k] != v}
        self._run.summary.update(new)
        self._whole = True

    def close(self) -> None:
        """End the W&B run, also after an error; without a record it counts as failed there, until it is resumed."""
        self._do(self._end)

    def _end(self) -> None:
        run, self._run = self._run, None
        try:
            if run is not None:
                end_run(run, self._folder, whole=self._whole, failed=self._failed or not self._whole)
        finally:
            if self._lock is not None:
                self._lock.close()


def _config_of(cell: RunPlan, config: SweepConfig) -> dict[str, Any]:
    per_token = dict(cell.counts.flops_per_token)
    return to_strict(
        planned_record(cell, config, cell.tokens) | {"flops_per_token": per_token} | {MARK: SCHEMA_VERSION}
    )


def not_mirrored(plan: Plan, sweep: SweepFolder) -> list[RunPlan]:
    """The cells that have a record and no mirror that is whole: those that failed, and those cut off in between."""
    return [
        cell
        for cell in plan.cells
        if not is_mirrored(sweep.path, wandb_id(plan.config, cell.run_id)) and sweep.read_record(cell.run_id)
    ]


def mirror_rest(plan: Plan, sweep: SweepFolder) -> int:
    """Mirror those cells from their records and curves, unless another process is at them; returns how many."""
    if mode_of(plan.config) == "disabled":
        return 0
    missing = not_mirrored(plan, sweep)
    mirror(plan, sweep, missing)
    return len(missing)


def mirror(plan: Plan, sweep: SweepFolder, cells: Sequence[RunPlan]) -> None:
    """Mirror these cells of `plan` from their records and curves, unless another process is at them."""
    for cell in cells:
        with sweep.claim(cell.run_id) as mine:
            if mine:
                guarded(lambda cell=cell: _mirror_record(cell, plan.config, sweep))


def _mirror_record(cell: RunPlan, config: SweepConfig, sweep: SweepFolder) -> None:
    record = sweep.read_record(cell.run_id)
    if record is not None:
        mirror = Mirror(cell, config, sweep.path, past=sweep.read_curve(cell.run_id))
        mirror.finish(record)
        mirror.close()
