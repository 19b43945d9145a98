"""Every benchmark after the other, each by its own command, and the page docs/benchmarks.md of what came of it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from isoflop.fitting.jsonio import write_text_atomic
from isoflop.fitting.reporting.markdown import markdown_table
from isoflop.scripts.bench_figures import (
    Figure,
    of_coverage,
    of_fit,
    of_launch,
    of_precision,
    of_read,
    of_sweep,
    of_train,
)
from isoflop.scripts.output import note
from isoflop.training.provenance import git_commit

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "torch", "transformers", "accelerate", "vpnls", "chinchilla")


@dataclass(frozen=True)
class Part:
    """A command of its own: `bench.py WORDS`, shorter as `quick`; on the device it is about."""

    words: str
    quick: str
    figures: Callable[[dict[str, Any]], list[Figure]]
    runs: int = 1  # of the whole command, not quick
    gpu: bool = False


PARTS = (
    Part("fit --repeats 9", "fit --repeats 1", of_fit),
    Part("read", "read --runs 1000 --points 300", of_read, runs=2),
    Part("launch", "launch --launched 200 --planned 1000", of_launch, runs=3),
    Part("train --seconds 0.4", "train --seconds 0.1 --repeats 1 --sizes 4k,30k", of_train),
    Part("train --repeats 5", "train --repeats 1 --steps 5", of_train, gpu=True),
    Part("sweep", "sweep --cells 2 --set grid.seeds=1", of_sweep),
    Part("coverage", "coverage --sweeps 20", of_coverage),
    Part("precision", "precision --sweeps 20", of_precision),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a part: its figures, or the reason why there are none."""

    command: str
    figures: tuple[Figure, ...]
    seconds: float
    missing: tuple[str, ...] = ()
    failed: bool = False


def bench_all(quick: bool, page: Path) -> tuple[dict[str, Any], bool]:
    """Run every part, write `page`; what was measured as JSON, and whether every command did its work."""
    machine = machine_facts()
    outcomes = []
    for i, part in enumerate(PARTS, 1):
        outcomes.append(measured(part, quick, machine["gpu"]))
        note(f"{i} of {len(PARTS)}: {outcomes[-1].command}: {outcomes[-1].seconds:.0f} s")
    machine["load_after"] = os.getloadavg()[0]
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(page, page_text(machine, outcomes, quick))
    fine = not any(outcome.failed for outcome in outcomes)
    return {"machine": machine, "quick": quick, "parts": [asdict(outcome) for outcome in outcomes]}, fine


def measured(part: Part, quick: bool, gpu: str | None) -> Outcome:
    """The part's command, run as a user types it, its figures pooled over the runs."""
    words = part.quick if quick else part.words
    command = f"python scripts/bench.py {words}"
    if part.gpu and gpu is None:
        return Outcome(command, (), 0.0, ("no CUDA device on this machine",))
    if not part.gpu and words.startswith(("train", "sweep")):
        words += " --set execution.device=cpu"
        command = f"python scripts/bench.py {words}"
    began = time.monotonic()
    runs: list[list[Figure]] = []
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        for _ in range(1 if quick else part.runs):
            called = [sys.executable, "-m", "isoflop.scripts.bench", *words.split(), "--json", str(file)]
            done = subprocess.run(called, capture_output=True, text=True)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines()
                reason = f"it ended with status {done.returncode}: {said[-1] if said else 'it said nothing'}"
                return Outcome(command, (), time.monotonic() - began, (reason,), failed=True)
            content = json.loads(file.read_text())
            runs.append(part.figures(content))
            missing = list(content.get("missing", []))
    return Outcome(command, pooled(runs), time.monotonic() - began, tuple(missing))


def pooled(runs: Sequence[Sequence[Figure]]) -> tuple[Figure, ...]:
    """One figure each, with the values of all runs of its command."""
    first = {figure.name: figure for figure in runs[0]}
    for figure in [figure for run in runs[1:] for figure in run]:
        first[figure.name] = first[figure.name].with_values(figure.values)
    return tuple(first.values())


def machine_facts() -> dict[str, Any]:
    """On what it is measured: processor, memory, system, versions, commit, date, and how busy it is."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "gpu": _gpu(),
        "system": platform.platform(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": versions,
        "commit": git_commit(),
        "load_before": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu() -> str | None:
    """The GPUs' names as the driver has them; None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True)
    return ", ".join(done.stdout.split("\n")).strip(", ") or None if done.returncode == 0 else None


def page_text(machine: dict[str, Any], outcomes: Sequence[Outcome], quick: bool) -> str:
    """The page in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    threads = machine["omp_num_threads"]
    parts = [
        "# Benchmarks",
        "Every ratio that the README and these pages quote, measured by one command: "
        f"`python scripts/bench.py all{' --quick' if quick else ''}`. "
        "Each row names what it is held against and the command that makes it alone; ratios over 1 say that ours is so "
        "many times as fast. Least, median and most are over the values named in the last column.",
        "**A quick run: short, and rough.**" if quick else "",
        f"- {machine['date']}, commit {machine['commit'] or 'unknown'}\n"
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB; "
        f"GPU: {machine['gpu'] or 'none'}\n"
        f"- {machine['system']}; OMP_NUM_THREADS {'not set' if threads is None else threads}\n"
        f"- {versions}\n"
        f"- load average {machine['load_before']:.1f} before, {machine['load_after']:.1f} after "
        "(1 a core is a busy machine)",
    ]
    for outcome in outcomes:
        parts.append(f"## `{outcome.command}`")
        if outcome.figures:
            header = ("what", "beside", "least", "median", "most", "unit", "over")
            parts.append(markdown_table(header, [_cells(figure) for figure in outcome.figures]).strip())
        parts += [f"Not measured: {reason}." for reason in outcome.missing]
        if outcome.seconds:
            parts.append(f"It took {outcome.seconds:.0f} s.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(figure: Figure) -> tuple[str, ...]:
    low, middle, high = min(figure.values), statistics.median(figure.values), max(figure.values)
    numbers = (f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}" for value in (low, middle, high))
    count = len(figure.values)
    return (figure.what, figure.beside, *numbers, figure.unit, f"{count} {figure.over}" if count > 1 else "one value")
