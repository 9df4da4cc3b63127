"""The widgets, one file each. Every one can be driven from Python through plain properties, too."""

from .entity_viewer import EntityViewer, render
from .estimator_explorer import EstimatorExplorer
from .gradient_explorer import GradientExplorer
from .handshake import handshake
from .instant_head import InstantHead
from .landscape_explorer import LandscapeExplorer
from .live_training import LiveTraining
from .loss_explorer import LossExplorer
from .noise_explorer import NoiseExplorer
from .reward_menu import RewardMenu
from .self_test import SelfTest
from .study_browser import StudyBrowser

__all__ = [
    "EntityViewer",
    "EstimatorExplorer",
    "GradientExplorer",
    "InstantHead",
    "LandscapeExplorer",
    "LiveTraining",
    "LossExplorer",
    "NoiseExplorer",
    "RewardMenu",
    "StudyBrowser",
    "SelfTest",
    "handshake",
    "render",
]
