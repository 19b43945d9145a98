"""The sweep folder: plan.json and a folder a run, each file written under another name, fsynced and renamed.

runs/x/plan.json
runs/x/<run_id>/record.json             what came out; its presence says that the run is over
runs/x/<run_id>/curve.jsonl             a row a logged step
runs/x/<run_id>/checkpoint.safetensors  where to go on from, gone once the record stands; of a diverged run it stays
runs/x/<run_id>/weights.safetensors     of a finished run, while execution.keep_weights is true
runs/x/<run_id>/claim.N                 of the process that trains the run, or did last (claims.py)
runs/x/stacks/<stack>.safetensors       the checkpoint of runs trained as one
runs/x/refined.json                      cells that --refine added, with reasons and cost
runs/x/slurm/                            what was handed to Slurm (launch/submissions.py)
runs/x/stop                              asks everyone at work to end (stopping.py)
runs/x/trunks/                           what runs of one trunk branch from (trunks.py)
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..fitting.errors import InputError
from ..fitting.jsonio import to_strict, write_json_atomic
from .claims import BEAT_SECONDS, Claim, Heart, Taker
from .config import SweepConfig
from .config.errors import first_problem
from .plan import Plan, RunPlan
from .stopping import StopFile
from .trunks import Trunks, work_ahead

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
OVER = ("finished", "diverged")  # a diverged run would diverge again: its identity is the same


def _read(path: Path) -> str:
    """The file's text, read anew where a network's file system says that another file has taken its place."""
    try:
        return path.read_text()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
    return path.read_text()


class SweepFolder:
    """One sweep on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: dict[str, Claim] = {}  # by this process, by run id
        self._beat_seconds = BEAT_SECONDS
        self._taker, self._heart = Taker(), Heart()
        self._stamps: Mapping[str, int | None] = {}
        self.stop = StopFile(path)
        self.trunks = Trunks(path)

    def run_folder(self, run_id: str) -> Path:
        """The folder of one run, made if need be."""
        folder = self.path / run_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_plan(self, plan: Plan) -> None:
        """Make this the folder's plan; runs of an earlier plan keep their folders.

        Raises InputError where nothing may be written there, OSError where the disk is full.
        """
        self._beat_seconds = plan.config.execution.heartbeat_seconds
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json_atomic(self.path / "plan.json", plan.to_json())
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); choose another --out") from None

    def read_plan(self) -> Plan:
        """The folder's plan. Raises InputError where there is none or it is of another version."""
        path = self.path / "plan.json"
        try:
            plan = Plan.from_json(json.loads(path.read_text()))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{self.path}: is no sweep folder (it has no plan.json)") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except ValidationError as error:
            why = first_problem(error, SweepConfig)
            raise InputError(f"{path}: is not a plan of this version: config.{why}; choose another folder") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is not a plan of this version: {str(error).splitlines()[0]}") from None
        self._beat_seconds = plan.config.execution.heartbeat_seconds
        return plan

    def record_path(self, run_id: str) -> Path:
        """Where a run's record stands, once it has one."""
        return self.path / run_id / "record.json"

    def read_record(self, run_id: str) -> dict[str, Any] | None:
        """What came out of a run; None while it has no record, or one that is torn."""
        try:
            record = json.loads(_read(self.record_path(run_id)))
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) and record.get("status") in (*OVER, "failed") else None

    def record_stamp(self, run_id: str) -> int | None:
        """Changes with each record that is written; None while there is none. For comparing with itself alone."""
        try:
            return self.record_path(run_id).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def write_record(self, run_id: str, record: dict[str, Any]) -> None:
        """End a run; a torn record makes room.

        Raises:
            OSError: the disk says no; the run is then unfinished, not half-recorded.
            ClaimLost: another process has taken the run over.
        """
        self.check_claim(run_id)
        path = self.run_folder(run_id) / "record.json"
        if path.is_file() and self.read_record(run_id) is None:
            path.replace(path.with_suffix(".torn"))
        write_json_atomic(path, record)

    def is_over(self, run_id: str, *, retry_failed: bool = False) -> bool:
        """Whether the run needs no more training: finished, diverged, or failed and not to be retried."""
        record = self.read_record(run_id)
        return record is not None and (record["status"] in OVER or not retry_failed)

    def has_ended(self, run_id: str) -> bool:
        """Whether the run has finished or diverged: it would not come to anything else."""
        return self.is_over(run_id, retry_failed=True)

    def remember(self, cells: Iterable[RunPlan]) -> None:
        """Note the records that `cells` have now, at the start of a launch that is to try failed ones again."""
        self.remember_stamps({cell.run_id: self.record_stamp(cell.run_id) for cell in cells})

    def remember_stamps(self, stamps: Mapping[str, int | None]) -> None:
        """The same of an earlier moment, when records had these stamps."""
        self._stamps = stamps

    def is_settled(self, run_id: str) -> bool:
        """Whether the run has ended, or has failed since `remember`: another launch may have tried it too."""
        if self.has_ended(run_id):
            return True
        return self.read_record(run_id) is not None and self.record_stamp(run_id) != self._stamps.get(run_id)

    def to_do(self, plan: Plan, *, retry_failed: bool = False) -> list[RunPlan]:
        """The plan's cells that still need training, those first that have most FLOPs before them."""
        left = [cell for cell in plan.cells if not self.is_over(cell.run_id, retry_failed=retry_failed)]
        work = work_ahead(left)
        return sorted(left, key=lambda cell: -work[cell.run_id])

    def checkpoint(self, run_id: str) -> Path:
        """Where a run's checkpoint stands, if it has one."""
        return self.path / run_id / "checkpoint.safetensors"

    def stack_path(self, name: str) -> Path:
        """Where the checkpoint of a stack of runs stands, if it has one."""
        return self.path / "stacks" / f"{name}.safetensors"

    def begun_stacks(self) -> dict[str, list[str]]:
        """The members' run ids of each stack that has a checkpoint, by its name."""
        from safetensors import SafetensorError, safe_open  # comes with torch; plans are made without

        found: dict[str, list[str]] = {}
        for path in sorted(self.path.glob("stacks/*.safetensors")):
            # One that is torn is set aside by who trains its runs; one that is gone ended just now.
            try:
                with safe_open(path, framework="np") as file:
                    found[path.stem] = json.loads((file.metadata() or {})["members"])
            except (SafetensorError, KeyError, ValueError, FileNotFoundError):
                continue
        return found

    def weights(self, run_id: str) -> Path:
        """Where a finished run's weights stand, if they were kept."""
        return self.path / run_id / "weights.safetensors"

    def write_curve(self, run_id: str, rows: list[dict[str, Any]]) -> None:
        """Replace the training curve. Raises ClaimLost where the run is another process' by now."""
        path = self.run_folder(run_id) / "curve.jsonl"
        temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("w") as file:
                file.writelines(json.dumps(to_strict(row)) + "\n" for row in rows)
                file.flush()
                os.fsync(file.fileno())
            self.check_claim(run_id)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def read_curve(self, run_id: str) -> list[dict[str, Any]]:
        """The training curve so far, a row a logged step; empty where nothing was logged. ValueError: it is torn."""
        path = self.path / run_id / "curve.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    @contextmanager
    def claim(self, run_id: str) -> Iterator[bool]:
        """Hold a run for the length of the block; yields False where another process holds it (see claims.py).

        `check_claim` tells, also at each write of the block, where another has taken it over meanwhile.
        """
        folder = self.run_folder(run_id)
        claim = self._taker.take(folder, self._beat_seconds)
        if claim is None:
            yield False
            return
        self.held[run_id] = claim
        self._heart.add(claim)
        try:
            for left_behind in (*folder.glob("*.tmp"), *folder.glob(".*.tmp")):  # by a writer that was killed
                left_behind.unlink(missing_ok=True)
            yield True
        finally:
            self._heart.remove(claim)
            del self.held[run_id]
            claim.release()

    def check_claim(self, run_id: str) -> None:
        """Before anything is written for a claimed run: raises ClaimLost where it is another process' now."""
        if run_id in self.held:
            self.held[run_id].beat()

    @property
    def has_lost_a_claim(self) -> bool:
        """Whether a run that this process trains is another's by now: it had better stop."""
        return any(claim.lost for claim in self.held.values())

    def note_step(self, run_id: str, step: int) -> None:
        """Have the claim tell the step reached, at its next beat."""
        if run_id in self.held:
            self.held[run_id].step = step

    @contextmanager
    def claim_all(self, cells: Iterable[RunPlan]) -> Iterator[bool]:
        """Hold several runs at once; yields False, and holds none, where another process holds one of them.

        Raises ClaimLost for an OSError of the block where one was taken over: its new owner cleared our files away.
        """
        cells = tuple(cells)
        with ExitStack() as held:
            mine = all(held.enter_context(self.claim(cell.run_id)) for cell in cells)
            if not mine:
                held.close()
            try:
                yield mine
            except OSError:
                for cell in cells:
                    self.check_claim(cell.run_id)
                raise
