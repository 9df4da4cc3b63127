"""The widgets, one file each. Every one can be driven from Python through plain properties, too."""

from .entity_viewer import EntityViewer, render
from .estimator_explorer import EstimatorExplorer
from .gradient_explorer import GradientExplorer
from .handshake import handshake
from .landscape_explorer import LandscapeExplorer
from .loss_explorer import LossExplorer
from .reward_menu import RewardMenu

__all__ = [
    "EntityViewer",
    "EstimatorExplorer",
    "GradientExplorer",
    "LandscapeExplorer",
    "LossExplorer",
    "RewardMenu",
    "handshake",
    "render",
]
