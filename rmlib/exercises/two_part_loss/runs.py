"""The longer runs of the lesson: speed on the same scale, one ŷ for all items, thirty draws."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.loss.objective import RewardObjective

from .experiment import draw

# What is trained on: a factor times L_p + alpha * L_r, as (alpha, factor).
SCALES = {
    "L_p": (0, 1),
    "11 L_p": (0, 11),
    "L_p + 10 L_r": (10, 1),
    "(L_p + 10 L_r) / 11": (10, 1 / 11),
}
STUDENTS_T = {30: 2.045, 5: 2.776}  # two-sided 95 %, by the number of draws


OPTIMIZERS = {  # name -> class, rate, steps
    "SGD": (torch.optim.SGD, 0.5, 400),
    "Adam": (torch.optim.Adam, 0.05, 200),
}


def curve(train: Callable, loss: Callable, z: Tensor, observed: Callable, settings) -> Tensor:
    """What is observed before each step of a training, and after the last: (steps + 1,).

    Args:
        train: train(loss, z, steps, rate, optimizer), as the learner writes it.
        loss: of z, a scalar.
        z: where training begins.
        observed: of z, a number.
        settings: the optimizer's class, the rate, the number of steps.
    """
    optimizer, rate, steps = settings
    seen = []

    def watched(z):
        seen.append(float(observed(z.detach())))
        return loss(z)

    end = train(watched, z, steps, rate, optimizer)
    seen = seen[:: max(1, len(seen) // steps)][:steps]  # a loop may compute the loss twice a step
    return torch.tensor([*seen, float(observed(end.detach()))])


def speeds(
    train: Callable, total_loss: Callable, z: Tensor, y: Tensor
) -> dict[str, dict[str, Tensor]]:
    """L_p while the logits z themselves are trained on each of `SCALES`.

    Args:
        train: train(loss, z, steps, rate, optimizer), as the learner writes it.
        total_loss: L of (z, y, alpha).
        z, y: logits and labels, (items,).

    Returns:
        by optimizer and by loss L_p from step 0 to the last, (steps + 1,).
    """
    curves = {optimizer: {} for optimizer in OPTIMIZERS}
    for optimizer, settings in OPTIMIZERS.items():
        for name, (alpha, factor) in SCALES.items():

            def loss(logits, alpha=alpha, factor=factor):
                return factor * total_loss(logits, y, alpha)

            def L_p(logits):
                return total_loss(logits, y, 0)

            curves[optimizer][name] = curve(train, loss, z, L_p, settings)
    return curves


def one_for_all(total_loss: Callable, y: Tensor) -> tuple[Tensor, dict[str, dict[float, Tensor]]]:
    """L where a model gives the same ŷ to all items.

    Args:
        total_loss: L of (z, y, alpha), with soft F1 as the reward.
        y: labels (items,).

    Returns:
        ŷ (points,), and by reward and α the values of L, (points,). For expected accuracy the loss
        is that of `RewardObjective`.
    """

    def with_accuracy(z, y, alpha):
        return RewardObjective(alpha, "expected_accuracy")(z, y).total

    y_hat = torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
    batches = y_hat.logit()[:, None].expand(-1, len(y))
    losses = {
        reward: {
            alpha: torch.stack([loss(z, y, alpha) for z in batches])
            for alpha in (0, 1, 10, math.inf)
        }
        for reward, loss in (("soft F1", total_loss), ("expected accuracy", with_accuracy))
    }
    return y_hat, losses


def over_draws(
    compare: Callable, alphas: tuple[float, ...], draws: int = 30
) -> tuple[dict[float, Tensor], dict[float, Tensor]]:
    """An experiment on several draws of the data.

    Args:
        compare: compare(draw, alphas), for each alpha the differences in F1 and in L_p.
        alphas: the α to compare.
        draws: one of `STUDENTS_T`.

    Returns:
        by α the differences, (draws, 2), and the 95 % intervals of the two means by Student's t,
        (2, 2): [low, high] by [F1, L_p].
    """
    table = torch.tensor(
        [[list(map(float, pair)) for pair in compare(draw(seed), alphas)] for seed in range(draws)]
    )
    differences = {alpha: table[:, i] for i, alpha in enumerate(alphas)}
    intervals = {}
    for alpha, rows in differences.items():
        half = STUDENTS_T[draws] * rows.std(0) / draws**0.5
        intervals[alpha] = torch.stack([rows.mean(0) - half, rows.mean(0) + half])
    return differences, intervals


class Means(NamedTuple):
    """Means over the draws, of the test items.

    Attributes:
        f1, L_p: minus those of the control.
        control_f1, control_L_p: those of the control itself.
        average_precision: of the order of the items.
        best_f1: F1 with the threshold that is best on the test items themselves.
    """

    f1: float
    L_p: float
    control_f1: float
    control_L_p: float
    average_precision: float
    best_f1: float

    def __str__(self) -> str:
        difference = f"F1 {self.f1:+.3f}, L_p {self.L_p:+.3f}"
        control = f"control {self.control_f1:.3f}, {self.control_L_p:.3f}"
        return f"{difference} ({control}), AP {self.average_precision:.3f}, best {self.best_f1:.3f}"


def longer(
    alphas: tuple[float, ...], steps: tuple[int, ...], draws: int = 30
) -> dict[tuple[int, float], Means]:
    """The experiment after more steps, the draws side by side: the gradient is written by hand.

    Args:
        alphas: the α to compare; 0, the control, is trained in any case.
        steps: the numbers of steps after which to look.
        draws: of the data.

    Returns:
        by (steps, α) the means over the draws.
    """
    data = [draw(seed) for seed in range(draws)]
    x, y = torch.stack([one.x for one in data]), torch.stack([one.y for one in data]).double()
    test_x = torch.stack([one.test_x for one in data])
    test_y = torch.stack([one.test_y for one in data]).double()
    weights = {alpha: _descend(x, y, alpha, steps) for alpha in {0, *alphas}}
    thresholds = torch.arange(1, 100, dtype=torch.float64) / 100
    found = {}
    for step in steps:
        scores = {alpha: (test_x @ by_step[step]) for alpha, by_step in weights.items()}
        p = (x @ weights[0][step]).sigmoid()
        tuned = thresholds[torch.stack([_f1(p > t, y) for t in thresholds]).argmax(0)]
        control_f1 = _f1(scores[0].sigmoid() > tuned[:, None, None], test_y)
        control_L_p = _cross_entropy(scores[0], test_y)
        for alpha in alphas:
            z = scores[alpha]
            means = (
                _f1(z > 0, test_y) - control_f1,
                _cross_entropy(z, test_y) - control_L_p,
                control_f1,
                control_L_p,
                *_of_the_order(z, test_y),
            )
            found[step, alpha] = Means(*(float(values.mean()) for values in means))
    return found


def _descend(x: Tensor, y: Tensor, alpha: float, steps: tuple[int, ...]) -> dict[int, Tensor]:
    """The weights (draws, 3, 1) after some of the steps; x (draws, items, 3), y (draws, items)."""
    w = torch.zeros(len(x), 3, 1, dtype=torch.float64)
    items = y.shape[1]
    labels, positives, transposed = y[..., None], y.sum(1)[:, None, None], x.mT.contiguous()
    kept = {}
    for step in range(1, max(steps) + 1):
        p = (x @ w).sigmoid()
        counted = p.sum(1, keepdim=True) + positives
        soft_f1 = 2 * (p * labels).sum(1, keepdim=True) / counted
        by_logit = (p - labels) / items
        if alpha:
            by_logit = by_logit - alpha / counted * (2 * labels - soft_f1) * p * (1 - p)
        w = w - 8 / (2 + alpha) * (transposed @ by_logit)
        if step in steps:
            kept[step] = w
    return kept


def _f1(yes: Tensor, y: Tensor) -> Tensor:
    """F1 per draw, (draws,); yes (draws, items, 1), y (draws, items)."""
    yes = yes[..., 0].double()
    return 2 * (yes * y).sum(1) / (yes.sum(1) + y.sum(1))


def _cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """L_p per draw, (draws,)."""
    z = z[..., 0]
    return (torch.logaddexp(torch.zeros_like(z), z) - y * z).mean(1)


def _of_the_order(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Average precision and the best F1 of any threshold, per draw; no two z are equal."""
    ranked = y.gather(1, z[..., 0].argsort(1, descending=True))
    found = ranked.cumsum(1)
    called = torch.arange(1, y.shape[1] + 1)
    positives = y.sum(1)
    average_precision = (ranked * found / called).sum(1) / positives
    return average_precision, (2 * found / (called + positives[:, None])).amax(1)
