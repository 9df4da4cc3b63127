"""The reward types that have a gradient: one function and one registry line each.

Every function takes

    logits  (items, classes)  float, any range
    labels  (items,)          int, 0 .. classes - 1, at least one item, none of them ignored

and returns the reward R of the batch: a scalar, at most 1, higher is better. The `background` class
is the one that is not positive (O in named-entity recognition, "not negative" in the sentiment
case). In a batch without a positive label the F family, Tversky, Dice and SmoothAP are 0 and have
no gradient. Rewards that can only be sampled are in `sampling.py`.
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
        splits: True if the R of a batch is the item-weighted mean of the R of its parts. If False
            (an F1 is a ratio of counts), the parts must be joined before R is computed.
        lowest: R lies in [lowest, 1], with the parameters as registered.
        sampled: True if R is a metric without a gradient, estimated from samples (`sampling.py`).
        sentences: True if the function takes logits (sentences, words, classes) and labels
            (sentences, words), padded with `sampled_metrics.PADDING`, as entity-level metrics do.
        iob2: True if the classes must be tags in the order O, B-X, I-X, B-Y, I-Y …
        parameters: those set by `with_parameters`.
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
    iob2: bool = False
    parameters: dict = field(default_factory=dict)

    @property
    def is_expensive(self) -> bool:
        """Whether it is too slow on 20,000 items: sampled, or over pairs of items."""
        return self.sampled or self.name.split("(")[0] == "smooth_ap"

    def with_parameters(self, **parameters) -> "Reward":
        """The same reward with other parameters, as in `REWARDS["gce"].with_parameters(q=0.5)`.

        Raises:
            ValueError: the reward has no such parameter.
        """
        names = list(inspect.signature(self.function).parameters)[3:]
        for name in parameters:
            if name not in names:
                known = ", ".join(names) or "none"
                raise ValueError(f"reward {self.name!r} has no parameter {name!r}; it has {known}")
        every = self.parameters | parameters
        values = ", ".join(f"{key}={value!r}" for key, value in every.items())
        return replace(
            self,
            name=f"{self.name.split('(')[0]}({values})",
            function=partial(self.function, **parameters),
            parameters=every,
        )


REWARDS: dict[str, Reward] = {}


def register(name: str, **facts):
    """A decorator that puts a function into `REWARDS` under this name."""

    def add(function):
        REWARDS[name] = Reward(name, function, **facts)
        return function

    return add


def find(reward: str | Reward) -> Reward:
    """The reward of that name; a `Reward` is returned as it is.

    Raises:
        ValueError: an unknown name; the message names the nearest.
    """
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, str) and reward in REWARDS:
        return REWARDS[reward]
    nearest = difflib.get_close_matches(str(reward), REWARDS, n=1, cutoff=0)[0]
    known = ", ".join(sorted(REWARDS))
    raise ValueError(f"reward {reward!r} is not known; did you mean {nearest!r}? known: {known}")


def softmax(logits: Tensor) -> Tensor:
    """p (items, classes), over the transposed logits: with few classes torch is twice as fast."""
    return logits.T.contiguous().softmax(0).T


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """Labels (items,) as 0 and 1 in the shape and type of `like` (items, classes)."""
    return (labels[:, None] == torch.arange(like.shape[-1], device=like.device)).to(like.dtype)


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """The soft confusion matrix (classes, classes): labels by row, probabilities by column."""
    y_hat = softmax(logits)
    return one_hot(labels, y_hat).T @ y_hat


def soft_counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft counts, (classes,) each: true positives Σ ŷy, predicted Σ ŷ and actual Σ y."""
    table = confusion(logits, labels)
    return table.diagonal(), table.sum(0), one_hot(labels, table).sum(0)


def positive_classes(classes: int, background: int, device=None) -> Tensor:
    """A mask (classes,) that is False at the background class and True elsewhere."""
    return torch.arange(classes, device=device) != background


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where both are 0. Near 0 the gradient stays finite."""
    return part / whole.clamp_min(torch.finfo(whole.dtype).tiny ** 0.5)


def all_but_one(like: Tensor) -> Tensor:
    """A matrix (classes, classes): p @ matrix sums the p of all *other* classes, not as 1 - p."""
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
    """The mean probability of the right class: the expected accuracy of sampled labels."""
    return softmax(logits).gather(-1, labels[:, None]).mean()


@register(
    "gce",
    formula=r"R = 1 - \frac{1}{N}\sum_i \frac{1 - p_{i,y_i}^{\,q}}{q}",
    reference="Zhang and Sabuncu, NeurIPS 2018 (generalised cross-entropy)",
    splits=True,
    lowest=1 - 1 / 0.7,
)
def gce(logits: Tensor, labels: Tensor, background: int = 0, q: float = 0.7) -> Tensor:
    """From cross-entropy (q to 0) to expected accuracy (q = 1); R lies in [1 - 1/q, 1].

    1 - R is the generalised cross-entropy.

    Raises:
        ValueError: q is not in (0, 1].
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
    """Micro F1 of the positive classes from soft counts: count over the batch, divide once."""
    return soft_fbeta(logits, labels, background, beta=1.0)


@register(
    "soft_f1_macro",
    formula=r"\tilde F_{macro} = \frac{1}{\vert C\vert}\sum_{c \in C}"
    r" \frac{2\sum \hat y_c y_c}{\sum y_c + \sum \hat y_c}",
    reference="Pastor-Pellicer et al., IWANN 2013; mean over the positive classes C in the batch",
)
def soft_f1_macro(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Mean soft F1 of the positive classes; a class without a label in the batch is left out."""
    return soft_fbeta(logits, labels, background, beta=1.0, average="macro")


@register(
    "soft_fbeta",
    formula=r"\tilde F_\beta = \frac{(1+\beta^2)\sum \hat y\, y}{\beta^2\sum y + \sum \hat y}",
    reference="van Rijsbergen, Information Retrieval, 1979; Pastor-Pellicer et al., IWANN 2013",
)
def soft_fbeta(
    logits: Tensor, labels: Tensor, background: int = 0, beta: float = 2.0, average: str = "micro"
) -> Tensor:
    """Soft F_β of the positive classes: recall counts β times as much as precision.

    `average` is "micro" (the counts of all positive classes are added up) or "macro" (the mean over
    those present in the batch).

    Raises:
        ValueError: β below 0, or another average.
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
    true, predicted, actual = (
        torch.where(positive, count, 0.0).sum() for count in (true, predicted, actual)
    )
    return ratio((1 + weight) * true, weight * actual + predicted)


@register(
    "tversky",
    formula=r"T = \frac{TP}{TP + a\,FP + b\,FN}",
    reference="Tversky, Psychological Review 1977; Salehi, Erdogmus and Gholipour, MLMI 2017",
)
def tversky(
    logits: Tensor, labels: Tensor, background: int = 0, a: float = 0.3, b: float = 0.7
) -> Tensor:
    """TP / (TP + a FP + b FN) from soft counts of the positive classes; a = b = 1/2 is soft F1.

    Raises:
        ValueError: a or b below 0.
    """
    check(a >= 0 and b >= 0, "a, b", (a, b), "two numbers of 0 or more")
    true, predicted, actual = soft_counts(logits, labels)
    positive = positive_classes(logits.shape[-1], background, logits.device)
    tp, predicted, actual = (
        torch.where(positive, count, 0.0).sum() for count in (true, predicted, actual)
    )
    # FP = predicted - TP, FN = actual - TP
    return ratio(tp, (1 - a - b) * tp + a * predicted + b * actual)


@register(
    "dice",
    formula=r"D = \frac{2\sum \hat y\, y}{\sum \hat y^2 + \sum y^2}",
    reference="Milletari, Navab and Ahmadi, 3DV 2016 (V-Net); Li et al., ACL 2020, in language",
)
def dice(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """The Dice coefficient with squares in the denominator, over the positive classes.

    Without the squares Dice is soft F1. For confident predictions the two agree; where a label is
    uncertain, the best ŷ of this one lies inside (0, 1).
    """
    positive = positive_classes(logits.shape[-1], background, logits.device)
    y_hat = softmax(logits) * positive
    y = one_hot(labels, y_hat) * positive
    return ratio(2 * (y_hat * y).sum(), (y_hat * y_hat).sum() + y.sum())


@register(
    "soft_mcc",
    formula=r"M = \frac{\sum_c (TP_c\,TN_c - FP_c\,FN_c)}"
    r"{\sqrt{\sum_c \hat n_c (N - \hat n_c)}\;\sqrt{\sum_c n_c (N - n_c)}}",
    reference="Matthews, BBA 1975; for many classes Gorodkin, Comput. Biol. Chem. 2004",
    lowest=-1.0,
)
def soft_mcc(logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Matthews' correlation of labels and predictions from soft counts, over all classes alike.

    R lies in [-1, 1]. n_c and n̂_c are the labels and the predictions of class c. Where it is not
    defined (all labels, or all predictions, are certainly of one class) R is 0 without a gradient.
    """
    table = confusion(logits, labels) / len(labels)
    others = all_but_one(table)  # 1 - ŷ would lose its digits where ŷ is nearly 1
    tp, tn = table.diagonal(), (others @ table @ others).diagonal()
    fp, fn = (others @ table).diagonal(), (table @ others).diagonal()
    predicted, actual = table.sum(0), one_hot(labels, table).mean(0)  # the shares n̂ / N and n / N
    spread = (predicted * (predicted @ others)).sum() * (actual * (actual @ others)).sum()
    defined = spread > torch.finfo(spread.dtype).eps ** 4
    return torch.where(
        defined, (tp * tn - fp * fn).sum() / torch.where(defined, spread, 1.0).sqrt(), 0.0
    )


@register(
    "smooth_ap",
    formula=r"R = \frac{1}{\vert P\vert}\sum_{i \in P} "
    r"\frac{1 + \sum_{j \in P, j \neq i} \sigma((s_j - s_i)/\tau)}"
    r"{1 + \sum_{j \neq i} \sigma((s_j - s_i)/\tau)}",
    reference="Brown et al., ECCV 2020 (Smooth-AP)",
)
def smooth_ap(logits: Tensor, labels: Tensor, background: int = 0, tau: float = 1.0) -> Tensor:
    """Average precision with a smooth step in place of "ranks higher"; exact AP as τ goes to 0.

    The score s of an item is the log-odds of the class (for one logit per item, the logit itself).
    With several positive classes: one against the rest, then the mean over those present in the
    batch. Log-odds beyond ±87 count as ±87. With a small τ the value is close to exact AP, but two
    items whose scores are many τ apart have no gradient.

    Raises:
        ValueError: τ is not above 0.
    """
    check(tau > 0, "tau", tau, "a number above 0")
    log_p = logits.T.contiguous().log_softmax(0).T
    others = log_p.exp() @ all_but_one(log_p)
    scores = (log_p - others.clamp_min(torch.finfo(log_p.dtype).tiny).log()) / tau
    total, present = logits[:0].sum(), 0
    for c, s in enumerate(scores.unbind(-1)):
        positive = labels == c
        if c != background and positive.any():
            # (positives, items): how far j ranks above i; 1/2 for an item against itself
            higher = (s - s[positive][:, None]).sigmoid()
            total = total + ((higher[:, positive].sum(1) + 0.5) / (higher.sum(1) + 0.5)).mean()
            present += 1
    return total / max(present, 1)
