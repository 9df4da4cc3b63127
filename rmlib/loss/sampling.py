"""Rewards that have no gradient: sample labellings from the model, score them, and push the good ones up.

    grad E[R] = E[(R - b) grad log pi(sample)]          the score-function estimator (Williams 1992, REINFORCE)

A *metric* here is made of tallies, because an F1 counts first and divides once: each unit (a sentence, or a word where
the words are scored one by one) has a few counts, and R is one ratio of their sums over the batch.

    tally(sampled (samples, sentences, words), labels (sentences, words), background) -> (samples, units, counts)
    score(counts of the whole batch (..., counts)) -> R (...)

Given the logits the units are independent, so each unit is judged with all others held as they were sampled: R with its
own k-th labelling against R with the other labellings it drew (a counterfactual baseline: Foerster et al., AAAI 2018).
With one unit this is the textbook's estimator.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .rewards import Reward, register
from .sampled_metrics import METRICS, NO_WORD, share

BASELINES = ("none", "mean", "leave_one_out", "greedy", "group")


def advantages(rewards: Tensor, baseline: str = "leave_one_out", greedy: Tensor | None = None) -> Tensor:
    """R_k - b for each of K samples, (samples, ...).

    Args:
        rewards: (samples, ...), R of each.
        baseline: "none": b = 0. "mean": of the same K samples, R_k included, which shrinks the expected gradient to
            (K - 1)/K of itself. "leave_one_out": mean of the others, unbiased (Kool et al. 2019; Ahmadian et al. 2024).
            "greedy": R of the most probable labelling (Rennie et al. 2017). "group": minus the mean, divided by the
            standard deviation (Shao et al. 2024): another length, which grows with the units, so another meaning of α.
        greedy: (...), that R, for "greedy".

    Raises:
        ValueError: a baseline that is not known, one that needs 2 samples or more, or no `greedy` for "greedy".
    """
    samples = len(rewards)
    if baseline not in BASELINES:
        raise ValueError(f"baseline is {baseline!r}; expected one of {', '.join(BASELINES)}")
    if baseline in ("mean", "leave_one_out", "group") and samples < 2:
        raise ValueError(f"samples is {samples}; baseline {baseline!r} expects 2 or more")
    if baseline == "none":
        return rewards
    if baseline == "greedy":
        if greedy is None:
            raise ValueError("baseline 'greedy' expects the reward of the greedy labelling")
        return rewards - greedy
    above = rewards - rewards.mean(0)
    if baseline == "leave_one_out":
        return above * samples / (samples - 1)
    if baseline == "group":
        return above / (rewards.std(0, correction=0) + 1e-4)
    return above


def draw(logits: Tensor, samples: int) -> Tensor:
    """`samples` labellings from the model: (samples, ...) class numbers for logits (..., classes).

    The largest of logit + Gumbel noise is a draw from softmax (Gumbel 1954). Uses torch's global seed.
    """
    z = logits.detach().expand(samples, *logits.shape)
    return (z - torch.empty_like(z).exponential_().log_()).argmax(-1)


def log_probability(logits: Tensor, sampled: Tensor, labels: Tensor, units: int) -> Tensor:
    """log pi of each unit's labelling: (samples, units), with gradient.

    Args:
        logits: (sentences, words, classes). sampled: (samples, sentences, words). labels: (sentences, words).
        units: as many as words, as sentences, or 1 (the whole batch is one unit).
    """
    log_p = logits.log_softmax(-1)
    words = log_p.expand(len(sampled), *log_p.shape).gather(-1, sampled[..., None])[..., 0]
    words = torch.where(labels == NO_WORD, 0.0, words)
    if units == labels.numel():
        return words.flatten(1)
    return words.sum(-1) if units == len(labels) else words.sum((-1, -2))[:, None]


def estimated(
    logits: Tensor,
    labels: Tensor,
    background: int,
    metric: str | Callable,
    samples: int = 8,
    baseline: str = "leave_one_out",
) -> Tensor:
    """R whose value is the mean reward of the samples, and whose gradient is the score-function estimate.

    Args:
        logits: (sentences, words, classes), or (items, classes).
        labels: (sentences, words), or (items,); `NO_WORD` fills short sentences up.
        metric: a key of `METRICS`, or a function of your own, as `sampled_reward` describes it.
        samples: K labellings of each sentence, at least 1.
        baseline: one of `BASELINES`, or "minimum_risk": the samples' probabilities, renormalised over the distinct
            ones, weigh their rewards (Shen et al., ACL 2016; biased, but of low variance).

    Raises:
        ValueError: samples below 1, or a baseline that is not known.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; expected 1 or more")
    tally, score = _metric(metric)
    if logits.ndim == 2:
        logits, labels = logits[:, None], labels[:, None]
    sampled = torch.where(labels == NO_WORD, 0, draw(logits, samples))
    counts = tally(sampled, labels, background).to(logits.dtype)  # (samples, units, counts)
    whole = counts.sum(1, keepdim=True)
    log_pi = log_probability(logits, sampled, labels, counts.shape[1])
    # [j, k, u]: unit u takes its labelling j while all other units keep their labelling k
    swapped = score(whole + counts[:, None] - counts)
    value = score(whole[:, 0]).mean()
    if baseline == "minimum_risk":
        return value_and_slope(minimum_risk(log_pi, sampled, swapped.mean(1)), value)
    greedy = None
    if baseline == "greedy":
        best = tally(logits.detach().argmax(-1)[None], labels, background).to(logits.dtype)
        greedy = score(whole + best - counts)
    weights = advantages(swapped, baseline, greedy).diagonal(dim1=0, dim2=1).T  # (samples, units): each in its own k
    return value_and_slope((weights.detach() * log_pi).sum() / samples, value)


def value_and_slope(slope_of: Tensor, value: Tensor) -> Tensor:
    """A number that reads as `value` and is differentiated as `slope_of`."""
    return slope_of - slope_of.detach() + value.detach()


def minimum_risk(log_pi: Tensor, sampled: Tensor, rewards: Tensor) -> Tensor:
    """Σ_units Σ_k Q_k R_k, with Q the samples' probabilities renormalised; a labelling drawn twice counts once.

    log_pi, rewards: (samples, units). sampled: (samples, sentences, words).
    """
    units = log_pi.shape[1]
    drawn = sampled.reshape(len(sampled), units, -1)
    same = (drawn[:, None] == drawn[None]).all(-1)  # [k, j, u]
    again = torch.stack([same[k, :k].any(0) for k in range(len(sampled))])
    q = log_pi.masked_fill(again, -torch.inf).softmax(0)
    return (q * rewards).sum()


def _metric(metric: str | Callable) -> tuple[Callable, Callable]:
    """Tally and score of a metric; ValueError where it is neither a key of `METRICS` nor a function."""
    if not callable(metric) and metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; expected a function, or one of {', '.join(METRICS)}")
    return (_tally_of(metric), share) if callable(metric) else METRICS[metric]


def _tally_of(function: Callable) -> Callable:
    """The tally of a function of the user's: its reward, and 1 to take the mean over the units with."""

    def tally(sampled, labels, background):
        rewards = torch.as_tensor(function(sampled, labels), device=sampled.device)
        if rewards.shape not in (sampled.shape[:1], sampled.shape[:2]):
            raise ValueError(
                f"the reward function returned shape {tuple(rewards.shape)} for sampled labels of shape "
                f"{tuple(sampled.shape)}; expected (samples,) or (samples, sentences)"
            )
        rewards = rewards.reshape(len(sampled), -1)
        rewards = rewards.float() if rewards.device.type == "mps" else rewards.double()  # mps has no float64
        return torch.stack([rewards, torch.ones_like(rewards)], -1)

    return tally


def enumerated(logits: Tensor, labels: Tensor, metric: str | Callable, background: int = 0) -> Tensor:
    """E[R] exactly, with its gradient: the sum over all labellings of their probability times their R.

    Args:
        logits, labels, metric, background: as for `estimated`; for a function of your own, and for entities,
            logits are (sentences, words, classes).

    Raises:
        ValueError: more than 100,000 labellings.
    """
    tally, score = _metric(metric)
    if logits.ndim == 2:
        logits, labels = logits[:, None], labels[:, None]
    words, classes = int((labels != NO_WORD).sum()), logits.shape[-1]
    if classes**words > 100_000:
        raise ValueError(
            f"{words} words of {classes} classes have {classes}^{words} labellings; expected 100,000 or less"
        )
    one = torch.cartesian_prod(*[torch.arange(classes, device=logits.device)] * words).reshape(-1, words)
    every = labels.clamp_min(0).expand(len(one), *labels.shape).clone()
    every[:, labels != NO_WORD] = one
    rewards = score(tally(every, labels, background).to(logits.dtype).sum(1))
    return (log_probability(logits, every, labels, 1)[:, 0].exp() * rewards).sum()


def sampled_reward(
    function: Callable, name: str = "my_reward", samples: int = 8, baseline: str = "leave_one_out"
) -> Reward:
    """Any function of (sampled labels, labels) as a reward: `RewardObjective(1.0, sampled_reward(function))`.

    Args:
        function: takes (samples, sentences, words) and (sentences, words), whole numbers, with `NO_WORD` in the labels
            after the end of a short sentence; returns R as (samples,), or one for each sentence as
            (samples, sentences), of which the mean is taken. It needs no gradient. Logits (items, classes) are one
            sentence.
    """

    def reward(logits, labels, background=0, samples=samples, baseline=baseline):
        return estimated(logits, labels, background, function, samples, baseline)

    return Reward(name, reward, r"E[R]", "yours", sampled=True, sentences=True)


WILLIAMS = "Williams, Machine Learning 1992; leave-one-out: Kool, van Hoof and Welling, ICLR workshop 2019"


@register(
    "accuracy",
    formula=r"E\left[\frac{1}{N}\sum_i 1(\hat y_i = y_i)\right]",
    reference=WILLIAMS,
    splits=True,
    sampled=True,
)
def accuracy(logits, labels, background: int = 0, samples: int = 8, baseline: str = "leave_one_out") -> Tensor:
    """Accuracy of sampled labels. Its expectation is `expected_accuracy`, which needs no samples."""
    return estimated(logits, labels, background, "accuracy", samples, baseline)


@register("f1", formula=r"E\left[\frac{2\,TP}{2\,TP + FP + FN}\right]", reference=WILLIAMS, sampled=True)
def f1(logits, labels, background: int = 0, samples: int = 8, baseline: str = "leave_one_out") -> Tensor:
    """Micro F1 of sampled labels over the positive classes, of the batch as a whole; 0 without a positive label."""
    return estimated(logits, labels, background, "f1", samples, baseline)


@register(
    "entity_f1",
    formula=r"E\left[\frac{2\,TP_e}{2\,TP_e + FP_e + FN_e}\right]",
    reference=WILLIAMS + "; strict IOB2 entities as in seqeval (Nakayama 2018)",
    levels=("tokens",),
    sampled=True,
    sentences=True,
)
def entity_f1(logits, labels, background: int = 0, samples: int = 8, baseline: str = "leave_one_out") -> Tensor:
    """Entity-level F1 of sampled taggings, of the batch as a whole: the metric that lesson 04 reports.

    Tags are in the order of `Corpus.tags`: O, B-X, I-X, B-Y, I-Y … With no entity in the batch R is 0.
    """
    return estimated(logits, labels, background, "entity_f1", samples, baseline)
