"""Which GPUs this process may use, how full they are, and what a worker gets; without importing torch."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..config import Execution
from ..corpus.parallel import usable_cores

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
    table = _asked(["nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"])
    free: list[int] = []
    rows = [[entry.strip() for entry in line.split(",")] for line in (table or "").splitlines()]
    for name in gpus:
        found = [row[2] for row in rows if len(row) == 3 and (row[0] == name or row[1].startswith(name))]
        if len(found) != 1 or not found[0].isdecimal():
            return None  # a slice of a GPU, say
        free.append(int(found[0]) << 20)
    return min(free, default=None)


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
    """The environment of worker number `index`: its GPU, by turns, and no more threads than it is given."""
    threads = str(execution.threads)
    environment = os.environ | {
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
