"""How a cell is trained: batch, learning rate and the rest, by the recipe's rules."""

from .case import Case
from .resolve import Hyperparameters, batch_for, hyperparameters

__all__ = ["Case", "Hyperparameters", "batch_for", "hyperparameters"]
