"""What a run need not wait for: files and mirrors, done in order by a thread of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Background:
    """One thread that does what it is given, one after another, in the order given.

    An error comes up in the caller: at the next `submit`, or at `finish`, which has to be called before anyone relies
    on what was submitted. A process that ends by itself waits for the rest; one that is killed, or leaves by
    `os._exit`, does not, so each action has to leave nothing half done.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)  # the thread begins with the first action
        self._pending: deque[Future[object]] = deque()
        self._latest: dict[Hashable, Future[object]] = {}  # of each key

    def submit(self, action: Callable[[], object], key: Hashable = None) -> None:
        """Have `action` done later; with a `key`, such as a path, wait until an earlier one of that key is done.

        Raises:
            Exception: what an earlier action raised; this one is then not taken.
        """
        if key in self._latest:
            wait([self._latest.pop(key)])
        while self._pending and self._pending[0].done():
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(action))
        if key is not None:
            self._latest[key] = self._pending[-1]

    def finish(self) -> None:
        """Wait until all is done. Raises the first error, if any."""
        wait(self._pending)
        errors = [error for future in self._pending if (error := future.exception())]
        self._pending.clear()
        self._latest.clear()
        if errors:
            raise errors[0]
