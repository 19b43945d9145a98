"""A law of any form with named parameters and bounds, and the engine that fits it."""

from .custom import fit_custom

__all__ = ["fit_custom"]
