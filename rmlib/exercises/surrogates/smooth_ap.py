"""The exercise on SmoothAP."""

import math

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.numerical_gradients import gradients_of
from rmlib.loss.gradients import central_differences


def smooth_ap_spec(s, y, tau):
    """The mean over the positives of (1 + positives above) / (1 + items above).

    "Above" is soft: the sigmoid of the difference of two scores, divided by τ.
    """
    scores = s.tolist()
    precisions = []
    for i in range(len(scores)):
        if y[i] == 1:
            positives = items = 1.0
            for j in range(len(scores)):
                if j != i:
                    above = (1 + math.tanh((scores[j] - scores[i]) / tau / 2)) / 2  # the sigmoid
                    items += above
                    positives += above if y[j] == 1 else 0.0
            precisions.append(positives / items)
    return torch.tensor(sum(precisions) / len(precisions), dtype=s.dtype)


def smooth_ap_inputs(seed):
    """Scores, labels, τ.

    Seed 8: one positive; 9: nothing but positives; 10: scores far apart; 11: a tiny τ.
    """
    random = torch.Generator().manual_seed(seed)
    s = torch.randn(4 + seed % 5, generator=random, dtype=torch.float64)
    y = (torch.rand(len(s), generator=random) < 0.5).long()
    y[:2] = 1
    y[2] = 0
    y = {8: torch.arange(len(s)) == 1, 9: torch.ones_like(y)}.get(seed, y).long()
    tau = 1e-4 if seed == 11 else (0.3, 0.5, 1.5)[seed % 3]
    return s * (300 if seed == 10 else 1), y, tau


def _sigmoid(difference, tau):
    return (difference / tau).sigmoid()


def _mean_of_ratios(numerator, denominator, y):
    return (numerator / denominator)[y == 1].mean()


def _wrong_ap(above=_sigmoid, itself=(0, 0), one=1, label=1, mean=_mean_of_ratios):
    """SmoothAP with one thing wrong.

    Args:
        above: (difference of scores, τ) -> how much one item is above another.
        itself: what an item counts against itself, in the numerator and the denominator.
        one: where a rank starts.
        label: of the items that the numerator counts.
        mean: (numerators, denominators, labels) -> the value.
    """

    def wrong(s, y, tau):
        ranks = above(s[None, :] - s[:, None], tau) * (1 - torch.eye(len(s), dtype=s.dtype))
        numerator = one + itself[0] + (ranks * (y == label)).sum(1)
        return mean(numerator, one + itself[1] + ranks.sum(1), y)

    return wrong


def _counts_itself(id: str, where: str, itself: tuple) -> Misconception:
    return Misconception(
        id,
        f"an item is counted against itself{where}, with σ(0) = 1/2: leave j = i out",
        _wrong_ap(itself=itself),
    )


SMOOTH_AP_MISCONCEPTIONS = (
    _counts_itself("counts-itself", "", (0.5, 0.5)),
    _counts_itself("counts-itself-in-numerator", " in the numerator", (0.5, 0)),
    _counts_itself("counts-itself-in-denominator", " in the denominator", (0, 0.5)),
    Misconception(
        "reversed-order",
        "the order is reversed: j is above i when its score is larger",
        _wrong_ap(lambda d, tau: (-d / tau).sigmoid()),
    ),
    Misconception(
        "no-tau",
        "τ is not used: divide the difference of two scores by it",
        _wrong_ap(lambda d, tau: d.sigmoid()),
    ),
    Misconception(
        "times-tau",
        "the difference of two scores is multiplied by τ; divide it",
        _wrong_ap(lambda d, tau: (d * tau).sigmoid()),
    ),
    Misconception(
        "tau-outside",
        "τ stands outside of σ; divide the difference of two scores by it",
        _wrong_ap(lambda d, tau: d.sigmoid() / tau),
    ),
    Misconception(
        "hard-ranks",
        "this counts with a hard >. It is exact AP, whose gradient is 0: make “above” smooth",
        _wrong_ap(lambda d, tau: (d > 0).double()),
    ),
    Misconception(
        "mean-over-all",
        "the mean is over all items; take it over the positive ones",
        _wrong_ap(mean=lambda up, low, y: (up / low).mean()),
    ),
    Misconception(
        "sum-for-mean",
        "the sum is not divided by the number of positives",
        _wrong_ap(mean=lambda up, low, y: (up / low)[y == 1].sum()),
    ),
    Misconception(
        "numerator-of-negatives",
        "the numerator sums over the negatives; sum over the positives",
        _wrong_ap(label=0),
    ),
    Misconception(
        "rank-from-0",
        "a rank starts at 1: is there a “1 +” in both sums?",
        _wrong_ap(one=0),
    ),
    Misconception(
        "divides-once",
        "this divides once, at the end. Every positive has a precision of its own: divide first, "
        "then take the mean",
        _wrong_ap(mean=lambda up, low, y: up[y == 1].sum() / low[y == 1].sum()),
    ),
)


def _smooth_ap_gradient(answer, spec):
    s, y, tau = smooth_ap_inputs(4)
    (gradient,) = gradients_of(answer, (s, y, tau), "the scores")
    if not same(gradient, central_differences(lambda s: spec(s, y, tau), s, 1e-6), 1e-5):
        raise NotYet(
            "wrong-gradient",
            "the value is right, the gradient is wrong: a part of the formula is constant. Is "
            "there a `detach` in it?",
        )
    far_apart = torch.tensor([0.0, 500.0, -500.0, 3.0], dtype=torch.float64)
    labels = torch.tensor([1, 0, 1, 0])
    (gradient,) = gradients_of(answer, (far_apart, labels, 0.1), "the scores")
    if not gradient.isfinite().all():
        raise NotYet(
            "nan-gradient",
            "the value is right, but the gradient is nan where scores lie far apart: an `exp` "
            "overflows; `.sigmoid()` does not",
        )


def my_smooth_ap(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid()  # [i, j]: how much j is above i
    above = above * (1 - torch.eye(len(s)))  # an item is not above itself
    positive = y == 1
    return ((1 + above[:, positive].sum(1)) / (1 + above.sum(1)))[positive].mean()


SMOOTH_AP = Exercise(
    id="surrogates.smooth_ap",
    title="SmoothAP",
    spec=smooth_ap_spec,
    inputs=smooth_ap_inputs,
    misconceptions=SMOOTH_AP_MISCONCEPTIONS,
    more=_smooth_ap_gradient,
    hints=(
        "`s[None, :] - s[:, None]` is a table (items, items) with $s_j - s_i$ in row $i$, column "
        "$j$. Its diagonal must not count: multiply by `1 - torch.eye(len(s))` after the sigmoid.",
        "The sum in the denominator is over all columns of row $i$, the one in the numerator over "
        "the columns where $y_j = 1$. Finally, keep the rows where $y_i = 1$ and take their mean.",
    ),
    solution=my_smooth_ap,
)
