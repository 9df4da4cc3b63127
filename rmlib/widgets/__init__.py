"""The widgets. Each of them can also be used from Python, through plain properties.

A widget is imported when its name is first used, so that the explorers of the first lessons don't
wait for the libraries that train a BERT.
"""

import importlib

_HOMES = {
    "EntityViewer": "entity_viewer",
    "EstimatorExplorer": "estimator.widget",
    "GradientExplorer": "gradient.widget",
    "InstantHead": "instant_head.widget",
    "LandscapeExplorer": "landscape.widget",
    "LiveTraining": "live.widget",
    "LossExplorer": "loss_explorer",
    "NoiseExplorer": "noise_explorer",
    "RewardMenu": "reward_menu",
    "SelfTest": "self_test",
    "StudyBrowser": "study.widget",
    "came_true": "prediction",
    "check_widgets": "widget_check",
    "happened": "prediction",
    "predict": "prediction",
    "render": "entity_viewer",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(f"rmlib.widgets.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'rmlib.widgets' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
