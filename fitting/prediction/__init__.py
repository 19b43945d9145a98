"""What fitted and published laws say of N*, D* and the loss, with intervals where one is known."""

from .predictor import Predictor, Scaling
from .sources import predictors_of, published_predictor

__all__ = ["Predictor", "Scaling", "predictors_of", "published_predictor"]
