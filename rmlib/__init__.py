"""rmlib: train on L = L_p + alpha * L_r, the prediction loss plus alpha times a loss made from the reward.

`RewardObjective` is imported on first use, so that `rmlib --help` does not wait for torch.
"""

__version__ = "0.1.0"
__all__ = ["RewardObjective"]


def __getattr__(name):
    if name == "RewardObjective":
        from .objective import RewardObjective

        return RewardObjective
    raise AttributeError(f"module 'rmlib' has no attribute {name!r}")
