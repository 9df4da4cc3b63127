"""The exercise on a published loss, written as it is printed: the self-adjusting Dice."""

import torch

from rmlib.exercises.framework.exercise import Exercise, Misconception

GAMMA = 1.0


def adjusting_dice_slowly(p, y, k):
    """D of each item, number by number."""
    values = []
    for chance, label in zip(p.tolist(), y.tolist(), strict=True):
        weighted = chance
        for _ in range(k):
            weighted *= 1 - chance
        values.append((2 * weighted * label + GAMMA) / (weighted + label + GAMMA))
    return torch.tensor(values, dtype=p.dtype)


def some_items(seed):
    """p and y (items,), and k = 0, 1, 2."""
    random = torch.Generator().manual_seed(seed)
    p = torch.rand(5, generator=random, dtype=torch.float64)
    return p, torch.tensor([1, 0, 1, 0, seed % 2]), seed % 3


def _ratio(up, low):
    """Another numerator or denominator: each is (weighted p, p, y, k) -> a tensor."""

    def wrong(p, y, k):
        args = ((1 - p) ** k * p, p, y, k)
        return up(*args) / low(*args)

    return wrong


def _up(w, p, y, k):
    return 2 * w * y + GAMMA


def _low(w, p, y, k):
    return w + y + GAMMA


def _power_of_p(p, y, k):
    weighted = (1 - p) * p**k
    return (2 * weighted * y + GAMMA) / (weighted + y + GAMMA)


def _times_k(p, y, k):
    weighted = (1 - p) * k * p
    return (2 * weighted * y + GAMMA) / (weighted + y + GAMMA)


def _weight_on_y(p, y, k):
    factor = (1 - p) ** k
    return (2 * factor * p * y + GAMMA) / (factor * (p + y) + GAMMA)


def adjusting_dice(p, y, k):
    """D of each item, (items,), with γ = 1. p: probability of class 1; y: 0 or 1."""
    weighted = (1 - p) ** k * p
    return (2 * weighted * y + 1) / (weighted + y + 1)


ADJUSTING_DICE = Exercise(
    id="surrogates.adjusting_dice",
    title="the self-adjusting Dice, as printed",
    spec=adjusting_dice_slowly,
    inputs=some_items,
    misconceptions=(
        Misconception(
            "weight-in-the-numerator-only",
            "the factor (1 − p)^k is missing in the denominator",
            _ratio(_up, lambda w, p, y, k: p + y + GAMMA),
        ),
        Misconception(
            "weight-in-the-denominator-only",
            "the factor (1 − p)^k is missing in the numerator",
            _ratio(lambda w, p, y, k: 2 * p * y + GAMMA, _low),
        ),
        Misconception(
            "without-gamma",
            "γ is missing: add 1 in the numerator and in the denominator",
            _ratio(lambda w, p, y, k: 2 * w * y, lambda w, p, y, k: w + y),
        ),
        Misconception(
            "factor-2",
            "the 2 in the numerator is missing",
            _ratio(lambda w, p, y, k: w * y + GAMMA, _low),
        ),
        Misconception(
            "power-of-p",
            "the power belongs to 1 − p, not to p",
            _power_of_p,
        ),
        Misconception(
            "times-k",
            "the factor 1 − p is raised to the power k, `(1 - p) ** k`, not multiplied by k",
            _times_k,
        ),
        Misconception(
            "weight-on-y",
            "the factor (1 − p)^k belongs to p alone; in the denominator y stands by itself",
            _weight_on_y,
        ),
        Misconception(
            "loss",
            "this is 1 − D; the formula gives D",
            lambda p, y, k: 1 - adjusting_dice_slowly(p, y, k),
        ),
        Misconception(
            "mean",
            "you return the mean over the items; return D of each item",
            lambda p, y, k: adjusting_dice_slowly(p, y, k).mean(),
        ),
    ),
    hints=(
        "The same product, (1 − p)^k · p, stands in the numerator and in the denominator: give it "
        "a name.",
        "`weighted = (1 - p) ** k * p`, then `(2 * weighted * y + 1) / (weighted + y + 1)`.",
    ),
    solution=adjusting_dice,
)
