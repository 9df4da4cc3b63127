"""The reward types that have a gradient: one function and one registry line each.

Every function takes

    logits  (items, classes)  float, any range
    labels  (items,)          int, 0 .. classes - 1, nothing to ignore left in it, at least one item

and returns the reward R of the batch as a scalar, larger is better, at most 1. `background` is the class that
is not a finding (O in named-entity recognition, "not negative" in the sentiment case); all others are positive.
In a batch without a positive label the F family, Tversky, Dice and SmoothAP are 0 and have no gradient, as the hard
F1 has none to give. Rewards that can only be sampled are in `sampling.py`, which `objective.py` imports.
"""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reward:
    """One reward type.

    Attributes:
        name: the key in `REWARDS`.
        function: (logits, labels, background) -> R, as the module describes.
        formula: LaTeX.
        reference: the source paper.
        levels: what it applies to, of "binary", "classes" and "tokens".
        splits: True where the R of a batch is the item-weighted mean of the R of its parts. Where False (an F1 is
            a ratio of counts), the parts of a batch must be put together before R is taken.
        lowest: R lies in [lowest, 1], with the parameters as registered.
        sampled: True where R is a metric without a gradient, estimated from samples (see `sampling.py`).
        sentences: True where the function takes (sentences, words, classes) and (sentences, words), with
            `sampling.NO_WORD` after the last word of a short sentence: a metric of names has to see sentences.
        parameters: those set by `having`.
    """

    name: str
    function: Callable[[Tensor, Tensor, int], Tensor]
    formula: str
    reference: str
    levels: tuple[str, ...] = ("binary", "classes", "tokens")
    splits: bool = False
    lowest: float = 0.0
    sampled: bool = False
    sentences: bool = False
    parameters: dict = field(default_factory=dict)

    def having(self, **parameters) -> "Reward":
        """The same with other parameters, or ValueError: `RewardObjective(1.0, REWARDS["gce"].having(q=0.5))`."""
        names = list(inspect.signature(self.function).parameters)[3:]
        for name in parameters:
            if name not in names:
                raise ValueError(f"reward {self.name!r} has no parameter {name!r}; it has {', '.join(names) or 'none'}")
        every = self.parameters | parameters
        name = f"{self.name.split('(')[0]}({', '.join(f'{key}={value!r}' for key, value in every.items())})"
        return replace(self, name=name, function=partial(self.function, **parameters), parameters=every)


REWARDS: dict[str, Reward] = {}


def register(name: str, **facts):
    """Put the function below under `name` in `REWARDS`."""

    def put(function):
        REWARDS[name] = Reward(name, function, **facts)
        return function

    return put


def find(reward: str | Reward) -> Reward:
    """The reward of that name; a `Reward` of your own passes through. ValueError where the name is not known."""
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, str) and reward in REWARDS:
        return REWARDS[reward]
    near = difflib.get_close_matches(str(reward), REWARDS, n=1, cutoff=0)[0]
    raise ValueError(f"reward {reward!r} is not known; did you mean {near!r}? known: {', '.join(sorted(REWARDS))}")


def softmax(logits: Tensor) -> Tensor:
    """p (items, classes). Turned on its side, because torch is twice as fast there when the classes are few."""
    return logits.T.contiguous().softmax(0).T


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """Labels (items,) as 0 and 1 in the shape and type of `like` (items, classes)."""
    return (labels[:, None] == torch.arange(like.shape[-1], device=like.device)).to(like.dtype)


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """The soft confusion table (classes, classes): row the label, column how much probability each class was given."""
    y_hat = softmax(logits)
    return one_hot(labels, y_hat).T @ y_hat


def soft_counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts from probabilities, (classes,) each: true positives Σ ŷy, predicted Σ ŷ, actual Σ y."""
    table = confusion(logits, labels)
    return table.diagonal(), table.sum(0), one_hot(labels, table).sum(0)


def positive_classes(classes: int, background: int, device=None) -> Tensor:
    """A mask (classes,) that is False at the background class and True elsewhere."""
    return torch.arange(classes, device=device) != background


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where whole is 0 (then part is 0 too). Near 0 the slope stays finite."""
    return part / whole.clamp_min(torch.finfo(whole.dtype).tiny ** 0.5)


def all_but_one(like: Tensor) -> Tensor:
    """A matrix that turns p (items, classes) into the sum of all *other* classes' p, without a subtraction."""
    return 1 - torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)


def check(right: bool, name: str, value, expected: str) -> None:
    if not right:
        raise ValueError(f"{name} is {value!r}; expected {expected}")


@register(
    "expected_accuracy",
    formula=r"R = \frac{1}{N}\sum_i p_{i,y_i}",
    reference="Ghosh, Kumar and Sastry, AAAI 2017 (1 - R is half the mean absolute error)",
    splits=True,
)
def expected_accuracy(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """The accuracy to expect when each label is drawn from the model: the mean probability of the right class."""
    return softmax(logits).gather(-1, labels[:, None]).mean()


@register(
    "gce",
    formula=r"R = 1 - \frac{1}{N}\sum_i \frac{1 - p_{i,y_i}^{\,q}}{q}",
    reference="Zhang and Sabuncu, NeurIPS 2018 (generalised cross-entropy)",
    splits=True,
    lowest=1 - 1 / 0.7,
)
def gce(logits: Tensor, labels: Tensor, background: int = 0, q: float = 0.7) -> Tensor:
    """Between cross-entropy (q to 0) and expected accuracy (q = 1): 1 - R is the generalised cross-entropy.

    R lies in [1 - 1/q, 1]. Raises ValueError unless 0 < q <= 1.
    """
    check(0 < q <= 1, "q", q, "a number above 0, up to 1")
    log_p = logits.log_softmax(-1).gather(-1, labels[:, None])
    return 1 + torch.expm1(q * log_p).mean() / q  # (p^q - 1) / q, exact also where p is nearly 1


@register(
    "soft_f1",
    formula=r"\tilde F = \frac{2\sum \hat y\, y}{\sum y + \sum \hat y}",
    reference="Pastor-Pellicer et al., IWANN 2013",
)
def soft_f1(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Micro F1 of the positive classes from soft counts: count over the batch first, divide once."""
    return soft_fbeta(logits, labels, background, beta=1.0)


@register(
    "soft_f1_macro",
    formula=r"\tilde F_{macro} = \frac{1}{\vert C\vert}\sum_{c \in C}"
    r" \frac{2\sum \hat y_c y_c}{\sum y_c + \sum \hat y_c}",
    reference="Pastor-Pellicer et al., IWANN 2013; macro mean over the positive classes C present in the batch",
)
def soft_f1_macro(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Mean over the positive classes of their soft F1; a class with no label in the batch takes no part."""
    return soft_fbeta(logits, labels, background, beta=1.0, average="macro")


@register(
    "soft_fbeta",
    formula=r"\tilde F_\beta = \frac{(1+\beta^2)\sum \hat y\, y}{\beta^2\sum y + \sum \hat y}",
    reference="van Rijsbergen, Information Retrieval, 1979, for the measure; Pastor-Pellicer et al., IWANN 2013",
)
def soft_fbeta(
    logits: Tensor, labels: Tensor, background: int = 0, beta: float = 2.0, average: str = "micro"
) -> Tensor:
    """Soft F_β of the positive classes: recall counts β times as much as precision.

    `average` is "micro" (counts of all positive classes together) or "macro" (mean over those present in the batch).
    Raises ValueError for β below 0 or another average.
    """
    check(beta >= 0, "beta", beta, "a number of 0 or more")
    check(average in ("micro", "macro"), "average", average, "'micro' or 'macro'")
    true, predicted, actual = soft_counts(logits, labels)
    positive = positive_classes(logits.shape[-1], background, logits.device)
    weight = beta**2
    if average == "macro":
        present = positive & (actual > 0)
        f = ratio((1 + weight) * true, weight * actual + predicted)
        return torch.where(present, f, 0.0).sum() / present.sum().clamp_min(1)
    true, predicted, actual = (torch.where(positive, count, 0.0).sum() for count in (true, predicted, actual))
    return ratio((1 + weight) * true, weight * actual + predicted)


@register(
    "tversky",
    formula=r"T = \frac{TP}{TP + a\,FP + b\,FN}",
    reference="Tversky, Psychological Review 1977; Salehi, Erdogmus and Gholipour, MLMI 2017",
)
def tversky(logits: Tensor, labels: Tensor, background: int = 0, a: float = 0.3, b: float = 0.7) -> Tensor:
    """TP / (TP + a FP + b FN) from soft counts of the positive classes, a and b 0 or more; a = b = 1/2 is soft F1."""
    check(a >= 0 and b >= 0, "a, b", (a, b), "two numbers of 0 or more")
    true, predicted, actual = soft_counts(logits, labels)
    positive = positive_classes(logits.shape[-1], background, logits.device)
    tp, predicted, actual = (torch.where(positive, count, 0.0).sum() for count in (true, predicted, actual))
    return ratio(tp, (1 - a - b) * tp + a * predicted + b * actual)  # FP = predicted - TP, FN = actual - TP


@register(
    "dice",
    formula=r"D = \frac{2\sum \hat y\, y}{\sum \hat y^2 + \sum y^2}",
    reference="Milletari, Navab and Ahmadi, 3DV 2016 (V-Net); Li et al., ACL 2020, in language",
)
def dice(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """The Dice coefficient with squares below the line, over the positive classes.

    Without the squares Dice is soft F1. On sure predictions the two agree; in between this one has its best ŷ
    inside (0, 1) where a label is uncertain, and so keeps ŷ off the ends.
    """
    y_hat = softmax(logits)
    positive = positive_classes(logits.shape[-1], background, logits.device)
    y_hat, y = y_hat * positive, one_hot(labels, y_hat) * positive
    return ratio(2 * (y_hat * y).sum(), (y_hat * y_hat).sum() + y.sum())


@register(
    "soft_mcc",
    formula=r"M = \frac{\sum_c (TP_c\,TN_c - FP_c\,FN_c)}"
    r"{\sqrt{\sum_c \hat n_c (N - \hat n_c)}\;\sqrt{\sum_c n_c (N - n_c)}}",
    reference="Matthews, BBA 1975; Gorodkin, Computational Biology and Chemistry 2004, for many classes",
    lowest=-1.0,
)
def soft_mcc(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Matthews' correlation of labels and predictions from soft counts, in [-1, 1]; all classes count alike.

    n_c and n̂_c are the labels and the predictions of class c. Where it is not defined (all labels, or all
    predictions for sure, of one class) R is 0 and has no gradient.
    """
    table = confusion(logits, labels) / len(labels)
    others = all_but_one(table)  # sums over the other classes; 1 - ŷ would lose its digits where ŷ is nearly 1
    tp, tn = table.diagonal(), (others @ table @ others).diagonal()
    fp, fn = (others @ table).diagonal(), (table @ others).diagonal()
    predicted, actual = table.sum(0), one_hot(labels, table).mean(0)  # the shares n̂ / N and n / N
    spread = (predicted * (predicted @ others)).sum() * (actual * (actual @ others)).sum()
    defined = spread > torch.finfo(spread.dtype).eps ** 4
    return torch.where(defined, (tp * tn - fp * fn).sum() / torch.where(defined, spread, 1.0).sqrt(), 0.0)


@register(
    "smooth_ap",
    formula=r"R = \frac{1}{\vert P\vert}\sum_{i \in P} \frac{1 + \sum_{j \in P, j \neq i} \sigma((s_j - s_i)/\tau)}"
    r"{1 + \sum_{j \neq i} \sigma((s_j - s_i)/\tau)}",
    reference="Brown et al., ECCV 2020 (Smooth-AP)",
)
def smooth_ap(logits: Tensor, labels: Tensor, background: int = 0, tau: float = 1.0) -> Tensor:
    """Average precision with a smooth step in place of "ranks higher"; exact AP as τ goes to 0.

    The score s of an item is the log-odds of the class (for one logit per item, the logit itself). With several
    positive classes: one against the rest, then the mean over those present in the batch. Log-odds beyond ±87 count as
    ±87. A small τ comes near to exact AP, but two items whose scores are many τ apart have no slope any more.
    Raises ValueError unless τ > 0.
    """
    check(tau > 0, "tau", tau, "a number above 0")
    log_p = logits.T.contiguous().log_softmax(0).T
    others = log_p.exp() @ all_but_one(log_p)
    scores = (log_p - others.clamp_min(torch.finfo(log_p.dtype).tiny).log()) / tau
    total, present = logits.sum() * 0, 0
    for c, s in enumerate(scores.unbind(-1)):
        positive = labels == c
        if c != background and positive.any():
            higher = (s - s[positive][:, None]).sigmoid()  # (positives, items); 1/2 for an item against itself
            total = total + ((higher[:, positive].sum(1) + 0.5) / (higher.sum(1) + 0.5)).mean()
            present += 1
    return total / max(present, 1)
