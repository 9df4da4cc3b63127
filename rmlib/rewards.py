"""The reward types that have a gradient: one function and one registry line each.

Every function takes

    logits  (items, classes)  float, any range
    labels  (items,)          int, 0 .. classes - 1, nothing to ignore left in it, at least one item

and returns the reward R of the batch as a scalar in [0, 1], larger is better. `background` is the class that
is not a finding (O in named-entity recognition, "not negative" in the sentiment case); all others are positive.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reward:
    """One reward type.

    Attributes:
        name: the key in `REWARDS`.
        function: (logits, labels, background) -> R, as the module describes.
        formula: LaTeX.
        reference: the source paper.
        levels: what it applies to, of "binary", "classes" and "tokens".
        splits: True where the R of a batch is the item-weighted mean of the R of its parts. Where False (an F1 is
            a ratio of counts), the parts of a batch must be put together before R is taken.
    """

    name: str
    function: Callable[[Tensor, Tensor, int], Tensor]
    formula: str
    reference: str
    levels: tuple[str, ...] = ("binary", "classes", "tokens")
    splits: bool = False


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


def soft_counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts per class with probabilities in place of decisions.

    Returns:
        three tensors of shape (classes,): true positives Σ ŷy, predicted Σ ŷ, actual Σ y.
    """
    y_hat = logits.softmax(-1)
    y = torch.nn.functional.one_hot(labels, logits.shape[-1]).to(y_hat.dtype)
    return (y_hat * y).sum(0), y_hat.sum(0), y.sum(0)


def positive_classes(classes: int, background: int, device=None) -> Tensor:
    """A mask (classes,) that is False at the background class and True elsewhere."""
    return torch.arange(classes, device=device) != background


@register(
    "expected_accuracy",
    formula=r"R = \frac{1}{N}\sum_i p_{i,y_i}",
    reference="Ghosh, Kumar and Sastry, AAAI 2017 (1 - R is half the mean absolute error)",
    splits=True,
)
def expected_accuracy(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """The accuracy to expect when each label is drawn from the model: the mean probability of the right class."""
    return logits.softmax(-1).gather(-1, labels[:, None]).mean()


@register(
    "soft_f1",
    formula=r"\tilde F = \frac{2\sum \hat y\, y}{\sum y + \sum \hat y}",
    reference="Pastor-Pellicer et al., IWANN 2013",
)
def soft_f1(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Micro F1 of the positive classes from soft counts: count over the batch first, divide once.

    With no positive label in the batch R is 0 and has no gradient, as the hard F1 has none to give.
    """
    true, predicted, actual = soft_counts(logits, labels)
    positive = positive_classes(logits.shape[-1], background, logits.device)
    total = (actual + predicted)[positive].sum()
    return 2 * true[positive].sum() / total.clamp_min(torch.finfo(total.dtype).tiny)


@register(
    "soft_f1_macro",
    formula=r"\tilde F_{macro} = \frac{1}{|C|}\sum_{c \in C} \frac{2\sum \hat y_c y_c}{\sum y_c + \sum \hat y_c}",
    reference="Pastor-Pellicer et al., IWANN 2013; macro mean over the positive classes C present in the batch",
)
def soft_f1_macro(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Mean over the positive classes of their soft F1; a class with no label in the batch takes no part.

    With no positive label in the batch R is 0 and has no gradient.
    """
    true, predicted, actual = soft_counts(logits, labels)
    present = positive_classes(logits.shape[-1], background, logits.device) & (actual > 0)
    f1 = 2 * true / (actual + predicted).clamp_min(torch.finfo(true.dtype).tiny)
    return torch.where(present, f1, 0.0).sum() / present.sum().clamp_min(1)
