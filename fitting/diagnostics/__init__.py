"""What makes a fit untrustworthy, as a code, a number and a remedy."""

from .agreement import Fits, disagreement, overlap
from .every import warnings_of
from .warn import Warn

__all__ = ["Fits", "Warn", "disagreement", "overlap", "warnings_of"]
