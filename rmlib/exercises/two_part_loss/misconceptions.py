"""What students get wrong about the two-part loss: a tuple of misconceptions per exercise."""

from torch import Tensor

from rmlib.exercises.framework.exercise import Misconception
from rmlib.loss import article

# --- The cross-entropy from logits ----------------------------------------------------------------


def bce(z: Tensor, y: Tensor, epsilon: float = 0.0) -> Tensor:
    """The cross-entropy per item (items,) by the naive formula, epsilon inside the logarithms."""
    p = z.sigmoid()
    return -(y * (p + epsilon).log() + (1 - y) * (1 - p + epsilon).log())


def with_epsilon(epsilon: float) -> Misconception:
    return Misconception(
        f"adds-{epsilon:g}",
        f"{epsilon:g} is added inside the logarithms: this hides the overflow, and changes the "
        "loss",
        lambda z, y: bce(z, y, epsilon).mean(),
    )


BCE = (
    Misconception(
        "sum-for-mean",
        "a sum over the items; the exercise asks for the mean",
        lambda z, y: bce(z, y).sum(),
    ),
    Misconception(
        "wrong-sign",
        "the sign is wrong: log ŷ is negative, a loss is not",
        lambda z, y: -bce(z, y).mean(),
    ),
    Misconception(
        "as-printed",
        "this is E1 as printed: the wrong sign is still in it",
        lambda z, y: article.printed_cross_entropy(z.sigmoid(), y),
    ),
    Misconception(
        "labels-swapped",
        "the labels are swapped: a confident, correct item gets a large loss",
        lambda z, y: bce(z, 1 - y).mean(),
    ),
    Misconception(
        "positives-only",
        "half of it is missing: every item with y = 0 gets a loss of 0",
        lambda z, y: (y * bce(z, y)).mean(),
    ),
    Misconception(
        "negatives-only",
        "half of it is missing: every item with y = 1 gets a loss of 0",
        lambda z, y: ((1 - y) * bce(z, y)).mean(),
    ),
    Misconception(
        "labels-all-0",
        "this is the loss for labels that are all 0: where does y come in?",
        lambda z, y: bce(z, 0 * y).mean(),
    ),
    Misconception(
        "labels-all-1",
        "this is the loss for labels that are all 1: where does y come in?",
        lambda z, y: bce(z, 0 * y + 1).mean(),
    ),
    Misconception(
        "sigmoid-twice",
        "the sigmoid is applied twice: z is a logit",
        lambda z, y: bce(z.sigmoid(), y).mean(),
    ),
    Misconception(
        "log-of-logit",
        "the logarithm is taken of z, a logit; its sigmoid is the probability",
        lambda z, y: -(y * z.log() + (1 - y) * (1 - z).log()).mean(),
    ),
    Misconception(
        "squared-error",
        "this is the squared error of ŷ; the exercise asks for a logarithm",
        lambda z, y: ((z.sigmoid() - y) ** 2).mean(),
    ),
    Misconception(
        "other-exponent",
        "nearly: log(1 + e^z) or log(1 + e^-z)? The two differ by z",
        lambda z, y: (bce(z, 0 * y + 1) - y * z).mean(),
    ),
    Misconception(
        "wrong-sign-of-yz",
        "nearly: y z has the wrong sign",
        lambda z, y: (bce(z, 0 * y) + y * z).mean(),
    ),
    *map(with_epsilon, (1e-3, 1e-4, 1e-5, 1e-6)),
)

# --- Soft F1 --------------------------------------------------------------------------------------


def f1_per_item(p: Tensor, y: Tensor) -> Tensor:
    """2ŷy / (ŷ + y) of each item (items,)."""
    return 2 * p * y / (p + y)


def harmonic(p: Tensor, y: Tensor) -> Tensor:
    """The harmonic mean of soft precision and soft recall.

    It is nan where one of them is 0/0, or both are 0.
    """
    precision = (p * y).sum() / p.sum()
    recall = (p * y).sum() / y.sum()
    return 2 * precision * recall / (precision + recall)


def hard_f1(p: Tensor, y: Tensor) -> Tensor:
    """F1 of the decisions ŷ > 0.5."""
    return article.soft_f1(1.0 * (p > 0.5), y)


SOFT_F1 = (
    Misconception(
        "as-printed",
        "this is E2 as printed, a mean over items: an F1 belongs to the batch",
        lambda p, y: article.f1_of_each(p, y).mean(),
    ),
    Misconception(
        "mean-of-items",
        "this is the mean of the items' F1: add up first, divide once",
        lambda p, y: f1_per_item(p, y).mean(),
    ),
    Misconception(
        "mean-of-items-undefined-as-0",
        "this is the mean of the items' F1, with 0 for 0/0: add up first, divide once",
        lambda p, y: f1_per_item(p, y).nan_to_num().mean(),
    ),
    Misconception(
        "loss-for-reward",
        "this is 1 - F, a loss; the exercise asks for the reward itself",
        lambda p, y: 1 - article.soft_f1(p, y),
    ),
    Misconception(
        "half",
        "half of it: F1 has 2TP in the numerator",
        lambda p, y: article.soft_f1(p, y) / 2,
    ),
    Misconception(
        "decisions",
        "this counts decisions, ŷ > 0.5, whose gradient is 0",
        hard_f1,
    ),
    Misconception(
        "decisions-undefined-as-0",
        "this counts decisions, ŷ > 0.5, with 0 for 0/0; their gradient is 0",
        lambda p, y: hard_f1(p, y).nan_to_num(),
    ),
    Misconception(
        "harmonic-mean",
        "right, but 0/0 where no label is positive: write it as one fraction, from counts",
        harmonic,
    ),
    Misconception(
        "no-false-negatives",
        "the false negatives, FN, are missing in the denominator",
        lambda p, y: 2 * (p * y).sum() / (p.sum() + (p * y).sum()),
    ),
    Misconception(
        "no-false-positives",
        "the false positives, FP, are missing in the denominator",
        lambda p, y: 2 * (p * y).sum() / (y.sum() + (p * y).sum()),
    ),
    Misconception(
        "expected-accuracy",
        "this is the expected accuracy, E5 repaired: it counts true negatives, F1 does not",
        article.expected_accuracy,
    ),
    Misconception(
        "precision",
        "this is the soft precision: false negatives do not count",
        lambda p, y: (p * y).sum() / p.sum(),
    ),
    Misconception(
        "recall",
        "this is the soft recall: false positives do not count",
        lambda p, y: (p * y).sum() / y.sum(),
    ),
    Misconception(
        "jaccard",
        "this is the Jaccard index, TP / (TP + FP + FN); F1 counts TP twice, in the numerator and "
        "in the denominator",
        lambda p, y: (p * y).sum() / (p.sum() + y.sum() - (p * y).sum()),
    ),
    Misconception(
        "tp-counted-twice",
        "Σŷ is TP + FP and Σy is TP + FN, so TP is in both already; do not add 2TP once more",
        lambda p, y: 2 * (p * y).sum() / (2 * (p * y).sum() + p.sum() + y.sum()),
    ),
    Misconception(
        "dice",
        "ŷ is squared in the denominator, as in Dice; F1 counts ŷ itself",
        lambda p, y: 2 * (p * y).sum() / ((p**2).sum() + y.sum()),
    ),
    Misconception(
        "adds-1",
        "1 is added to the numerator and the denominator: with few positives that is far off",
        lambda p, y: (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1),
    ),
)
