"""What students get wrong about the two-part loss: a tuple of misconceptions per exercise."""

import torch
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

# --- The printed reward loss ----------------------------------------------------------------------


def printed_loss(
    held=lambda hold: hold, sign=1, reduce=torch.mean, subtract=True, of_z=False, over_y_hat=False
):
    """The printed L_r and its gradient, with one thing wrong.

    Args:
        held: (hold) -> whether R_p is a constant.
        sign: -1 flips it.
        reduce: from (items,) to a number.
        subtract: whether R_p is subtracted.
        of_z: whether the reward gets z instead of ŷ.
        over_y_hat: whether to differentiate with respect to ŷ instead of z.
    """

    def wrong(reward, z: Tensor, y: Tensor, hold: bool):
        z = z.clone().requires_grad_()
        p = z.sigmoid()
        R = reward(z if of_z else p, y)
        R_p = R.mean().detach() if held(hold) else R.mean()
        value = reduce(sign * (R - R_p if subtract else R))
        return value, torch.autograd.grad(value, p if over_y_hat else z)[0]

    return wrong


PRINTED_L_R = (
    Misconception(
        "never-held",
        "with hold=True the gradient must not be 0: R_p alone is a constant",
        printed_loss(held=lambda hold: False),
    ),
    Misconception(
        "always-held",
        "with hold=False R_p depends on z as the R_i do: nothing is held constant then",
        printed_loss(held=lambda hold: True),
    ),
    Misconception(
        "hold-inverted",
        "hold is inverted: R_p is a constant where hold is True",
        printed_loss(held=lambda hold: not hold),
    ),
    Misconception(
        "wrong-sign",
        "the sign is flipped: the printed L_r has R_i - R_p",
        printed_loss(sign=-1),
    ),
    Misconception(
        "sum-for-mean",
        "a sum over the items; L_r is a mean",
        printed_loss(reduce=torch.sum),
    ),
    Misconception(
        "no-baseline",
        "R_p is not subtracted: this is the mean of R",
        printed_loss(subtract=False),
    ),
    Misconception(
        "reward-of-logits",
        "the reward is called with z; it takes ŷ, the sigmoid of z",
        printed_loss(of_z=True),
    ),
    Misconception(
        "with-respect-to-y_hat",
        "you differentiated with respect to ŷ; the exercise asks for z",
        printed_loss(over_y_hat=True),
    ),
)

# --- The reward loss of a padded batch ------------------------------------------------------------


def f1_per_sentence(y_hat: Tensor, y: Tensor) -> Tensor:
    """The soft F1 of each sentence (sentences,)."""
    return 2 * (y_hat * y).sum(1) / (y_hat.sum(1) + y.sum(1))


def padded_with_0(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """ŷ and labels with 0 for both where the label is -100."""
    real = y != -100
    return z.sigmoid() * real, y * real


def logits_set_to_0(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """ŷ of logits that are 0 on padding, which is 1/2 there, and labels with 0 there."""
    return (z * (y != -100)).sigmoid(), y.clamp(min=0)


def mean_weighted_by_words(z: Tensor, y: Tensor) -> Tensor:
    words = (y != -100).sum(1)
    return 1 - (f1_per_sentence(*padded_with_0(z, y)) * words).sum() / words.sum()


def columns_without_padding(z: Tensor, y: Tensor) -> Tensor:
    full = (y != -100).all(0)
    return 1 - article.soft_f1(z[:, full].sigmoid(), y[:, full])


BATCH_L_R = (
    Misconception(
        "unchanged",
        "this is still what your colleague's function returns: nothing is repaired yet",
        lambda z, y: 1 - f1_per_sentence(z.sigmoid(), y.clamp(min=0)).mean(),
    ),
    Misconception(
        "mean-of-sentences",
        "padding is excluded, well done; the second mistake is that of E2, for sentences instead "
        "of items",
        lambda z, y: 1 - f1_per_sentence(*padded_with_0(z, y)).mean(),
    ),
    Misconception(
        "counts-padding",
        "added up before it is divided, well done; but padding still causes false positives",
        lambda z, y: 1 - article.soft_f1(z.sigmoid(), y.clamp(min=0)),
    ),
    Misconception(
        "logits-set-to-0",
        "the logits on padding are set to 0, and the sigmoid of 0 is not 0",
        lambda z, y: 1 - article.soft_f1(*logits_set_to_0(z, y)),
    ),
    Misconception(
        "logits-set-to-0-mean-of-sentences",
        "still two mistakes: the sigmoid of a logit 0 is not 0, and an F1 per sentence is E2 again",
        lambda z, y: 1 - f1_per_sentence(*logits_set_to_0(z, y)).mean(),
    ),
    Misconception(
        "counts-minus-100",
        "-100 is counted as if it were a label",
        lambda z, y: 1 - article.soft_f1(z.sigmoid(), y),
    ),
    Misconception(
        "labels-not-masked",
        "padding is excluded from Σ ŷ, well done; but the -100 are still in Σ y",
        lambda z, y: 1 - article.soft_f1(z.sigmoid() * (y != -100), y),
    ),
    Misconception(
        "mean-weighted-by-words",
        "this is the mean of the sentences' F1, weighted by their words: that is not the F1 of the "
        "batch either",
        mean_weighted_by_words,
    ),
    Misconception(
        "counts-logits",
        "the logits are counted; ŷ is their sigmoid",
        lambda z, y: 1 - article.soft_f1(z[y != -100], y[y != -100]),
    ),
    Misconception(
        "drops-columns",
        "a position that is padding in one sentence is excluded in all: real words are lost",
        columns_without_padding,
    ),
    Misconception(
        "reward-for-loss",
        "this is the reward; 1 minus it is the loss",
        lambda z, y: article.soft_f1(*padded_with_0(z, y)),
    ),
    Misconception(
        "sum-of-sentences",
        "the sentences' losses are added up; the exercise asks for one loss of the whole batch",
        lambda z, y: (1 - f1_per_sentence(*padded_with_0(z, y))).sum(),
    ),
)
