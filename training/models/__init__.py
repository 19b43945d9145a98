"""The models that cells train, and their counts. `build` imports torch; `counts` needs it for a user's own factory alone."""

from .counts import counts_for, model_identity

__all__ = ["counts_for", "model_identity"]
