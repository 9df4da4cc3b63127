"""Wrong ways to combine L_p and L_r, for every exercise that asks for L = L_p + αL_r."""

from collections.abc import Callable

from .exercise import Misconception

# id: (message, formula of L_p, the reward R and alpha)
COMBINATIONS = {
    "prediction-loss-alone": (
        "this is L_p alone: no reward takes part (with the article's L_r, E3, it comes to the "
        "same)",
        lambda L_p, R, alpha: L_p,
    ),
    "adds-the-reward": (
        "alpha · R is added; a reward should go up and a loss goes down: L_r = 1 − R",
        lambda L_p, R, alpha: L_p + alpha * R,
    ),
    "minus-the-reward": (
        "the gradient is right, the value is too small by alpha: L_r is 1 − R, not −R",
        lambda L_p, R, alpha: L_p - alpha * R,
    ),
    "alpha-times-both": (
        "L_p is multiplied by alpha, too; L = L_p + alpha · L_r",
        lambda L_p, R, alpha: alpha * (L_p + 1 - R),
    ),
    "alpha-on-the-wrong-part": (
        "alpha multiplies L_p; it is the weight of L_r",
        lambda L_p, R, alpha: alpha * L_p + 1 - R,
    ),
    "convex-combination": (
        "the weights are 1 − alpha and alpha; here L_p always has the weight 1",
        lambda L_p, R, alpha: (1 - alpha) * L_p + alpha * (1 - R),
    ),
    "divides-by-1-plus-alpha": (
        "this is L / (1 + alpha): a different scale, and so different steps; return L itself",
        lambda L_p, R, alpha: (L_p + alpha * (1 - R)) / (1 + alpha),
    ),
    "without-alpha": (
        "alpha takes no part: this is L_p + L_r, whatever alpha is",
        lambda L_p, R, alpha: L_p + 1 - R,
    ),
    "reward-loss-alone": (
        "this is alpha · L_r: L_p is missing",
        lambda L_p, R, alpha: alpha * (1 - R),
    ),
    "product": (
        "the two parts are multiplied; they are added",
        lambda L_p, R, alpha: L_p * alpha * (1 - R),
    ),
}


def wrong_combinations(combined: Callable) -> tuple[Misconception, ...]:
    """The misconceptions of one exercise.

    Args:
        combined: (formula of L_p, R and alpha) -> a function like the exercise's `spec` that
            combines its two parts by this formula.
    """
    return tuple(
        Misconception(id, message, combined(formula))
        for id, (message, formula) in COMBINATIONS.items()
    )
