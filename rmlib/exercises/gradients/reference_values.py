"""Values of rewards by plain loops, and their gradients by central differences.

Nothing here uses autograd or a closed form of the kit. Logits z are nested lists of floats, (items,
classes) or (items,); labels y are a list of ints.
"""

import math

from torch import Tensor

from rmlib.loss.gradients import central_differences


def gradient_by_differences(value, z: Tensor, y: Tensor) -> Tensor:
    """The gradient with respect to z of one of the values below, in the shape of z."""
    return central_differences(lambda moved: value(moved.tolist(), y.tolist()), z, 1e-5)


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(z - max(logits)) for z in logits]
    return [power / sum(powers) for power in powers]


def expected_accuracy(z, y) -> float:
    return sum(softmax(row)[label] for row, label in zip(z, y, strict=True)) / len(y)


def gce(z, y, q=0.7) -> float:
    return 1 - sum(
        (1 - softmax(row)[label] ** q) / q for row, label in zip(z, y, strict=True)
    ) / len(y)


def soft_counts(z, y) -> list[tuple[float, float]]:
    """For each positive class, from 1 up: Σ ŷy, and Σ ŷ + Σ y."""
    p = [softmax(row) for row in z]
    counts = []
    for c in range(1, len(z[0])):
        true_positives = sum(row[c] for row, label in zip(p, y, strict=True) if label == c)
        counts.append((true_positives, sum(row[c] for row in p) + y.count(c)))
    return counts


def soft_f1(z, y) -> float:
    counts = soft_counts(z, y)
    return 2 * sum(tp for tp, _ in counts) / sum(total for _, total in counts)


def soft_f1_macro(z, y) -> float:
    """The mean over the classes that occur in y."""
    f1 = [2 * tp / total for c, (tp, total) in enumerate(soft_counts(z, y), 1) if c in y]
    return sum(f1) / len(f1) if f1 else 0.0


def binary_soft_f1(z, y) -> float:
    """Soft F1 for one logit per item, labels 0 and 1."""
    return soft_f1([[0.0, logit] for logit in z], y)


VALUES = {value.__name__: value for value in (expected_accuracy, gce, soft_f1, soft_f1_macro)}
