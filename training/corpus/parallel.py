"""One function over many items, in processes of their own where there is enough to do."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Shared = TypeVar("Shared")
Result = TypeVar("Result")

_task: Callable[[Any, Any], Any]
_shared: Any


def usable_cores() -> int:
    """Cores that this process may use: its affinity, which schedulers set."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(
    task: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item], processes: int, folder: Path
) -> Iterator[Result]:
    """`task(shared, item)` of each item, in their order. `task` is a function of a module, `folder` one to work in.

    The processes leave when this one does, however it ends. Raises RuntimeError where one is killed.
    """
    if processes == 1:
        yield from (task(shared, item) for item in items)
        return
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    # What is large goes through a file: writing it to a process that dies as it starts would never end.
    handed_over = folder / "shared"
    handed_over.write_bytes(pickle.dumps(shared, pickle.HIGHEST_PROTOCOL))
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(task, handed_over, theirs)) as pool:
        try:
            yield from pool.map(_call, items)
        except BrokenProcessPool:
            raise RuntimeError(
                "a process that prepares the corpus was killed (out of memory?), or could not start: a script that "
                "calls prepare_corpus needs `if __name__ == '__main__':`"
            ) from None
        except BaseException:
            ours.close()
            raise


def _begin(task: Callable[[Any, Any], Any], handed_over: Path, parent: Connection) -> None:
    global _task, _shared
    _task, _shared = task, pickle.loads(handed_over.read_bytes())
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there are as many processes as cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: Connection) -> None:
    try:
        parent.recv()
    except EOFError:
        os._exit(1)


def _call(item: Any) -> Any:
    return _task(_shared, item)
