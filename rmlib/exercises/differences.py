"""Slopes judged in the plainest way: values by loops, and central differences of them.

Nothing here uses autograd or a closed form of the kit. Logits z are nested lists of floats, (items, classes) or
(items,); labels y a list of ints.
"""

import itertools
import math

import torch

from . import guard
from .checking import NotYet

NO_AUTOGRAD = "no autograd here: work out the formula on paper, and compute it"


def by_differences(f, z, step=1e-5):
    """The slope of the scalar f(z) over each entry of z, of any shape, by central differences, in float64."""
    slope = torch.zeros(z.shape, dtype=torch.float64)
    for place in itertools.product(*map(range, z.shape)):
        up, down = z.clone(), z.clone()
        up[place] += step
        down[place] -= step
        slope[place] = (float(f(up)) - float(f(down))) / (2 * step)
    return slope


def slopes_of(value, z, y):
    """The slope over z of a value below."""
    return by_differences(lambda moved: value(moved.tolist(), y.tolist()), z)


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
        except guard.LearnersError as error:
            raise NotYet(NO_AUTOGRAD if NO_AUTOGRAD in str(error) else str(error)) from None

    return more
