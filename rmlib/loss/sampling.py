"""Rewards without a gradient: sample labellings from the model, and make the good ones likelier.

    grad E[R] = E[(R - b) grad log pi(sample)]

is the score-function estimator (REINFORCE; Williams 1992). A *metric* is given by counts, because
an F1 counts first and divides once: each unit (a sentence, or a word where words are scored one by
one) has a few counts, and R is one ratio of their sums over the batch.

    counts_of(sampled (samples, sentences, words), labels (sentences, words), background)
        -> counts (samples, units, counts)
    score(counts of the whole batch (..., counts)) -> R (...)

Given the logits, the units are independent. So each unit is scored while all others stay as they
were sampled: R with its own k-th labelling against R with the other labellings that it drew (a
counterfactual baseline; Foerster et al., AAAI 2018). With one unit this is the textbook estimator.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .rewards import Reward, register
from .sampled_metrics import METRICS, PADDING, share

BASELINES = ("none", "mean", "leave_one_out", "greedy", "group")


def advantages(
    rewards: Tensor, baseline: str = "leave_one_out", greedy: Tensor | None = None
) -> Tensor:
    """R_k - b for each of K samples, (samples, ...).

    Args:
        rewards: (samples, ...), R of each.
        baseline: "none": b = 0. "mean": of the same K samples, R_k included, which shrinks the
            expected gradient to (K - 1)/K of itself. "leave_one_out": mean of the others, unbiased
            (Kool et al. 2019; Ahmadian et al. 2024). "greedy": R of the most probable labelling
            (Rennie et al. 2017). "group": the mean is subtracted and the result divided by the
            standard deviation + 1e-4 (GRPO; Shao et al. 2024), so that α has another meaning and
            the expected gradient another direction. The paper doesn't say whether the variance is
            divided by K or by K - 1; public code divides by K - 1, the default of `torch.std`
            (`GRPOTrainer` of TRL, which also adds the 1e-4), and so does this.
        greedy: (...), R of the most probable labelling, for "greedy".

    Raises:
        ValueError: an unknown baseline, one that needs 2 samples or more, or "greedy" without
            `greedy`.
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
    centred = rewards - rewards.mean(0)
    if baseline == "leave_one_out":
        return centred * samples / (samples - 1)
    if baseline == "group":
        return centred / (rewards.std(0) + 1e-4)
    return centred


def draw(logits: Tensor, samples: int) -> Tensor:
    """Sample labellings from the model: class indices (samples, ...) for logits (..., classes).

    The argmax of logit + Gumbel noise is a sample of the softmax (Gumbel 1954). Uses torch's global
    random number generator.
    """
    z = logits.detach().expand(samples, *logits.shape)
    return (z - torch.empty_like(z).exponential_().log_()).argmax(-1)


def log_probability(logits: Tensor, sampled: Tensor, labels: Tensor, units: int) -> Tensor:
    """log pi of each unit's labelling: (samples, units), with gradient.

    Args:
        logits: (sentences, words, classes).
        sampled: (samples, sentences, words).
        labels: (sentences, words).
        units: the number of words, of sentences, or 1 (the whole batch is one unit).
    """
    log_p = logits.log_softmax(-1)
    words = log_p.expand(len(sampled), *log_p.shape).gather(-1, sampled[..., None])[..., 0]
    words = torch.where(labels == PADDING, 0.0, words)
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
    """E[R]: its value is the mean reward of the samples, its gradient the score-function estimate.

    Args:
        logits: (sentences, words, classes), or (items, classes).
        labels: (sentences, words), or (items,); short sentences are padded with `PADDING`.
        metric: a key of `METRICS`, or a function of your own, as `sampled_reward` describes it.
        samples: K labellings of each sentence, at least 1.
        baseline: one of `BASELINES`, or "minimum_risk": the samples' probabilities, renormalised
            over the distinct ones, weigh their rewards (Shen et al., ACL 2016; biased, but of low
            variance).

    Raises:
        ValueError: samples below 1, or an unknown baseline or metric.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; expected 1 or more")
    counts_of, score = _metric(metric)
    if logits.ndim == 2:
        logits, labels = logits[:, None], labels[:, None]
    sampled = torch.where(labels == PADDING, 0, draw(logits, samples))
    counts = counts_of(sampled, labels, background).to(logits.dtype)  # (samples, units, counts)
    total = counts.sum(1, keepdim=True)
    log_pi = log_probability(logits, sampled, labels, counts.shape[1])
    # [j, k, u]: R when unit u takes its labelling j and all other units keep their labelling k
    swapped = score(total + counts[:, None] - counts)
    value = score(total[:, 0]).mean()
    if baseline == "minimum_risk":
        return value_with_gradient_of(value, minimum_risk(log_pi, sampled, swapped.mean(1)))
    greedy = None
    if baseline == "greedy":
        best = counts_of(logits.detach().argmax(-1)[None], labels, background).to(logits.dtype)
        greedy = score(total + best - counts)
    # j = k: (samples, units), the advantage of each unit's own labelling
    weights = advantages(swapped, baseline, greedy).diagonal(dim1=0, dim2=1).T
    return value_with_gradient_of(value, (weights.detach() * log_pi).sum() / samples)


def value_with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """A scalar with this value whose gradient is that of the surrogate."""
    return surrogate - surrogate.detach() + value.detach()


def minimum_risk(log_pi: Tensor, sampled: Tensor, rewards: Tensor) -> Tensor:
    """Σ_units Σ_k Q_k R_k, where Q are the samples' probabilities, renormalised.

    A labelling that was sampled twice counts once.

    Args:
        log_pi, rewards: (samples, units).
        sampled: (samples, sentences, words).
    """
    units = log_pi.shape[1]
    labellings = sampled.reshape(len(sampled), units, -1)
    same = (labellings[:, None] == labellings[None]).all(-1)  # [k, j, u]
    duplicate = torch.stack([same[k, :k].any(0) for k in range(len(sampled))])
    q = log_pi.masked_fill(duplicate, -torch.inf).softmax(0)
    return (q * rewards).sum()


def _metric(metric: str | Callable) -> tuple[Callable, Callable]:
    """`counts_of` and `score` of a metric, a key of `METRICS` or a function."""
    if not callable(metric) and metric not in METRICS:
        raise ValueError(
            f"metric is {metric!r}; expected a function, or one of {', '.join(METRICS)}"
        )
    return (_counts_of(metric), share) if callable(metric) else METRICS[metric]


def _counts_of(function: Callable) -> Callable:
    """`counts_of` for a reward function: its reward and 1, so that R is the mean over the units."""

    def counts_of(sampled, labels, background):
        rewards = torch.as_tensor(function(sampled, labels), device=sampled.device)
        if rewards.shape not in (sampled.shape[:1], sampled.shape[:2]):
            raise ValueError(
                f"the reward function returned shape {tuple(rewards.shape)} for sampled labels of "
                f"shape {tuple(sampled.shape)}; expected (samples,) or (samples, sentences)"
            )
        rewards = rewards.reshape(len(sampled), -1)
        rewards = rewards.float() if rewards.device.type == "mps" else rewards.double()
        return torch.stack([rewards, torch.ones_like(rewards)], -1)

    return counts_of


def enumerated(
    logits: Tensor, labels: Tensor, metric: str | Callable, background: int = 0
) -> Tensor:
    """E[R] exactly, with its gradient: the sum of probability times R over all labellings.

    Args:
        logits, labels, metric, background: as for `estimated`; for a function of your own, and for
            entities, logits are (sentences, words, classes).

    Raises:
        ValueError: more than 100,000 labellings.
    """
    counts_of, score = _metric(metric)
    if logits.ndim == 2:
        logits, labels = logits[:, None], labels[:, None]
    words, classes = int((labels != PADDING).sum()), logits.shape[-1]
    if classes**words > 100_000:
        raise ValueError(
            f"{words} words of {classes} classes have {classes}^{words} labellings; "
            "expected 100,000 or less"
        )
    choices = [torch.arange(classes, device=logits.device)] * words
    labellings = torch.cartesian_prod(*choices).reshape(-1, words)
    every = labels.clamp_min(0).expand(len(labellings), *labels.shape).clone()
    every[:, labels != PADDING] = labellings
    rewards = score(counts_of(every, labels, background).to(logits.dtype).sum(1))
    return (log_probability(logits, every, labels, 1)[:, 0].exp() * rewards).sum()


def sampled_reward(
    function: Callable, name: str = "my_reward", samples: int = 8, baseline: str = "leave_one_out"
) -> Reward:
    """A reward from any function: `RewardObjective(1.0, sampled_reward(function))`.

    Args:
        function: takes sampled labels (samples, sentences, words) and labels (sentences, words),
            ints, with `PADDING` in the labels after the end of a short sentence. Returns R as
            (samples,), or as (samples, sentences), of which the mean is taken. It needs no
            gradient. Logits (items, classes) are one sentence.
        name: of the reward.
        samples, baseline: as for `estimated`.
    """

    def reward(logits, labels, background=0, samples=samples, baseline=baseline):
        return estimated(logits, labels, background, function, samples, baseline)

    return Reward(name, reward, r"E[R]", "yours", sampled=True, sentences=True)


WILLIAMS = (
    "Williams, Machine Learning 1992; leave-one-out: Kool, van Hoof and Welling, ICLR workshop 2019"
)


@register(
    "accuracy",
    formula=r"E\left[\frac{1}{N}\sum_i 1(\hat y_i = y_i)\right]",
    reference=WILLIAMS,
    splits=True,
    sampled=True,
)
def accuracy(
    logits, labels, background: int = 0, samples: int = 8, baseline: str = "leave_one_out"
) -> Tensor:
    """Accuracy of sampled labels; its expectation is `expected_accuracy`."""
    return estimated(logits, labels, background, "accuracy", samples, baseline)


@register(
    "f1", formula=r"E\left[\frac{2\,TP}{2\,TP + FP + FN}\right]", reference=WILLIAMS, sampled=True
)
def f1(
    logits, labels, background: int = 0, samples: int = 8, baseline: str = "leave_one_out"
) -> Tensor:
    """Micro F1 of sampled labels over the positive classes of the batch; 0 without a positive."""
    return estimated(logits, labels, background, "f1", samples, baseline)


@register(
    "entity_f1",
    formula=r"E\left[\frac{2\,TP_e}{2\,TP_e + FP_e + FN_e}\right]",
    reference=WILLIAMS + "; strict IOB2 entities as in seqeval (Nakayama 2018)",
    levels=("tokens",),
    sampled=True,
    sentences=True,
    iob2=True,
)
def entity_f1(
    logits, labels, background: int = 0, samples: int = 8, baseline: str = "leave_one_out"
) -> Tensor:
    """Entity-level F1 of sampled taggings, over the batch: the metric of named-entity recognition.

    Tags are in the order of `Corpus.tags`: O, B-X, I-X, B-Y, I-Y … Without an entity in the batch R
    is 0.
    """
    return estimated(logits, labels, background, "entity_f1", samples, baseline)
