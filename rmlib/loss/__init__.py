"""The loss L = L_p + alpha * L_r, its rewards and their gradients.

It needs torch (and SymPy for `derivation`) and nothing else: copy this folder, and it runs.
"""

from .objective import Loss, RewardObjective
from .rewards import REWARDS, Reward
from .sampling import sampled_reward  # importing it also registers the rewards that are sampled

__all__ = ["REWARDS", "Loss", "Reward", "RewardObjective", "sampled_reward"]
