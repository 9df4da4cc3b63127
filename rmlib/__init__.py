"""rmlib: train on L = L_p + alpha * L_r, the prediction loss plus alpha times a loss made from the reward.

The public names are imported when they are first used, so that `import rmlib` and `rmlib --help` don't wait for torch.
"""

import importlib

__version__ = "0.2.0"

_HOMES = {
    "RewardObjective": "loss.objective",
    "REWARDS": "loss.rewards",
    "sampled_reward": "loss.sampling",
    "new_tagger": "models.encoder",
    "load_tagger": "models.encoder",
    "Config": "training.config",
    "Training": "training.loop",
    "newswire": "text.corpora",
}
_PACKAGES = ("classroom", "exercises", "loss", "models", "plots", "studies", "text", "training", "widgets")

__all__ = [*_HOMES, *_PACKAGES]  # noqa: PLE0604 (all are strings)


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(f"rmlib.{_HOMES[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"rmlib.{name}")
    raise AttributeError(f"module 'rmlib' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
