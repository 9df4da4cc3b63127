"""L = L_p + alpha * L_r: the prediction loss plus alpha times a loss made from the reward."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .rewards import Reward, find
from .sampled_metrics import NO_WORD


class Loss(NamedTuple):
    """The three terms, each a scalar tensor; `reward` has no gradient while alpha is 0, which saves time."""

    total: Tensor
    prediction: Tensor
    reward: Tensor


def combine(alpha: float, prediction, reward):
    """L = L_p + alpha * L_r, the one place where the two are put together; a gradient is combined in the same way.

    Args:
        alpha: 0 or more; with `math.inf` L is L_r alone.
        prediction, reward: L_p and L_r, or their gradients: numbers, tensors or arrays of one shape.
    """
    if alpha == math.inf:
        return reward
    return prediction if alpha == 0 else prediction + alpha * reward


def check_alpha(value) -> float:
    """`value` as an alpha.

    Raises:
        ValueError: below 0, NaN, or not a number.
    """
    try:
        alpha = float(value)
    except (TypeError, ValueError):
        alpha = math.nan
    if not alpha >= 0:
        raise ValueError(f"alpha is {value!r}; expected a number of 0 or more (inf means the reward alone)")
    return alpha


class RewardObjective(nn.Module):
    """The loss that listens to the metric: L = L_p + alpha * L_r.

    L_p is the mean cross-entropy and L_r = 1 - R, with R one of `rmlib.loss.rewards.REWARDS`.

    Args:
        alpha: weight of the reward loss, 0 or more. `math.inf` means the reward alone: L = L_r.
        reward: a name in `REWARDS`, or a `Reward` of your own.
        background: the class that is not a finding; all other classes are positive.
        ignore_index: items with this label take no part in any term.

    `alpha` and `reward` may be set again between any two steps.

    Raises:
        ValueError: alpha below 0 or NaN, or a reward that is not known; also when they are set later.
    """

    def __init__(
        self, alpha: float = 1.0, reward: str | Reward = "soft_f1", background: int = 0, ignore_index: int = -100
    ):
        super().__init__()
        self.alpha = alpha
        self.reward = reward
        self.background = background
        self.ignore_index = ignore_index

    @property
    def alpha(self) -> float:
        return self._alpha

    @alpha.setter
    def alpha(self, value: float):
        self._alpha = check_alpha(value)

    @property
    def reward(self) -> Reward:
        return self._reward

    @reward.setter
    def reward(self, value: str | Reward):
        self._reward = find(value)

    def forward(self, logits, labels: Tensor, num_items_in_batch=None):
        """The loss of a batch.

        Args:
            logits: (items, classes), (sentences, tokens, classes), or one logit per item in the shape of `labels`
                (or with a last dimension of 1): the binary form, where p = sigmoid(logit).
                `transformers.Trainer` hands over the model's whole output instead; see below.
            labels: the shape of logits without the classes; int, `ignore_index` where there is nothing to learn.
            num_items_in_batch: given by `transformers.Trainer` only, the labelled items of all micro-batches and
                processes together: the loss is weighted by this batch's share of them, so that the shares add up.

        Returns:
            `Loss(total, prediction, reward)`; for a model's output, the total alone, as `Trainer` expects. A batch
            with no labelled item has loss 0 in all three terms.

        Raises:
            ValueError: shapes that do not fit, or a label that is not a whole number from 0 to classes - 1.
        """
        from_trainer = not isinstance(logits, Tensor)
        logits = as_classes(logits["logits"] if from_trainer else logits, labels)
        z, y = items(logits, labels, self.ignore_index)
        words = words_each(labels, self.ignore_index) if self.reward.sentences else None
        loss = self.terms(z, y, words)
        if from_trainer:
            return loss.total if num_items_in_batch is None else loss.total * (len(y) / num_items_in_batch)
        return loss

    def terms(self, z: Tensor, y: Tensor, words: list[int] | None = None) -> Loss:
        """The loss of items that have been looked at already: nothing here makes a program wait for its GPU, but
        for SmoothAP, which looks at the positives of each class.

        Args:
            z: logits (items, classes), float32 or better. y: labels (items,), int, nothing to ignore left in them.
            words: items of each sentence, in order: what a metric of names has to know; left out, all are one sentence.
        """
        if len(y) == 0:
            nothing = z.sum()  # 0, and still part of the graph, so that backward() works
            return Loss(nothing, nothing, nothing)
        prediction = nn.functional.cross_entropy(z, y)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.alpha > 0):
            what = by_sentence(z, y, words or [len(y)]) if self.reward.sentences else (z, y)
            reward = 1 - self.reward.function(*what, self.background)
        return Loss(combine(self.alpha, prediction, reward), prediction, reward)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, reward={self.reward.name!r}"


def as_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (..., classes) in float32 or better. One logit per label becomes the two logits (0, z), whose softmax is
    (1 - sigmoid(z), sigmoid(z)).

    Raises:
        ValueError: shapes that do not fit.
    """
    if logits.shape == labels.shape:
        logits = logits.unsqueeze(-1)
    if logits.shape[:-1] != labels.shape or logits.shape[-1] == 0:
        raise ValueError(
            f"logits have shape {tuple(logits.shape)} and labels {tuple(labels.shape)}; "
            "expected (..., classes) and (...), or one logit per label"
        )
    z = logits if logits.dtype == torch.float64 else logits.float()
    return torch.cat([torch.zeros_like(z), z], -1) if z.shape[-1] == 1 else z


def items(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> tuple[Tensor, Tensor]:
    """The labelled items of a batch: logits (items, classes) and labels (items,).

    Raises:
        ValueError: a label that is not a whole number from 0 to classes - 1.
    """
    z, whole = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    if not len(whole):
        return z, whole.long()
    kept = whole != ignore_index
    counted = whole.where(kept, 0)
    ignored, low, high = torch.stack([(~kept).sum(), counted.min().long(), counted.max().long()]).tolist()  # at once
    if ignored:  # else no copy is made, which would be felt
        where = kept.nonzero()[:, 0]
        z, whole = z[where], whole[where]
    y = whole.long()
    if whole.is_floating_point() and not torch.equal(y.to(whole.dtype), whole):
        raise ValueError(f"labels of type {whole.dtype} are not all whole numbers; expected the index of a class")
    if low < 0 or high >= z.shape[-1]:
        raise ValueError(
            f"label {low if low < 0 else high}; expected 0 to {z.shape[-1] - 1}, or {ignore_index} to ignore the item"
        )
    return z, y


def words_each(labels: Tensor, ignore_index: int = -100) -> list[int]:
    """Labelled words of each sentence of labels (..., words); labels (items,) are one sentence."""
    return (labels != ignore_index).reshape(-1, labels.shape[-1]).sum(-1).tolist()


def by_sentence(z: Tensor, y: Tensor, words: list[int]) -> tuple[Tensor, Tensor]:
    """Items laid out as sentences: logits (sentences, words, classes) and labels (sentences, words), with 0 and
    `NO_WORD` after the end of a short sentence. A sentence without a labelled word is left out.

    Args:
        z: (items, classes), sentence after sentence. y: (items,). words: items of each sentence.
    """
    counts = torch.tensor([n for n in words if n])
    there = torch.arange(int(counts.max())) < counts[:, None]
    place, after = (there.flatten().cumsum(0) - 1).reshape(there.shape), ~there
    if z.is_cuda:  # without waiting for it
        place, after = (one.pin_memory().to(z.device, non_blocking=True) for one in (place, after))
    else:
        place, after = place.to(z.device), after.to(z.device)
    return z[place].masked_fill(after[..., None], 0.0), y.long()[place].masked_fill(after, NO_WORD)
