"""A sweep's config: YAML in, one checked SweepConfig out."""

from .data import Data, FilesCorpus, PythonCorpus
from .execution import Execution, Wandb
from .grid import Grid, More, Prior, Sizes
from .model import Initialisation, ModelConfig
from .recipe import Optimizer, Recipe
from .schedule import Schedule
from .sweep import Fit, SweepConfig, load_config, parse_config

__all__ = [
    "Data",
    "Execution",
    "FilesCorpus",
    "Fit",
    "Grid",
    "Initialisation",
    "ModelConfig",
    "More",
    "Optimizer",
    "Prior",
    "PythonCorpus",
    "Recipe",
    "Schedule",
    "Sizes",
    "SweepConfig",
    "Wandb",
    "load_config",
    "parse_config",
]
