"""Cells added to a sweep where its losses ask for them, in rounds that the sweep folder remembers."""

from .rounds import CLAIM, next_round, with_refinement

__all__ = ["CLAIM", "next_round", "with_refinement"]
