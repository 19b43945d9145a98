"""Faults at random moments over one sweep, started again until it is done."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from .faults import Fault
from .scene import Launch, Scene

LAUNCH_SECONDS = 180.0  # a launch that takes longer, undisturbed by then, hangs
LAUNCHES_AFTER = 6  # without a fault; a sweep that is not done by then never will be
SOON_AFTER_START = 0.25  # this share of the moments lies in the first seconds of a launch


@dataclass
class Applied:
    """A fault that struck."""

    fault: Fault
    at: float  # seconds since the sweep began
    launch: int
    cells: int  # that had ended by then
    hit: str

    def to_json(self, launches: list[Launch]) -> dict[str, Any]:
        """With the exit status of the launch that it struck."""
        return {
            "fault": self.fault.name,
            "at": round(self.at, 2),
            "launch": self.launch,
            "cells": self.cells,
            "hit": self.hit,
            "status": launches[self.launch].status,
        }


class Stuck(Exception):
    """The sweep hangs, or does not end however often it is started."""


def play(scene: Scene, faults: deque[Fault], applied: list[Applied]) -> None:
    """Move `faults` in order from their queue to `applied`; those that the sweep's end left no time for stay.

    Raises Stuck.
    """
    begun = time.monotonic()
    scene.launch()
    while faults and (scene.running() or not scene.is_complete()):
        if not scene.running():
            if len(scene.launches) > LAUNCHES_AFTER + 2 * len(applied):
                raise Stuck(f"{len(scene.launches)} launches have ended unfinished: {scene.launches[-1].log.name}")
            scene.launch()
        _await_a_moment(scene)
        if not scene.running():
            continue
        at, launch, cells = time.monotonic() - begun, len(scene.launches) - 1, scene.n_ended()
        hit = faults[0].apply(scene)
        if hit is None:
            time.sleep(0.1)
            continue
        applied.append(Applied(faults.popleft(), at, launch, cells, hit))
    for _ in range(LAUNCHES_AFTER):
        if not scene.wait(LAUNCH_SECONDS):
            raise Stuck(f"a launch has not ended after {LAUNCH_SECONDS:.0f} s: {scene.launches[-1].log.name}")
        if _is_done(scene):
            return
        scene.launch()
    raise Stuck(f"not done after {LAUNCHES_AFTER} more launches: {scene.launches[-1].log.name}")


def _await_a_moment(scene: Scene) -> None:
    if scene.random.random() < SOON_AFTER_START:
        scene.wait(scene.random.uniform(0, 4))
    else:
        since = scene.launches[-1].since
        scene.wait(30, until=lambda: scene.is_training(since))
        scene.wait(scene.random.uniform(0, 1.5))


def _is_done(scene: Scene) -> bool:
    if not scene.is_complete():
        return False
    failed = any((scene.record(run_id) or {}).get("status") == "failed" for run_id in scene.run_ids)
    return (1 if failed else 0) in [launch.status for launch in scene.launches[-2:]]
