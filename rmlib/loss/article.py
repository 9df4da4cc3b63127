"""The article's formulas exactly as printed, with what running them shows and the repair: `FAULTS["E1"]` to "E7".

Every formula takes two tensors of one batch in the binary case:

    y_hat  (items,)  float, the probability that the model gives to class 1, in (0, 1)
    y      (items,)  the labels, 0 or 1

and returns a scalar unless its docstring says otherwise. A repair mends its own fault and no other; all repairs
together are `rmlib.loss.objective.RewardObjective`. (E8 to E14 are faults of the article's text and program, not formulas.)
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fault:
    """One fault.

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
        return f"**{self.id}, {self.title}.** The article prints (§ {self.where})\n\n$${self.printed}$$"

    @property
    def after(self) -> str:
        """Markdown: the verdict and the repair."""
        return f"**{self.id}, the verdict.** {self.verdict} The repair:\n\n$${self.repair}$$"


def stop(x: Tensor) -> Tensor:
    """x as a constant: the value passes, the gradient does not. Written stop(x) in formulas."""
    return x.detach()


# --- E1: cross-entropy ------------------------------------------------------------------------------------------------


def printed_cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E1 as printed, the mean over the items: the second term has the wrong sign. Range (-inf, inf)."""
    return (-y * y_hat.log() + (1 - y) * (1 - y_hat).log()).mean()


def cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E1 repaired: one minus in front of both terms. Range [0, inf); its slope over the logit is (ŷ - y) / N."""
    return -(y * y_hat.log() + (1 - y) * (1 - y_hat).log()).mean()


# --- E2: F1 -----------------------------------------------------------------------------------------------------------


def f1_of_each(y_hat: Tensor, y: Tensor) -> Tensor:
    """E2 as printed, an "F1" for every single item, (items,): 2ŷ / (2ŷ + 1) where y = 1, and 0 where y = 0."""
    return 2 * y_hat * y / (2 * y_hat + y + (1 - y_hat) * (1 - y))


def soft_f1(y_hat: Tensor, y: Tensor) -> Tensor:
    """E2 repaired: count over the batch, divide once. Range [0, 1] (Pastor-Pellicer et al., IWANN 2013)."""
    return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


# --- E3: the reward loss ----------------------------------------------------------------------------------------------


def printed_reward_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """E3 as printed, with the article's R_F1: the mean of the differences from the mean, which is 0."""
    R = f1_of_each(y_hat, y)
    return (R - R.mean()).mean()


def reward_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """E3 repaired, way (a): 1 minus a reward that has a gradient, here the soft F1 of the batch. Range [0, 1]."""
    return 1 - soft_f1(y_hat, y)


def score_function_loss(y_hat: Tensor, sampled: Tensor, R: Tensor, b: Tensor | float) -> Tensor:
    """E3 repaired, way (b): for rewards without a gradient. Only its gradient means anything, its value does not.

    Args:
        sampled: (items,) labels a_i sampled from the model, 1 with probability ŷ (`torch.bernoulli`).
        R: (items,) the reward of each sampled label.
        b: a constant, or (items,): a baseline that does not depend on the item's own draw, as `leave_one_out(R)`.

    Its expected gradient is that of minus the mean expected reward (Williams, Machine Learning 1992).
    """
    log_pi = torch.where(sampled == 1, y_hat, 1 - y_hat).log()
    return -(stop(R - b) * log_pi).mean()


def leave_one_out(R: Tensor) -> Tensor:
    """For each item the mean reward of the others, (items,) (Kool et al., ICLR workshop 2019).

    Raises:
        ValueError: fewer than 2 items.
    """
    if len(R) < 2:
        raise ValueError(f"R has {len(R)} items; expected at least 2, or there are no others to take the mean of")
    return (R.sum() - R) / (len(R) - 1)


# --- E4: the sign -----------------------------------------------------------------------------------------------------


def plus_reward(y_hat: Tensor, y: Tensor) -> Tensor:
    """E4 as printed, with R_p as a constant so that E3 does not hide the sign: a step downhill lowers the reward."""
    R = f1_of_each(y_hat, y)
    return (R - stop(R.mean())).mean()


def minus_reward(y_hat: Tensor, y: Tensor) -> Tensor:
    """E4 repaired: the same reward, but with a minus sign. A step downhill raises it."""
    R = f1_of_each(y_hat, y)
    return -(R - stop(R.mean())).mean()


# --- E5: accuracy -----------------------------------------------------------------------------------------------------


def equal_accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E5 as printed, the mean over the items of I(ŷ = y): 0 unless a probability is exactly 0 or 1. No gradient."""
    return (y_hat == y).to(y_hat.dtype).mean()


def threshold_accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E5 as it must be meant, I(ŷ > 1/2) = y: real accuracy, but it moves in jumps. No gradient either."""
    return ((y_hat > 0.5) == (y > 0.5)).to(y_hat.dtype).mean()


def expected_accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """E5 repaired: the mean probability of the right class, the accuracy to expect of labels sampled from the model."""
    return torch.where(y == 1, y_hat, 1 - y_hat).mean()


# --- E6: average precision --------------------------------------------------------------------------------------------


def mean_f1_of_each(y_hat: Tensor, y: Tensor) -> Tensor:
    """E6 as printed: a "mean average precision" that is the mean of the R_F1 of E2. It ranks nothing."""
    return f1_of_each(y_hat, y).mean()


def average_precision(y_hat: Tensor, y: Tensor) -> Tensor:
    """E6 repaired: exact average precision; only the order of the items counts. Range (0, 1], no gradient.

    Items with the same ŷ enter together, so their order in the batch does not matter. To train a ranking,
    `rmlib.loss.rewards.REWARDS["smooth_ap"]` makes it smooth (Brown et al., ECCV 2020).

    Raises:
        ValueError: no label is 1.
    """
    if not y.any():
        raise ValueError("y has no label 1; expected at least one, or there is nothing to rank first")
    order = y_hat.argsort(descending=True)
    score, hit = y_hat[order], y[order].to(y_hat.dtype)
    last = torch.cat([score[1:] != score[:-1], torch.ones(1, dtype=torch.bool, device=y.device)])
    found, taken = hit.cumsum(0)[last], torch.arange(1, len(y) + 1, device=y.device)[last]
    recall, precision = found / hit.sum(), found / taken
    return (recall.diff(prepend=recall.new_zeros(1)) * precision).sum()


# --- E7: one symbol, two meanings -------------------------------------------------------------------------------------


def both_R_p(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """E7 as printed: the two things called R_p, that of section 4.1, (items,), and that of 4.2, a scalar."""
    R = f1_of_each(y_hat, y)
    return R, R.mean()


def rewards_and_baselines(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """E7 repaired: a reward R_i and a baseline b_i for each item, (items,) both, and two names for two things."""
    R = f1_of_each(y_hat, y)
    return R, leave_one_out(R)


_R_F1 = r"\frac{2\hat{y}y}{2\hat{y}+y+(1-\hat{y})(1-y)}"
_L_R = r"L_r = \frac{1}{N}\sum_{i=1}^N [R(\hat{y_i},y_i) - R_p]"
_R_P = r"R_p = \frac{1}{N}\sum_{i=1}^N R(\hat{y_i},y_i)"

FAULTS: dict[str, Fault] = {
    fault.id: fault
    for fault in (
        Fault(
            "E1",
            "4.2",
            "cross-entropy",
            r"\ell_p(\hat{y},y) = -y\log \hat{y} + (1-y)\log (1-\hat{y})",
            "The second term has the wrong sign. Where y = 0 the loss falls without bound as ŷ goes to 1, "
            "and every logit is pushed up, whatever its label.",
            r"\ell_p = -[\,y\log \hat{y} + (1-y)\log (1-\hat{y})\,], \qquad \frac{d\ell_p}{dz} = \hat{y} - y",
            printed_cross_entropy,
            cross_entropy,
        ),
        Fault(
            "E2",
            "4.2 and 4.3",
            "F1 of a single item",
            rf"R(\hat{{y}},y) = {_R_F1}",
            "A perfect positive scores 2/3. A negative scores 0 whatever ŷ is, so false alarms cost nothing "
            "and negatives have no slope. An F1 belongs to a batch: count first, divide once.",
            r"\tilde{F} = \frac{2\sum_i \hat{y}_i y_i}{\sum_i \hat{y}_i + \sum_i y_i}",
            f1_of_each,
            soft_f1,
        ),
        Fault(
            "E3",
            "4.2",
            "the reward loss",
            rf"{_L_R}, \qquad {_R_P}",
            "The differences from a mean add up to 0. The value is 0 and the slope is 0 for every θ, "
            "so α changes nothing at all. There are two ways to repair it.",
            r"\mathrm{(a)} \quad L_r = 1 - \tilde{R} \qquad \mathrm{or} \qquad"
            r" \mathrm{(b)} \quad L_r = -\frac{1}{N}\sum_i \mathrm{stop}(R_i - b_i)\,\log \pi(a_i)",
            printed_reward_loss,
            reward_loss,
        ),
        Fault(
            "E4",
            "3.2 and 4.2",
            "the sign of the reward",
            rf"\min L_r = \min R(y_i, M_{{\theta}}(x_i)), \qquad {_L_R}",
            "A reward is better when it is larger, but here it is minimised. With R_p held constant, so that E3 does "
            "not hide it, each training step lowers the mean reward.",
            r"L_r = -\frac{1}{N}\sum_i [R_i - \mathrm{stop}(b)]",
            plus_reward,
            minus_reward,
        ),
        Fault(
            "E5",
            "4.3",
            "accuracy as a reward",
            r"R_a(\hat{y},y) = \mathbb{I}(\hat{y}=y)",
            "A probability is hardly ever exactly 0 or 1, so the reward is 0. With a threshold it is accuracy, "
            "but a step function: its slope is 0 wherever it has one.",
            r"R = \frac{1}{N}\sum_i p_{i,y_i}, \qquad p_{i,y_i} = \hat{y}_i y_i + (1-\hat{y}_i)(1-y_i)",
            equal_accuracy,
            expected_accuracy,
        ),
        Fault(
            "E6",
            "4.3",
            "mean average precision",
            r"R_m(\hat{y},y) = \frac{1}{N}\sum_{i=1}^N R_f(\hat{y_i},y_i)",
            "This is the mean of E2 under another name. A ranking measure sees the order only; this one changes when "
            "the order stays, and can stay when the order turns. In the repair, Prec_k and Rec_k are the precision "
            "and the recall of the k items with the highest ŷ, and Rec_0 = 0.",
            r"AP = \sum_k (Rec_k - Rec_{k-1})\, Prec_k",
            mean_f1_of_each,
            average_precision,
        ),
        Fault(
            "E7",
            "4.1 and 4.2",
            "one symbol, two meanings",
            rf"R(\hat{{y}},y) = \mathbb{{E}}_{{(x,y)}}[R_p(\hat{{y}},y)], \qquad {_R_P}",
            "In 4.1 R_p is the reward of one item and R the mean; in 4.2 R is the reward of one item and R_p the mean. "
            "So the same name gives N numbers or one.",
            r"R_i \ \mathrm{(the\ reward\ of\ item}\ i\mathrm{)}, \qquad b_i \ \mathrm{(its\ baseline)}",
            both_R_p,
            rewards_and_baselines,
        ),
    )
}
