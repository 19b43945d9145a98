"""The most FLOP/s that one large matmul gets on a device, measured now: what model FLOPs utilisation is a share of."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import socket
import time

import torch

from ..fitting.cache import cache_folder

SECONDS = 0.2  # of matmuls that are timed
SIDE = {"cpu": 1024}  # fills a core's caches; the square matrices are of so many rows
SIDE_ELSEWHERE = 8192  # fills a GPU, and one matmul lasts a hundred times its launch
AT_ONCE = {"cpu": 1}  # matmuls between two looks at the clock
AT_ONCE_ELSEWHERE = 8
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def matmul_peak(device: torch.device | str, precision: str, threads: int) -> float:
    """FLOP/s of a square matmul of random numbers on `device`: the best of as many as take 0.2 s, warmed up.

    `precision` is "fp32" or "bf16", the inputs' type; fp32 runs as cells train in it, so without tf32 unless the
    process has turned that on. `threads` are those of a CPU and mean nothing elsewhere. Measured once a process for the
    same arguments. Palm's MFU (Chowdhery 2022, appendix B) takes the data sheet's figure in its place, which no matmul
    reaches and which a CPU has none of.
    """
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return _measured(device, precision, threads if device.type == "cpu" else 0)


@functools.cache  # once a process
def known_peak(device: torch.device, precision: str, threads: int) -> float:
    """The largest `matmul_peak` that any process has measured on this machine, this one's among them; FLOP/s.

    Processes that share a device, or its memory, measure one after another and still disturb each other: what MFU is a
    share of is the most that was ever seen. Kept in the cache folder.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu-{threads}"
    file_name = f"{socket.gethostname()}-{name}-{precision}.txt".replace("/", "-").replace(" ", "-")
    path = cache_folder() / "peaks" / file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        peak = matmul_peak(device, precision, threads)
        file.seek(0)
        known = max([float(line) for line in file.read().split()], default=0.0)
        if peak > known:
            file.truncate(0)
            file.write(f"{peak}\n")
        return max(peak, known)


@functools.cache
@torch.inference_mode()
def _measured(device: torch.device, precision: str, threads: int) -> float:
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        return _best(device, DTYPES[precision])
    finally:
        torch.set_num_threads(before)


def _best(device: torch.device, dtype: torch.dtype) -> float:
    side, at_once = SIDE.get(device.type, SIDE_ELSEWHERE), AT_ONCE.get(device.type, AT_ONCE_ELSEWHERE)
    generator = torch.Generator(device).manual_seed(0)  # nobody else's random numbers move
    # Zeros would run faster than numbers do: a chip that toggles fewer bits keeps a higher clock.
    a, b = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    shortest, spent = float("inf"), 0.0
    warm = False
    while spent < SECONDS or not warm:
        synchronize(device)
        started = time.perf_counter()
        for _ in range(at_once):
            torch.matmul(a, b, out=out)
        synchronize(device)
        seconds = time.perf_counter() - started
        if warm:
            shortest, spent = min(shortest, seconds), spent + seconds
        warm = True
    return 2 * side**3 * at_once / shortest


def synchronize(device: torch.device) -> None:
    """Wait for what `device` was given to do; a CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
