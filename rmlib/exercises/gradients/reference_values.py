"""Values of losses and rewards by plain loops, and their gradients by central differences.

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


def cross_entropy(z, y) -> float:
    """The mean of log(1 + exp(∓z)), with the minus for label 1; without overflow."""
    total = 0.0
    for logit, label in zip(z, y, strict=True):
        wrong = -logit if label == 1 else logit  # the log-odds of the other label
        total += max(wrong, 0.0) + math.log1p(math.exp(-abs(wrong)))
    return total / len(y)


def soft_f1(z, y) -> float:
    """Soft F1 for one logit per item, labels 0 and 1."""
    y_hat = [softmax([0.0, logit])[1] for logit in z]
    both = sum(p for p, label in zip(y_hat, y, strict=True) if label == 1)
    return 2 * both / (sum(y_hat) + sum(y))


def total_loss(z, y, alpha: float) -> float:
    """L = L_p + α(1 − soft F1), and 1 − soft F1 alone for α = inf."""
    if alpha == math.inf:
        return 1 - soft_f1(z, y)
    return cross_entropy(z, y) + alpha * (1 - soft_f1(z, y))
