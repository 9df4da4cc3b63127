"""The article's formulas as printed, what running them shows, and the repairs: `ERRATA["E1"]` …

Every formula takes two tensors of one batch in the binary case:

    y_hat  (items,)  float, the probability that the model gives to class 1, in (0, 1)
    y      (items,)  the labels, 0 or 1

and returns a scalar unless its docstring says otherwise. A repair corrects its own erratum only;
all repairs together are `RewardObjective`. (E8 to E14 are errors in the article's text and program,
not in its formulas.)
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Erratum:
    """One erratum.

    Attributes:
        id: "E1" to "E7".
        where: the article's sections.
        title: what it is about.
        printed: the formula as the article prints it, LaTeX.
        verdict: what running it shows.
        repair: the formula that works, LaTeX.
        as_printed, repaired: the two formulas as functions of (y_hat, y).
    """

    id: str
    where: str
    title: str
    printed: str
    verdict: str
    repair: str
    as_printed: Callable = field(repr=False)
    repaired: Callable = field(repr=False)

    @property
    def before(self) -> str:
        """Markdown: the formula as printed."""
        title = f"**{self.id}, {self.title}.** The article prints (§ {self.where})"
        return f"{title}\n\n$${self.printed}$$"

    @property
    def after(self) -> str:
        """Markdown: the verdict and the repair."""
        return f"**{self.id}, the verdict.** {self.verdict} The repair:\n\n$${self.repair}$$"


def stop(x: Tensor) -> Tensor:
    """x as a constant: the value passes, the gradient does not. Written stop(x) in formulas."""
    return x.detach()


# --- E1: cross-entropy ----------------------------------------------------------------------------


def printed_cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E1 as printed, mean over the items, in (-inf, inf): the second term has the wrong sign."""
    return (-y * y_hat.log() + (1 - y) * (1 - y_hat).log()).mean()


def cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E1 repaired, in [0, inf): one minus before both terms. dL_p/dz = (ŷ - y) / N."""
    return -(y * y_hat.log() + (1 - y) * (1 - y_hat).log()).mean()


# --- E2: F1 ---------------------------------------------------------------------------------------


def f1_of_each(y_hat: Tensor, y: Tensor) -> Tensor:
    """E2 as printed, an "F1" of each item, (items,): 2ŷ / (2ŷ + 1) for y = 1, and 0 for y = 0."""
    return 2 * y_hat * y / (2 * y_hat + y + (1 - y_hat) * (1 - y))


def soft_f1(y_hat: Tensor, y: Tensor) -> Tensor:
    """E2 repaired, in [0, 1]: count over the batch, divide once (Pastor-Pellicer et al. 2013)."""
    return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


# --- E3: the reward loss --------------------------------------------------------------------------


def printed_reward_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """E3 as printed, with the R_F1 of E2: the mean of the deviations from the mean, which is 0."""
    R = f1_of_each(y_hat, y)
    return (R - R.mean()).mean()


def reward_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """E3 repaired, way (a), in [0, 1]: 1 minus a reward with a gradient, here soft F1."""
    return 1 - soft_f1(y_hat, y)


def score_function_loss(y_hat: Tensor, sampled: Tensor, R: Tensor, b: Tensor | float) -> Tensor:
    """E3 repaired, way (b), for rewards without a gradient; its value means nothing.

    Its expected gradient is that of minus the expected reward (Williams, Machine Learning 1992).

    Args:
        sampled: (items,) labels a_i sampled from the model, 1 with probability ŷ.
        R: (items,) the reward of each sampled label.
        b: a constant, or (items,): a baseline that does not depend on the item's own sample, such
            as `leave_one_out(R)`.
    """
    log_pi = torch.where(sampled == 1, y_hat, 1 - y_hat).log()
    return -(stop(R - b) * log_pi).mean()


def leave_one_out(R: Tensor) -> Tensor:
    """The mean reward of all other items, (items,) (Kool et al., ICLR workshop 2019).

    Raises:
        ValueError: fewer than 2 items.
    """
    if len(R) < 2:
        raise ValueError(f"R has {len(R)} items; expected at least 2 to average the others")
    return (R.sum() - R) / (len(R) - 1)


# --- E4: the sign ---------------------------------------------------------------------------------


def plus_reward(y_hat: Tensor, y: Tensor) -> Tensor:
    """E4 as printed: a step downhill lowers the reward. (R_p is constant, else E3 hides it.)"""
    R = f1_of_each(y_hat, y)
    return (R - stop(R.mean())).mean()


def minus_reward(y_hat: Tensor, y: Tensor) -> Tensor:
    """E4 repaired: the same reward, but with a minus sign. A step downhill raises it."""
    R = f1_of_each(y_hat, y)
    return -(R - stop(R.mean())).mean()


# --- E5: accuracy ---------------------------------------------------------------------------------


def equal_accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E5 as printed, the mean of I(ŷ = y): 0 unless a ŷ is exactly 0 or 1, and no gradient."""
    return (y_hat == y).to(y_hat.dtype).mean()


def threshold_accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E5 as it must be meant, accuracy at ŷ > 1/2: a step function without a gradient."""
    return ((y_hat > 0.5) == (y > 0.5)).to(y_hat.dtype).mean()


def expected_accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E5 repaired: the mean probability of the right class, the expected accuracy of samples."""
    return torch.where(y == 1, y_hat, 1 - y_hat).mean()


# --- E6: average precision ------------------------------------------------------------------------


def mean_f1_of_each(y_hat: Tensor, y: Tensor) -> Tensor:
    """E6 as printed: a "mean average precision" that is the mean of E2 and ranks nothing."""
    return f1_of_each(y_hat, y).mean()


def average_precision(y_hat: Tensor, y: Tensor) -> Tensor:
    """E6 repaired: exact average precision, in (0, 1]; only the ranking counts. No gradient.

    Items with the same ŷ enter together, so their order in the batch does not matter. The reward
    "smooth_ap" is its differentiable form (Brown et al., ECCV 2020).

    Raises:
        ValueError: no label is 1.
    """
    if not y.any():
        raise ValueError("y has no label 1; expected at least one positive to rank")
    order = y_hat.argsort(descending=True)
    score = y_hat[order]
    hit = y[order].to(y_hat.dtype)
    last = torch.cat([score[1:] != score[:-1], torch.ones(1, dtype=torch.bool, device=y.device)])
    true = hit.cumsum(0)[last]
    predicted = torch.arange(1, len(y) + 1, device=y.device)[last]
    recall = true / hit.sum()
    precision = true / predicted
    return (recall.diff(prepend=recall.new_zeros(1)) * precision).sum()


# --- E7: one symbol, two meanings -----------------------------------------------------------------


def both_R_p(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """E7 as printed: the two things called R_p, (items,) in section 4.1 and a scalar in 4.2."""
    R = f1_of_each(y_hat, y)
    return R, R.mean()


def rewards_and_baselines(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """E7 repaired: a reward R_i and a baseline b_i of each item, (items,) both."""
    R = f1_of_each(y_hat, y)
    return R, leave_one_out(R)


_R_F1 = r"\frac{2\hat{y}y}{2\hat{y}+y+(1-\hat{y})(1-y)}"
_L_R = r"L_r = \frac{1}{N}\sum_{i=1}^N [R(\hat{y_i},y_i) - R_p]"
_R_P = r"R_p = \frac{1}{N}\sum_{i=1}^N R(\hat{y_i},y_i)"

ERRATA: dict[str, Erratum] = {
    erratum.id: erratum
    for erratum in (
        Erratum(
            "E1",
            "4.2",
            "cross-entropy",
            r"\ell_p(\hat{y},y) = -y\log \hat{y} + (1-y)\log (1-\hat{y})",
            "The second term has the wrong sign. For y = 0 the loss falls without bound as ŷ goes "
            "to 1, and every logit is pushed up, whatever its label.",
            r"\ell_p = -[\,y\log \hat{y} + (1-y)\log (1-\hat{y})\,], \qquad"
            r" \frac{d\ell_p}{dz} = \hat{y} - y",
            printed_cross_entropy,
            cross_entropy,
        ),
        Erratum(
            "E2",
            "4.2 and 4.3",
            "F1 of a single item",
            rf"R(\hat{{y}},y) = {_R_F1}",
            "A perfect positive scores 2/3. A negative scores 0 whatever ŷ is, so false positives "
            "cost nothing and negatives have no gradient. An F1 belongs to a batch: count first, "
            "divide once.",
            r"\tilde{F} = \frac{2\sum_i \hat{y}_i y_i}{\sum_i \hat{y}_i + \sum_i y_i}",
            f1_of_each,
            soft_f1,
        ),
        Erratum(
            "E3",
            "4.2",
            "the reward loss",
            rf"{_L_R}, \qquad {_R_P}",
            "Deviations from a mean add up to 0. The value is 0 and the gradient is 0 for every θ, "
            "so α changes nothing at all. There are two ways to repair it.",
            r"\mathrm{(a)} \quad L_r = 1 - \tilde{R} \qquad \mathrm{or} \qquad"
            r" \mathrm{(b)} \quad L_r = -\frac{1}{N}\sum_i \mathrm{stop}(R_i - b_i)\,\log \pi(a_i)",
            printed_reward_loss,
            reward_loss,
        ),
        Erratum(
            "E4",
            "3.2 and 4.2",
            "the sign of the reward",
            rf"\min L_r = \min R(y_i, M_{{\theta}}(x_i)), \qquad {_L_R}",
            "A higher reward is better, but here it is minimised. With R_p held constant, so that "
            "E3 does not hide it, each training step lowers the mean reward.",
            r"L_r = -\frac{1}{N}\sum_i [R_i - \mathrm{stop}(b)]",
            plus_reward,
            minus_reward,
        ),
        Erratum(
            "E5",
            "4.3",
            "accuracy as a reward",
            r"R_a(\hat{y},y) = \mathbb{I}(\hat{y}=y)",
            "A probability is hardly ever exactly 0 or 1, so the reward is 0. With a threshold it "
            "is accuracy, a step function: its derivative is 0 wherever it has one.",
            r"R = \frac{1}{N}\sum_i p_{i,y_i}, \qquad"
            r" p_{i,y_i} = \hat{y}_i y_i + (1-\hat{y}_i)(1-y_i)",
            equal_accuracy,
            expected_accuracy,
        ),
        Erratum(
            "E6",
            "4.3",
            "mean average precision",
            r"R_m(\hat{y},y) = \frac{1}{N}\sum_{i=1}^N R_f(\hat{y_i},y_i)",
            "This is the mean of E2 under another name. A ranking measure depends on the order "
            "only; this one can change while the order stays, and stay while the order changes. In "
            "the repair, Prec_k and Rec_k are the precision and the recall of the k items with the "
            "highest ŷ, and Rec_0 = 0.",
            r"AP = \sum_k (Rec_k - Rec_{k-1})\, Prec_k",
            mean_f1_of_each,
            average_precision,
        ),
        Erratum(
            "E7",
            "4.1 and 4.2",
            "one symbol, two meanings",
            rf"R(\hat{{y}},y) = \mathbb{{E}}_{{(x,y)}}[R_p(\hat{{y}},y)], \qquad {_R_P}",
            "In 4.1 R_p is the reward of one item and R the mean; in 4.2 R is the reward of one "
            "item and R_p the mean. So the same name gives N numbers or one.",
            r"R_i \ \mathrm{(the\ reward\ of\ item}\ i\mathrm{)}, \qquad"
            r" b_i \ \mathrm{(its\ baseline)}",
            both_R_p,
            rewards_and_baselines,
        ),
    )
}
