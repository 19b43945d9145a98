"""What a run need not wait for: files and mirrors, done in order by a thread of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Background:
    """One thread that does what it is given, one after another, in the order given.

    After an error nothing more is done until it has come up in the caller: at the next `submit`, or at `finish`, which
    has to be called before anyone relies on what was submitted. A process that ends by itself waits for the rest; one
    that is killed, or leaves by `os._exit`, does not, so each action has to leave nothing half done.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)  # the thread begins with the first action
        self._pending: deque[Future[None]] = deque()
        self._latest: dict[Hashable, Future[None]] = {}  # of each key
        self._error: Exception | None = None

    def submit(self, action: Callable[[], object], key: Hashable = None) -> None:
        """Have `action` done later; with a `key`, such as a path, wait until an earlier one of that key is done.

        Raises:
            Exception: what an earlier action raised; this one, and those between, are then not done.
        """
        if key in self._latest:
            wait([self._latest.pop(key)])
        while self._pending and self._pending[0].done():
            self._pending.popleft()
        if self._error is not None:
            self.finish()
        self._pending.append(self._pool.submit(self._do, action))
        if key is not None:
            self._latest[key] = self._pending[-1]

    def finish(self) -> None:
        """Wait until all is done. Raises the first error, if any."""
        wait(self._pending)
        self._pending.clear()
        self._latest.clear()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _do(self, action: Callable[[], object]) -> None:
        if self._error is None:
            try:
                action()
            except Exception as error:
                self._error = error
