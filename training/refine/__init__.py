"""Cells added to a sweep where its losses ask for them, in rounds that the sweep folder remembers."""

from .rounds import next_round, with_refinement

__all__ = ["next_round", "with_refinement"]
