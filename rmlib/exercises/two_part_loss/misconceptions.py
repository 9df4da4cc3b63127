"""What students get wrong in lesson 01: for each exercise, message -> a function that makes just this mistake."""

import torch
from torch import Tensor

from rmlib.loss import article


def bce(z: Tensor, y: Tensor, add: float = 0.0) -> Tensor:
    """The cross-entropy of each item (items,), by the naive formula, with a number added inside the logarithms."""
    p = z.sigmoid()
    return -(y * (p + add).log() + (1 - y) * (1 - p + add).log())


BCE = {
    "a sum over the items; the mean is asked for": lambda z, y: bce(z, y).sum(),
    "the sign is wrong: log ŷ is negative, a loss is not": lambda z, y: -bce(z, y).mean(),
    "this is E1 as printed, the wrong sign is still in it": lambda z, y: article.printed_cross_entropy(z.sigmoid(), y),
    "the labels have changed places: a sure and right item gets a large loss": lambda z, y: bce(z, 1 - y).mean(),
    "half of it is missing: every item with y = 0 gets a loss of 0": lambda z, y: (y * bce(z, y)).mean(),
    "half of it is missing: every item with y = 1 gets a loss of 0": lambda z, y: ((1 - y) * bce(z, y)).mean(),
    "this is the loss for labels that are all 0: where does y come in?": lambda z, y: bce(z, 0 * y).mean(),
    "this is the loss for labels that are all 1: where does y come in?": lambda z, y: bce(z, 0 * y + 1).mean(),
    "the sigmoid is taken twice: z is a logit": lambda z, y: bce(z.sigmoid(), y).mean(),
    "the logarithm is taken of z, a logit; its sigmoid is the probability": lambda z, y: (
        -(y * z.log() + (1 - y) * (1 - z).log()).mean()
    ),
    "this is the squared error of ŷ; a logarithm is asked for": lambda z, y: ((z.sigmoid() - y) ** 2).mean(),
    "nearly: log(1 + e^z) or log(1 + e^-z)? The two differ by z": lambda z, y: (bce(z, 0 * y + 1) - y * z).mean(),
    "nearly: y z has the wrong sign": lambda z, y: (bce(z, 0 * y) + y * z).mean(),
}
BCE |= {
    f"{add:g} is added inside the logarithms: this hides the overflow, and changes the loss": (
        lambda z, y, add=add: bce(z, y, add).mean()
    )
    for add in (1e-3, 1e-4, 1e-5, 1e-6)
}


def ratio(p: Tensor, y: Tensor) -> Tensor:
    """2ŷy / (ŷ + y) of each item (items,)."""
    return 2 * p * y / (p + y)


def harmonic(p: Tensor, y: Tensor) -> Tensor:
    """The harmonic mean of soft precision and soft recall: nan where one of them is 0/0, or both are 0."""
    precision, recall = (p * y).sum() / p.sum(), (p * y).sum() / y.sum()
    return 2 * precision * recall / (precision + recall)


SOFT_F1 = {
    "this is E2 as printed, a mean over items: an F1 belongs to the batch": lambda p, y: article.f1_of_each(
        p, y
    ).mean(),
    "this is the mean of the items' F1: add up first, divide once": lambda p, y: ratio(p, y).mean(),
    "this is the mean of the items' F1, with 0 for 0/0: add up first, divide once": lambda p, y: (
        ratio(p, y).nan_to_num().mean()
    ),
    "this is 1 - F, a loss; the reward itself is asked for": lambda p, y: 1 - article.soft_f1(p, y),
    "half of it: F1 has 2TP on top": lambda p, y: article.soft_f1(p, y) / 2,
    "this counts decisions, ŷ > 0.5, which have no slope": lambda p, y: article.soft_f1(1.0 * (p > 0.5), y),
    "this counts decisions, ŷ > 0.5, with 0 for 0/0; decisions have no slope": lambda p, y: article.soft_f1(
        1.0 * (p > 0.5), y
    ).nan_to_num(),
    "right, but where no label is positive it is 0/0: write it as one fraction, from counts": lambda p, y: harmonic(
        p, y
    ),
    "what was missed, FN, is not below the line": lambda p, y: 2 * (p * y).sum() / (p.sum() + (p * y).sum()),
    "the false alarms, FP, are not below the line": lambda p, y: 2 * (p * y).sum() / (y.sum() + (p * y).sum()),
    "this is the expected accuracy, E5 repaired: it counts right negatives, F1 does not": article.expected_accuracy,
    "this is the soft precision: what was missed does not count": lambda p, y: (p * y).sum() / p.sum(),
    "this is the soft recall: false alarms do not count": lambda p, y: (p * y).sum() / y.sum(),
    "this is Jaccard's overlap, TP / (TP + FP + FN); F1 counts TP twice, above and below": lambda p, y: (
        (p * y).sum() / (p.sum() + y.sum() - (p * y).sum())
    ),
    "ŷ is squared below, as in Dice; F1 counts ŷ itself": lambda p, y: 2 * (p * y).sum() / ((p**2).sum() + y.sum()),
    "1 is added above and below: a batch with few positives is then far off": lambda p, y: (
        (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
    ),
}


def L_r(reward, z: Tensor, y: Tensor, hold: bool, sign=1, take=torch.mean, less=True, of_z=False, over_y_hat=False):
    """The printed L_r and its slopes, right unless one of the last five says otherwise."""
    z = z.clone().requires_grad_()
    p = z.sigmoid()
    R = reward(z if of_z else p, y)
    R_p = R.mean().detach() if hold else R.mean()
    value = take(sign * (R - R_p if less else R))
    return value, torch.autograd.grad(value, p if over_y_hat else z)[0]


PRINTED_L_R = {
    "with hold=True there must be a slope: R_p alone is a constant": lambda r, z, y, h: L_r(r, z, y, False),
    "with hold=False R_p moves with z like the R_i: nothing is held then": lambda r, z, y, h: L_r(r, z, y, True),
    "hold is turned round: R_p is a constant where hold is True": lambda r, z, y, h: L_r(r, z, y, not h),
    "the sign is turned: the printed L_r has R_i - R_p": lambda r, z, y, h: L_r(r, z, y, h, sign=-1),
    "a sum over the items; L_r is a mean": lambda r, z, y, h: L_r(r, z, y, h, take=torch.sum),
    "R_p is not taken off: this is the mean of R": lambda r, z, y, h: L_r(r, z, y, h, less=False),
    "the reward is given z; it takes ŷ, the sigmoid of z": lambda r, z, y, h: L_r(r, z, y, h, of_z=True),
    "these are the slopes over ŷ; over z they are asked for": lambda r, z, y, h: L_r(r, z, y, h, over_y_hat=True),
}


def soft_f1_of_each(y_hat: Tensor, y: Tensor) -> Tensor:
    """The soft F1 of each sentence (sentences,)."""
    return 2 * (y_hat * y).sum(1) / (y_hat.sum(1) + y.sum(1))


def filled(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """ŷ and labels with 0 for both where the label is -100."""
    real = y != -100
    return z.sigmoid() * real, y * real


BATCH_L_R = {
    "this gives what your colleague's function gives: nothing is mended yet": lambda z, y: (
        1 - soft_f1_of_each(z.sigmoid(), y.clamp(min=0)).mean()
    ),
    "the filled places are out, well done; the second mistake is the one of E2, for sentences in place of items": (
        lambda z, y: 1 - soft_f1_of_each(*filled(z, y)).mean()
    ),
    "added up before it is divided, well done; but the filled places still raise false alarms": lambda z, y: (
        1 - article.soft_f1(z.sigmoid(), y.clamp(min=0))
    ),
    "the logits of the filled places are set to 0, and the sigmoid of 0 is not 0": lambda z, y: (
        1 - article.soft_f1((z * (y != -100)).sigmoid(), y.clamp(min=0))
    ),
    "the same twice: the sigmoid of a logit 0 is not 0, and an F1 of each sentence is E2 again": lambda z, y: (
        1 - soft_f1_of_each((z * (y != -100)).sigmoid(), y.clamp(min=0)).mean()
    ),
    "-100 is counted as if it were a label": lambda z, y: 1 - article.soft_f1(z.sigmoid(), y),
    "the filled places are out of Σ ŷ, well done; but the -100 are still in Σ y": lambda z, y: (
        1 - article.soft_f1(z.sigmoid() * (y != -100), y)
    ),
    "these are the sentences' F1, weighted by their words: that is not the F1 of the batch either": lambda z, y: (
        1 - (soft_f1_of_each(*filled(z, y)) * (y != -100).sum(1)).sum() / (y != -100).sum()
    ),
    "the logits are counted; ŷ is their sigmoid": lambda z, y: 1 - article.soft_f1(z[y != -100], y[y != -100]),
    "a place that is filled in one sentence is left out in all: real words are lost": lambda z, y: (
        1 - article.soft_f1(z[:, (y != -100).all(0)].sigmoid(), y[:, (y != -100).all(0)])
    ),
    "this is the reward; 1 minus it is the loss": lambda z, y: article.soft_f1(*filled(z, y)),
    "the sentences' losses are added up; one loss of the whole batch is asked for": lambda z, y: (
        1 - soft_f1_of_each(*filled(z, y))
    ).sum(),
}
