"""Who watches a run while it trains, and how one ends before its end. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint stands."""


class OutOfTime(Interrupted):
    """The run has had its `execution.max_seconds` of this launch; its checkpoint stands."""


class OutOfMemory(RuntimeError):
    """A cell does not fit its device, however small the micro-batch."""


@dataclass(frozen=True)
class Hooks:
    """Who is told the step now and then, and who is asked after each step whether to stop."""

    progress: Callable[[int], None] = lambda step: None
    should_stop: Callable[[], bool] = lambda: False
