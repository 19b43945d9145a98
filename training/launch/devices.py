"""Which GPUs this process may use, how full they are, and what a worker gets; without importing torch."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..config import Execution
from ..corpus.parallel import usable_cores

# What makes a process one of a group to torch and accelerate: of torchrun, Slurm's PMI, Open MPI and MVAPICH.
_GROUP = {
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PMI_RANK", "PMI_SIZE"),
    *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
}
_ANSWER_SECONDS = 30.0  # a driver that hangs must not hold up a sweep


def visible_gpus(execution: Execution) -> list[str]:
    """What CUDA_VISIBLE_DEVICES should be for a worker of each GPU; empty on a machine, or a config, without."""
    if execution.device == "cpu":
        return []
    listed = _asked(["nvidia-smi", "-L"]) or ""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:  # containers without a GPU set it too; CUDA stops at the first name it does not know
        there = bool(listed) or any(Path("/dev").glob("nvidia[0-9]*"))
        names = [name.strip() for name in chosen.split(",")] if there else []
        return list(itertools.takewhile(lambda name: name and name != "-1", names))
    return [str(i) for i, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def free_memory(gpus: Sequence[str]) -> int | None:
    """Bytes free on the fullest of `gpus`, named by number or UUID; None where that cannot be known."""
    free = _gpu_memory(gpus, "free")
    known = [n_bytes for n_bytes in free if n_bytes is not None]
    return min(known) if known and len(known) == len(free) else None


def total_memory(gpus: Sequence[str]) -> list[int | None]:
    """Bytes that each of `gpus` has; None for one where that cannot be known, as for a slice of a GPU."""
    return _gpu_memory(gpus, "total")


def _gpu_memory(gpus: Sequence[str], which: str) -> list[int | None]:
    table = _asked(["nvidia-smi", f"--query-gpu=index,uuid,memory.{which}", "--format=csv,noheader,nounits"])
    rows = [[entry.strip() for entry in line.split(",")] for line in (table or "").splitlines()]
    found: list[int | None] = []
    for name in gpus:
        sizes = [row[2] for row in rows if len(row) == 3 and (row[0] == name or row[1].startswith(name))]
        found.append(int(sizes[0]) << 20 if len(sizes) == 1 and sizes[0].isdecimal() else None)
    return found


def machine_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that this process' control group may use, or else the machine has.

    `root` is where the system's files are looked up, /proc/self/cgroup and /sys/fs/cgroup (version 1 and 2).
    """
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([there, *_group_limits(root)])


def _group_limits(root: Path) -> list[int]:
    """The limits of the groups that this process is in, and of those around them."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits: list[int] = []
    for _, controllers, path in (line.split(":", 2) for line in groups if line.count(":") >= 2):
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for n in range(len(parts) + 1):  # in a container the path may not be there, and the top is its own group
            with contextlib.suppress(OSError, ValueError):  # "max" is no limit
                limits.append(int(top.joinpath(*parts[:n], name).read_text()))
    return limits


def mps_is_running() -> bool:
    """Whether a CUDA MPS daemon lets processes compute on one GPU at the same time; none is started."""
    answer = _asked(["nvidia-cuda-mps-control"], "get_server_list\n")
    if answer is not None:
        return "Cannot find" not in answer
    # In a container the daemon may be the host's, seen by its pipe alone.
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or "/tmp/nvidia-mps")
    return shutil.which("nvidia-cuda-mps-control") is None and (pipes / "control").exists()


def worker_count(execution: Execution, gpus: Sequence[str], per_gpu: int = 1) -> int:
    """As configured, else `per_gpu` for each GPU, else as many as the cores hold at the configured threads."""
    if execution.workers is not None:
        return execution.workers
    return len(gpus) * per_gpu or max(1, usable_cores() // execution.threads)


def worker_environment(execution: Execution, gpus: Sequence[str], index: int) -> dict[str, str]:
    """The environment of worker number `index`: its GPU, by turns, and no more threads than it is given.

    A worker is a process by itself and opens no port, also where the sweep was started by a launcher of groups.
    """
    threads = str(execution.threads)
    alone = {name: value for name, value in os.environ.items() if name not in _GROUP}
    environment = alone | {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
    }
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    return environment


def _asked(command: list[str], words: str = "") -> str | None:
    """What a program of the driver prints; None where there is none, or it fails."""
    try:
        done = subprocess.run(command, input=words, capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
