"""The launcher's side of the conversation with one worker process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ..stacking import Order


class Slot:
    """One worker process and the cells it is at."""

    def __init__(self, index: int, module: str, sweep: Path, log: Path, environment: Mapping[str, str]) -> None:
        """Start `module` as worker number `index`; what it prints goes to the end of `log`."""
        self.index, self.log = index, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as stderr, without_batch_signals():
            self._log_start = stderr.tell()  # what lies before it is of earlier launches
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(sweep)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent alone
            )
        self.ready = False
        self.order: Order = ()
        self.leaving = False  # its cell failed: it will be replaced
        self._heard = b""  # the beginning of an event whose end has not come yet

    @property
    def orders(self) -> IO[bytes]:
        """The worker's stdin."""
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def events(self) -> IO[bytes]:
        """The worker's stdout."""
        assert self.process.stdout is not None
        return self.process.stdout

    def read(self) -> list[dict[str, Any]] | None:
        """The events that have come; None once the worker has closed its end."""
        data = os.read(self.events.fileno(), 1 << 16)
        *lines, self._heard = (self._heard + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def give(self, order: Order) -> None:
        """Have the worker train `order`."""
        self.order = order
        words = " ".join(cell.run_id for cell in order)
        with contextlib.suppress(BrokenPipeError):  # it died just now; the end of its stdout tells
            self.orders.write(f"{words}\n".encode())
            self.orders.flush()

    def why_dead(self) -> str:
        """How the process ended, in words, with the last line of its log."""
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        if code == -signal.SIGKILL:
            how += " (the system does that when memory runs out)"
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            text = file.read().decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return f"worker {how}" + (f"; its last words: {lines[-1][:200]}" if lines else "")


@contextlib.contextmanager
def without_batch_signals() -> Iterator[None]:
    """Processes begun inside never see SIGUSR2: a batch system sends it to all of a task, whose first one answers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
