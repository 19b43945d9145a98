"""The models that cells train, and their counts. `build` imports torch; `counts` only for a user's own factory."""

from .counts import counts_for, model_identity

__all__ = ["counts_for", "model_identity"]
