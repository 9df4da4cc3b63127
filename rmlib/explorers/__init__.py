"""The widgets, one file each. Every one can be driven from Python through plain properties, too."""

from .entity_viewer import EntityViewer, render
from .handshake import handshake
from .loss_explorer import LossExplorer

__all__ = ["EntityViewer", "LossExplorer", "handshake", "render"]
