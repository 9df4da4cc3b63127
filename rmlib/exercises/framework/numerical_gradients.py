"""Slopes judged in the plainest way: values by loops, and central differences of them.

Nothing here uses autograd or a closed form of the kit. Logits z are nested lists of floats, (items, classes) or
(items,); labels y a list of ints.
"""

import math
from itertools import product

import torch
from torch import Tensor

from rmlib.exercises.framework.compare import same
from rmlib.loss.gradients import central_differences

from . import sandbox
from .exercise import NotYet

NO_AUTOGRAD = "no autograd here: work out the formula on paper, and compute it"


def slopes_of(value, z, y):
    """The slope over z of a value below."""
    return central_differences(lambda moved: value(moved.tolist(), y.tolist()), z, 1e-5)


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(z - max(logits)) for z in logits]
    return [power / sum(powers) for power in powers]


def expected_accuracy(z, y) -> float:
    return sum(softmax(row)[label] for row, label in zip(z, y, strict=True)) / len(y)


def gce(z, y, q=0.7) -> float:
    return 1 - sum((1 - softmax(row)[label] ** q) / q for row, label in zip(z, y, strict=True)) / len(y)


def soft_counts(z, y) -> list[tuple[float, float]]:
    """For each positive class, from 1 up: Σ ŷy, and Σ ŷ + Σ y."""
    p = [softmax(row) for row in z]
    counts = []
    for c in range(1, len(z[0])):
        found = sum(row[c] for row, label in zip(p, y, strict=True) if label == c)
        counts.append((found, sum(row[c] for row in p) + y.count(c)))
    return counts


def soft_f1(z, y) -> float:
    counts = soft_counts(z, y)
    return 2 * sum(found for found, _ in counts) / sum(total for _, total in counts)


def soft_f1_macro(z, y) -> float:
    """The mean over the classes that are in y."""
    each = [2 * found / total for c, (found, total) in enumerate(soft_counts(z, y), 1) if c in y]
    return sum(each) / len(each) if each else 0.0


def binary_soft_f1(z, y) -> float:
    """For one logit an item, labels 0 and 1."""
    return soft_f1([[0.0, logit] for logit in z], y)


VALUES = {one.__name__: one for one in (expected_accuracy, gce, soft_f1, soft_f1_macro)}


class Watched(torch.Tensor):
    """A tensor that refuses to be differentiated."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.requires_grad_, torch.Tensor.requires_grad.__set__, torch.autograd.grad):
            raise RuntimeError(NO_AUTOGRAD)
        return super().__torch_function__(function, types, args, kwargs or {})


def without_autograd(inputs):
    """A `more` for functions of logits and labels: runs the answer once on logits that refuse."""

    def more(answer, spec):
        z, y = inputs(4)
        try:
            answer(z.as_subclass(Watched), y)
        except sandbox.LearnersError as error:
            raise NotYet(NO_AUTOGRAD if NO_AUTOGRAD in str(error) else str(error)) from None

    return more


STEP = 1e-4  # of the central differences


def slopes_agree(answer, spec, x: Tensor, y: Tensor, why: str = "is a part of it detached?") -> None:
    """Compare the slopes of answer(x, y) over x with central differences of the spec; `why` is said where they differ.

    Raises:
        NotYet: there is no gradient, it is not a number, or it is wrong.
    """
    leaf = x.clone().requires_grad_()
    found = answer(leaf, y)
    if not torch.is_tensor(found) or not found.requires_grad:
        raise NotYet("the value is right, but it has no gradient: is there a `detach`, an `item` or a new tensor?")
    try:
        slopes = torch.autograd.grad(found, leaf)[0]
    except RuntimeError as error:
        raise NotYet(f"the value is right, but backward ends in RuntimeError: {error}") from None
    rights = central_differences(lambda moved: float(spec(moved, y)), x, STEP)
    for place in product(*map(range, x.shape)):
        right = float(rights[place])
        slope, where = float(slopes[place]), f"the value is right, but at {float(x[place]):.4g}, label {int(y[place])}"
        if slope != slope:
            raise NotYet(f"{where}, the slope is nan: the gradient goes through both branches of a `where`")
        if not same(slope, right, 1e-5):
            raise NotYet(f"{where}, the slope is {slope:.4g}; expected {right:.4g}: {why}")


def slopes(answer, args: tuple, over: str, places: tuple[int, ...] = (0,)) -> list[torch.Tensor]:
    """d answer(*args) / d args[place] for each of `places`; 0 where the result does not depend on it.

    Args:
        answer: gives one number, of which the value is known to be right.
        over: what args[places[0]] is, in words: the result must have a slope over it.

    Raises:
        NotYet: there is no slope over it, or PyTorch cannot compute it.
    """
    args = [arg.clone().requires_grad_() if i in places else arg for i, arg in enumerate(args)]
    lost = f"right value, but it has no slope over {over}: is there a detach, .item(), float(…) or no_grad on the way?"
    value = answer(*args)
    if not getattr(value, "requires_grad", False):
        raise NotYet(lost)
    try:
        found = torch.autograd.grad(value, [args[place] for place in places], allow_unused=True)
    except RuntimeError:
        raise NotYet(
            "right value, but PyTorch cannot go backwards: a tensor is changed after it was used, by fill_diagonal_ or "
            "t[…] = …, say. Multiply, or use torch.where"
        ) from None
    if found[0] is None:
        raise NotYet(lost)
    return [torch.zeros_like(args[place]) if one is None else one for place, one in zip(places, found, strict=True)]
