"""The file `stop` in a sweep's folder: `scripts/cancel.py` writes it, and whoever trains there ends as on Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path

LOOK_SECONDS = 1.0  # between looks of one process


class StopFile:
    """A sweep's `stop`, looked for at most once a second, however often it is asked about."""

    def __init__(self, sweep: Path) -> None:
        self.path = sweep / "stop"
        self._next = float("-inf")
        self._seen = False

    def asked(self) -> bool:
        """Whether the sweep was cancelled since this process began; cheap enough for each training step."""
        now = time.monotonic()
        if not self._seen and now >= self._next:
            self._next = now + LOOK_SECONDS
            self._seen = self.path.exists()
        return self._seen

    def check(self) -> None:
        """Raises KeyboardInterrupt where the sweep was cancelled."""
        if self.asked():
            raise self.interruption()

    def interruption(self) -> KeyboardInterrupt:
        """What ends the command: it says "cancelled" where that is why."""
        return KeyboardInterrupt("cancelled") if self._seen else KeyboardInterrupt()

    def write(self) -> None:
        """Ask everyone at work on the sweep to end."""
        self.path.touch()

    def remove(self) -> None:
        """Ask no more; one left behind by an earlier `cancel` stops nobody."""
        self.path.unlink(missing_ok=True)
