"""L = L_p + alpha * L_r: the prediction loss plus alpha times a loss made from the reward."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .rewards import Reward, find
from .sampled_metrics import PADDING

IGNORED_BY_TRAINER = -100  # transformers.Trainer counts the other items


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
        background: the class that is not positive (O in named-entity recognition); by default the
            one that is called "O" in `labels`, or else 0.
        ignore_index: items with this label are left out of every term.
        labels: the names of the classes in their order, or `model.config.id2label`. `entity_f1`
            needs them unless the classes are O, B-X, I-X, B-Y, I-Y …

    `alpha` and `reward` may be set between any two steps.

    Raises:
        ValueError: alpha below 0 or NaN, or an unknown reward; also when they are set later.
            `labels` that are double or not numbered from 0.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        reward: str | Reward = "soft_f1",
        background: int | None = None,
        ignore_index: int = -100,
        labels: list[str] | dict | None = None,
    ):
        super().__init__()
        self.alpha = alpha
        self.reward = reward
        self.labels = class_names(labels)
        if background is None:
            background = self.labels.index("O") if "O" in self.labels else 0
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

    def forward(self, logits, labels, num_items_in_batch=None):
        """The loss of a batch.

        Args:
            logits: (items, classes), (sentences, tokens, classes), or one logit per item in the
                shape of `labels` (or with a last dimension of 1): the binary form, where
                p = sigmoid(logit). `transformers.Trainer` passes the model's whole output instead:
                something with `logits`, or a tuple that begins with them. A class with logit -inf
                is masked.
            labels: int, in the shape of `logits` without the classes; `ignore_index` where there
                is no label. A tensor, an array or lists.
            num_items_in_batch: passed by `Trainer` only: the labelled items of all micro-batches
                and processes together. The loss is multiplied by this batch's share of them, so
                that `Trainer` may add up the losses of the parts.

        Returns:
            `Loss(total, prediction, reward)`; for a model's output the total alone, as `Trainer`
            expects. A batch without a labelled item has loss 0 in all three terms.

        Raises:
            ValueError: no logits or no labels, shapes that do not fit, or a label that is not an
                integer from 0 to classes - 1.
        """
        from_trainer = not isinstance(logits, Tensor)
        logits = logits_of(logits)
        labels = as_labels(labels, logits.device)
        if num_items_in_batch is not None and self.ignore_index != IGNORED_BY_TRAINER:
            raise ValueError(
                f"ignore_index is {self.ignore_index}; with Trainer expected {IGNORED_BY_TRAINER}"
            )
        logits = as_classes(logits, labels)
        z, y = labelled_items(logits, labels, self.ignore_index)
        per_sentence = None
        if self.reward.sentences:
            per_sentence = count_items(labels, self.ignore_index)
        loss = self.terms(z, y, per_sentence)
        if not from_trainer:
            return loss
        if num_items_in_batch is None or not len(y):
            return loss.total
        return loss.total * (len(y) / num_items_in_batch)

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
            zero = z[:0].sum()  # still part of the graph, so that backward() works
            return Loss(zero, zero, zero)
        prediction = nn.functional.cross_entropy(z, y)
        z, y, background = self._for_reward(z, y)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.alpha > 0):
            if self.reward.sentences:
                padded = pad_sentences(z, y, items_per_sentence or [len(y)])
                reward = 1 - self.reward.function(*padded, background)
            else:
                reward = 1 - self.reward.function(z, y, background)
        return Loss(combine(self.alpha, prediction, reward), prediction, reward)

    def _for_reward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, int]:
        """As the reward takes them: finite where a class is masked; in IOB2 order if need be."""
        lowest = torch.finfo(z.dtype).min / 4  # a probability of 0 that can be subtracted
        z = z.masked_fill(z == -math.inf, lowest)
        if not self.reward.iob2:
            return z, y, self.background
        order = iob2_order(self.labels, z.shape[-1])
        if order == list(range(z.shape[-1])):
            return z, y, self.background
        index = torch.tensor(order, device=z.device)
        every = max(order) + 1 + max(order) % 2  # also an I-X that no class has
        return z.new_full((len(z), every), lowest).index_copy(1, index, z), index[y], 0

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, reward={self.reward.name!r}"


def class_names(labels) -> list[str]:
    """The names of the classes in order, of a list or an `id2label`; for None an empty list.

    Raises:
        ValueError: a name is double, or a class has none.
    """
    if isinstance(labels, Mapping):
        by_number = {int(number): name for number, name in labels.items()}
        labels = [by_number.get(number, "") for number in range(len(by_number))]
    names = list(map(str, labels or []))
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"labels are {names}; expected a name of its own for each class, from 0")
    return names


def iob2_order(labels: list[str], classes: int) -> list[int]:
    """The place of each class in the order O, B-X, I-X, B-Y …; without names it is in that order.

    Raises:
        ValueError: the classes cannot be IOB2 tags.
    """
    tags = ["O"]
    for kind in dict.fromkeys(name[2:] for name in labels if name[:2] == "B-"):
        tags += [f"B-{kind}", f"I-{kind}"]
    bad = [name for name in labels if name not in tags]
    even = not labels and (classes < 3 or classes % 2 == 0)
    if bad or even or len(labels or range(classes)) != classes:
        names = f"named {', '.join(labels)}" if labels else "without names"
        raise ValueError(f"entity_f1 has {classes} classes {names}; expected O, B-X, I-X, B-Y …")
    return [tags.index(name) for name in labels] or list(range(classes))


def logits_of(output) -> Tensor:
    """The logits of a model's output: `output.logits`, or of a tuple the first that is no scalar.

    Raises:
        ValueError: there are none.
    """
    kind = f"a {type(output).__name__}"
    if isinstance(output, Mapping):
        kind += f" with {', '.join(map(repr, output))}"
        output = output.get("logits")
    output = getattr(output, "logits", output)
    if isinstance(output, tuple | list):  # a loss may come before the logits
        output = next((one for one in output if isinstance(one, Tensor) and one.ndim), None)
    if not isinstance(output, Tensor):
        raise ValueError(f"the model's output is {kind}; expected logits, as a tensor or in it")
    return output


def as_labels(labels, device=None) -> Tensor:
    """Labels, an array or lists, as a tensor.

    Raises:
        ValueError: there are none, or they are no array of numbers.
    """
    try:
        if labels is None:
            raise ValueError("has the batch a column 'labels'?")
        return torch.as_tensor(labels, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(labels).__name__
        raise ValueError(f"labels are {kind}; expected a class per item ({error})") from error


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
