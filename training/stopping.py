"""The file `stop` in a sweep's folder: `scripts/cancel.py` writes it, and whoever trains there ends as on Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path

LOOK_SECONDS = 1.0  # between looks of one process


class StopFile:
    """A sweep's `stop`, as far as it was written after this object was made: one left behind stops nobody."""

    def __init__(self, sweep: Path) -> None:
        self.path = sweep / "stop"
        self._before = self._stamp()
        self._next = float("-inf")
        self._seen = False

    def asked(self) -> bool:
        """Whether the sweep was cancelled; cheap enough for each training step, as it looks once a second at most."""
        now = time.monotonic()
        if not self._seen and now >= self._next:
            self._next = now + LOOK_SECONDS
            self._seen = self._stamp() not in (None, self._before)
        return self._seen

    def check(self) -> None:
        """Raises KeyboardInterrupt where the sweep was cancelled."""
        if self.asked():
            raise self.interruption()

    def interruption(self) -> KeyboardInterrupt:
        """What ends the command: it says "cancelled" where that is why."""
        return KeyboardInterrupt("cancelled") if self._seen else KeyboardInterrupt()

    def write(self) -> None:
        """Ask everyone who is at work on the sweep by now to end."""
        self.path.write_text(f"{time.time_ns()}\n")

    def _stamp(self) -> str | None:
        # What it says, not when it was written: a file system's times may be as coarse as a second.
        try:
            return self.path.read_text()
        except OSError:
            return None
