"""The registry of the reward types: what every entry tells about itself, and how one is found by its name."""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from torch import Tensor


@dataclass(frozen=True)
class Reward:
    """One reward type.

    Attributes:
        name: the key in `REWARDS`.
        function: (logits, labels, background) -> R, as `rewards.py` describes.
        formula: LaTeX.
        reference: the source paper.
        levels: what it applies to, of "binary", "classes" and "tokens".
        splits: True where the R of a batch is the item-weighted mean of the R of its parts. Where False (an F1 is
            a ratio of counts), the parts of a batch must be put together before R is taken.
        lowest: R lies in [lowest, 1], with the parameters as registered.
        sampled: True where R is a metric without a gradient, estimated from samples (see `sampling.py`).
        sentences: True where the function takes (sentences, words, classes) and (sentences, words), with
            `sampling.NO_WORD` after the last word of a short sentence: a metric of names needs to know where a
            sentence begins.
        parameters: those set by `having`.
    """

    name: str
    function: Callable[[Tensor, Tensor, int], Tensor]
    formula: str
    reference: str
    levels: tuple[str, ...] = ("binary", "classes", "tokens")
    splits: bool = False
    lowest: float = 0.0
    sampled: bool = False
    sentences: bool = False
    parameters: dict = field(default_factory=dict)

    def having(self, **parameters) -> "Reward":
        """The same reward with other parameters, ready for `RewardObjective`: `REWARDS["gce"].having(q=0.5)`.

        Raises:
            ValueError: the reward has no parameter of that name.
        """
        names = list(inspect.signature(self.function).parameters)[3:]
        for name in parameters:
            if name not in names:
                raise ValueError(f"reward {self.name!r} has no parameter {name!r}; it has {', '.join(names) or 'none'}")
        told = ", ".join(f"{name}={value!r}" for name, value in (self.parameters | parameters).items())
        return replace(
            self,
            name=f"{self.name.split('(')[0]}({told})",
            function=partial(self.function, **parameters),
            parameters=self.parameters | parameters,
        )


REWARDS: dict[str, Reward] = {}


def register(name: str, **facts):
    """Put the function below under `name` in `REWARDS`."""

    def put(function):
        REWARDS[name] = Reward(name, function, **facts)
        return function

    return put


def find(reward: str | Reward) -> Reward:
    """The reward of that name; a `Reward` of your own passes through.

    Raises:
        ValueError: the name is not known, or it is neither a name nor a `Reward`.
    """
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, str) and reward in REWARDS:
        return REWARDS[reward]
    near = difflib.get_close_matches(str(reward), REWARDS, n=1, cutoff=0)[0]
    raise ValueError(f"reward {reward!r} is not known; did you mean {near!r}? known: {', '.join(sorted(REWARDS))}")
