"""L = L_p + alpha * L_r: the prediction loss plus alpha times a loss made from the reward."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .rewards import Reward, find
from .sampled_metrics import PADDING


class Loss(NamedTuple):
    """The three terms, each a scalar tensor. `reward` has no gradient while alpha is 0."""

    total: Tensor
    prediction: Tensor
    reward: Tensor


def combine(alpha: float, prediction, reward):
    """L = L_p + alpha * L_r. Every L of the kit, and every gradient of it, is combined here.

    Args:
        alpha: 0 or more; with `math.inf` the result is L_r alone.
        prediction, reward: L_p and L_r, or their gradients: numbers, tensors or arrays.
    """
    if alpha == math.inf:
        return reward
    return prediction if alpha == 0 else prediction + alpha * reward


def check_alpha(value) -> float:
    """`value` as a valid alpha.

    Raises:
        ValueError: below 0, NaN, or not a number.
    """
    try:
        alpha = float(value)
    except (TypeError, ValueError):
        alpha = math.nan
    if not alpha >= 0:
        raise ValueError(
            f"alpha is {value!r}; expected a number of 0 or more (inf means the reward alone)"
        )
    return alpha


class RewardObjective(nn.Module):
    """The loss that listens to the metric: L = L_p + alpha * L_r.

    L_p is the mean cross-entropy and L_r = 1 - R, where R is one of `rmlib.REWARDS`.

    Args:
        alpha: weight of the reward loss, 0 or more. `math.inf` means the reward alone: L = L_r.
        reward: a name in `REWARDS`, or a `Reward` of your own.
        background: the class that is not positive (O in named-entity recognition).
        ignore_index: items with this label are left out of every term.

    `alpha` and `reward` may be set between any two steps.

    Raises:
        ValueError: alpha below 0 or NaN, or an unknown reward; also when they are set later.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        reward: str | Reward = "soft_f1",
        background: int = 0,
        ignore_index: int = -100,
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
            logits: (items, classes), (sentences, tokens, classes), or one logit per item in the
                shape of `labels` (or with a last dimension of 1): the binary form, where
                p = sigmoid(logit). `transformers.Trainer` passes the model's whole output instead.
            labels: int, in the shape of `logits` without the classes; `ignore_index` where there
                is no label.
            num_items_in_batch: passed by `Trainer` only: the labelled items of all micro-batches
                and processes together. The loss is multiplied by this batch's share of them, so
                that `Trainer` may add up the losses of the parts.

        Returns:
            `Loss(total, prediction, reward)`; for a model's output the total alone, as `Trainer`
            expects. A batch without a labelled item has loss 0 in all three terms.

        Raises:
            ValueError: shapes that do not fit, or a label that is not an integer from 0 to
                classes - 1.
        """
        from_trainer = not isinstance(logits, Tensor)
        if from_trainer:
            logits = logits["logits"]
        logits = as_classes(logits, labels)
        z, y = labelled_items(logits, labels, self.ignore_index)
        per_sentence = None
        if self.reward.sentences:
            per_sentence = count_items(labels, self.ignore_index)
        loss = self.terms(z, y, per_sentence)
        if not from_trainer:
            return loss
        share = 1 if num_items_in_batch is None else len(y) / num_items_in_batch
        return loss.total * share

    def terms(self, z: Tensor, y: Tensor, items_per_sentence: list[int] | None = None) -> Loss:
        """The loss of labelled items.

        Nothing here waits for the GPU, except SmoothAP, which looks up the positives of each class.

        Args:
            z: logits (items, classes), float32 or float64.
            y: labels (items,), int, without ignored items.
            items_per_sentence: number of items of each sentence, in order, which entity-level
                metrics need; None means that all items are one sentence.
        """
        if len(y) == 0:
            zero = z.sum()  # still part of the graph, so that backward() works
            return Loss(zero, zero, zero)
        prediction = nn.functional.cross_entropy(z, y)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.alpha > 0):
            if self.reward.sentences:
                padded = pad_sentences(z, y, items_per_sentence or [len(y)])
                reward = 1 - self.reward.function(*padded, self.background)
            else:
                reward = 1 - self.reward.function(z, y, self.background)
        return Loss(combine(self.alpha, prediction, reward), prediction, reward)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, reward={self.reward.name!r}"


def as_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (..., classes) in float32 or float64.

    One logit z per label becomes the two logits (0, z), whose softmax is
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


def labelled_items(
    logits: Tensor, labels: Tensor, ignore_index: int = -100
) -> tuple[Tensor, Tensor]:
    """The labelled items of a batch: logits (items, classes) and labels (items,).

    Raises:
        ValueError: a label that is not an integer from 0 to classes - 1.
    """
    z = logits.reshape(-1, logits.shape[-1])
    labels = labels.reshape(-1)
    if not len(labels):
        return z, labels.long()
    kept = labels != ignore_index
    valid = labels.where(kept, 0)
    facts = torch.stack([(~kept).sum(), valid.min().long(), valid.max().long()])
    ignored, low, high = facts.tolist()  # one transfer from the GPU instead of three
    if ignored:  # else the copy is saved, which costs as much as the loss
        index = kept.nonzero()[:, 0]
        z = z[index]
        labels = labels[index]
    y = labels.long()
    if labels.is_floating_point() and not torch.equal(y.to(labels.dtype), labels):
        raise ValueError(
            f"labels of type {labels.dtype} are not all integers; expected the index of a class"
        )
    if low < 0 or high >= z.shape[-1]:
        raise ValueError(
            f"label {low if low < 0 else high}; expected 0 to {z.shape[-1] - 1}, "
            f"or {ignore_index} to ignore the item"
        )
    return z, y


def count_items(labels: Tensor, ignore_index: int = -100) -> list[int]:
    """Labelled items of each sentence of labels (..., tokens); labels (items,) are one sentence."""
    return (labels != ignore_index).reshape(-1, labels.shape[-1]).sum(-1).tolist()


def pad_sentences(z: Tensor, y: Tensor, items_per_sentence: list[int]) -> tuple[Tensor, Tensor]:
    """Items by sentence: logits (sentences, longest, classes) and labels (sentences, longest).

    After the end of a short sentence the logits are 0 and the label is `PADDING`. A sentence
    without a labelled item is left out.

    Args:
        z: (items, classes), sentence after sentence.
        y: (items,).
        items_per_sentence: number of items of each sentence.
    """
    counts = torch.tensor([n for n in items_per_sentence if n])
    inside = torch.arange(int(counts.max())) < counts[:, None]
    index = (inside.flatten().cumsum(0) - 1).reshape(inside.shape)
    padding = ~inside
    if z.is_cuda:  # without waiting for the GPU
        index = index.pin_memory().to(z.device, non_blocking=True)
        padding = padding.pin_memory().to(z.device, non_blocking=True)
    else:
        index = index.to(z.device)
        padding = padding.to(z.device)
    logits = z[index].masked_fill(padding[..., None], 0.0)
    return logits, y.long()[index].masked_fill(padding, PADDING)
