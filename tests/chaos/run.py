"""Faults at random moments over real sweeps, and what became of every cell.

    python -m tests.chaos.run --faults 100 --seed 0 --out runs/chaos

The seed fixes which faults strike in which order and how long each is waited for; where in a cell one lands is up to
the machine. Exit 1 where anything is wrong. Local sweeps need root for the full disk, which is left out otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from ..slurm.cluster import SCRIPT, Cluster, NoSlurm
from ..training.helpers import tiny, write_config, write_text
from .faults import LOCAL, Fault, can_mount, possible
from .judge import Reference, judge
from .play import Applied, Stuck, play
from .scene import RecordWatch, Scene
from .slurm_faults import SLURM
from .table import Sweep, markdown

PER_SWEEP = (3, 6)  # faults that one sweep is given
COMMON = {
    "data__max_epochs": 60.0,
    "execution__stack": "off",
    "execution__heartbeat_seconds": 0.5,
}
KINDS: dict[str, dict[str, Any]] = {"cells": {}, "trunks": {"recipe__schedule": {"kind": "wsd", "trunk": True}}}


class Chaos:
    """One run of many sweeps in a folder."""

    def __init__(self, out: Path, seed: int, flops: float = 1.6e10) -> None:
        self.out, self.seed, self.random = out, seed, random.Random(seed)
        self.sweeps: list[Sweep] = []
        os.environ["ISOFLOP_SLURM"] = str(out / "slurm")  # one of our own, whose nodes may fail
        subprocess.run([SCRIPT, "down"], check=True)  # that of a run before
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ["ISOFLOP_CACHE"] = str(out / "cache")
        text = write_text(out / "text")
        budgets = [flops / 1.6, flops]
        self.configs = {
            kind: write_config(out / f"{kind}.yaml", tiny(text, grid__budgets=budgets, **COMMON, **changes))
            for kind, changes in KINDS.items()
        }
        self.references: dict[str, Reference] = {}

    def undisturbed(self, kind: str) -> Reference:
        """The sweep of that kind, trained without faults in one process."""
        if kind in self.references:
            return self.references[kind]
        scene = Scene(self.out / f"undisturbed-{kind}", self.configs[kind], [], self.random, executor="inline")
        if scene.launch().process.wait() != 0:
            raise SystemExit(Path(scene.launches[0].log.name).read_text())
        scene.close()
        self.references[kind] = Reference.read(scene.out)
        return self.references[kind]

    def run(self, executor: str, kinds_of_fault: list[Fault], n_faults: int) -> None:
        """Sweeps by `executor` until so many faults have struck, each kind as often as any other."""
        rounds = [self.random.sample(kinds_of_fault, len(kinds_of_fault)) for _ in range(n_faults)]
        waiting = deque([fault for each in rounds for fault in each][:n_faults])
        while waiting:
            taken = deque(waiting.popleft() for _ in range(min(len(waiting), self.random.randint(*PER_SWEEP))))
            kind = list(KINDS)[len(self.sweeps) % len(KINDS)]
            self.sweep(executor, kind, taken)
            waiting.extendleft(reversed(taken))  # those that came too late for this one

    def sweep(self, executor: str, kind: str, faults: deque[Fault]) -> None:
        """One sweep under `faults`, judged; those that do not get to strike stay in the queue."""
        number, reference, begun = len(self.sweeps), self.undisturbed(kind), time.monotonic()
        needs = frozenset(need for fault in faults for need in fault.needs)
        scene = Scene(
            self.out / f"sweep-{number}",
            self.configs[kind],
            list(reference.records),
            random.Random(f"{self.seed} {number}"),  # what one sweep draws depends on its course
            executor=executor,
            needs=needs,
        )
        applied: list[Applied] = []
        stuck = []
        with contextlib.closing(scene):
            with RecordWatch(scene) as watch:
                try:
                    play(scene, faults, applied)
                except Stuck as reason:
                    stuck = [str(reason)]
                    faults.clear()
                verdict = judge(scene, reference, watch, [hit.fault.explains for hit in applied if hit.fault.explains])
            verdict.wrong += stuck
            if verdict.wrong:
                shutil.copytree(scene.out, scene.folder / "as-it-ended")
        self.sweeps.append(Sweep(scene, number, kind, applied, time.monotonic() - begun, verdict))
        self.tell(self.sweeps[-1])

    def tell(self, sweep: Sweep) -> None:
        """How it went, on stderr, and all so far in the folder."""
        struck = "; ".join(f"{hit.at:.1f} s {hit.fault.name}" for hit in sweep.applied) or "nothing struck"
        n_faults = sum(len(each.applied) for each in self.sweeps)
        print(
            f"[{n_faults}] sweep {sweep.number} ({sweep.scene.executor}, {sweep.kind}): {struck}: "
            f"{len(sweep.scene.launches)} launches, {sweep.verdict.finished} finished, "
            f"{len(sweep.verdict.failed)} failed, {sweep.seconds:.0f} s",
            *sweep.verdict.wrong,
            sep="\n    WRONG ",
            file=sys.stderr,
            flush=True,
        )
        (self.out / "faults.json").write_text(json.dumps([each.to_json() for each in self.sweeps], indent=1))
        (self.out / "table.md").write_text(markdown(self.sweeps))


def main() -> int:
    """Parse, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20, help="how many strike in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flops", type=float, default=1.6e10, help="of a longer cell; by default 1-2 s of a core")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the sweeps; what is in it goes")
    parser.add_argument("--only", choices=("local", "slurm"), help="[default: half the faults to each]")
    parser.add_argument("--table", type=Path, help="also write the table to this Markdown file")
    given = parser.parse_args()
    if "CHAOS_MOUNTS" not in os.environ and can_mount():
        # A name space of mounts of its own: full disks are nobody else's, and go with this process.
        words = ["unshare", "--mount", sys.executable, "-m", "tests.chaos.run", *sys.argv[1:]]
        os.execvpe(words[0], words, os.environ | {"CHAOS_MOUNTS": "1"})
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    chaos = Chaos(given.out.resolve(), given.seed, given.flops)
    shares = {"local": given.faults - given.faults // 2, "slurm": given.faults // 2}
    if given.only:
        shares = {given.only: given.faults}
    left_out: list[str] = []
    if "local" in shares:
        faults, left_out = possible(LOCAL)
        chaos.run("local", faults, shares["local"])
    if "slurm" in shares:
        try:
            cluster = Cluster()
        except NoSlurm as why:
            print(why, file=sys.stderr)
            return 3
        try:
            faults, reasons = possible(SLURM)
            left_out += reasons
            chaos.run("slurm", faults, shares["slurm"])
        finally:
            cluster.close()
    for reason in dict.fromkeys(left_out):
        print(f"left out: {reason}", file=sys.stderr)
    print(markdown(chaos.sweeps))
    if given.table:
        given.table.write_text(markdown(chaos.sweeps))
    return int(any(sweep.verdict.wrong for sweep in chaos.sweeps))


if __name__ == "__main__":
    sys.exit(main())
