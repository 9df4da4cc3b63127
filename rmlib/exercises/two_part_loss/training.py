"""The exercises around the loss: the training loop, F1 from decisions, a tuned threshold."""

import torch
from torch import Tensor

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.numerical_gradients import STEP
from rmlib.loss.gradients import central_differences

from .batches import F64

# --- The training loop ----------------------------------------------------------------------------


def quadratic(z: Tensor) -> Tensor:
    return (z - 1).square().mean()


def smooth(z: Tensor) -> Tensor:
    return torch.logaddexp(z, -2 * z).sum()


def wavy(z: Tensor) -> Tensor:
    return (3 * z).sin().mean()


def some_training(seed: int) -> tuple:
    """A loss of z, z (items,), 1 to 5 steps, and a learning rate."""
    random = torch.Generator().manual_seed(seed)
    loss = (quadratic, smooth, wavy)[seed % 3]
    z = torch.randn(1 + seed % 4, generator=random, dtype=F64)
    return loss, z, 1 + seed % 5, (0.1, 0.4)[seed % 2]


def descend_by_differences(loss, z: Tensor, steps: int, rate: float) -> Tensor:
    """Gradient descent; the gradient of each step by central differences."""
    for _ in range(steps):
        z = z - rate * central_differences(lambda moved: float(loss(moved)), z, STEP)
    return z


def train(loss, z, steps, rate, optimizer=torch.optim.SGD):
    """z after `steps` downhill steps on `loss(z)`, a scalar; z itself stays as it was."""
    z = z.clone().requires_grad_()
    optimizer = optimizer([z], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(z).backward()
        optimizer.step()
    return z.detach()


def _climbing(loss, z, steps, rate):
    return descend_by_differences(loss, z, steps, -rate)


def _accumulating(loss, z, steps, rate):
    gradient = torch.zeros_like(z)
    for _ in range(steps):
        gradient = gradient + central_differences(lambda moved: float(loss(moved)), z, STEP)
        z = z - rate * gradient
    return z


def _with_the_first_gradient(loss, z, steps, rate):
    return z - rate * steps * central_differences(lambda moved: float(loss(moved)), z, STEP)


def with_adam(answer, spec) -> None:
    """The result can be trained on, and the optimizer is the one that is given."""
    z = torch.tensor([1.0, -2.0], dtype=F64)
    plain = sandbox.call(answer.learners, quadratic, z, 1, 0.25)
    if not torch.is_tensor(plain):
        raise NotYet(
            "not-a-tensor", f"the numbers are right; return a tensor, not {type(plain).__name__}"
        )
    if plain.requires_grad:
        raise NotYet(
            "not-detached",
            "the numbers are right, but the result still has `requires_grad`: it cannot be "
            "trained any further, and it keeps the graph. Return `z.detach()`",
        )
    result = sandbox.call(answer.learners, quadratic, z, 1, 0.25, torch.optim.Adam)
    if not same(result, z + torch.tensor([0.0, 0.25]), 1e-5):  # Adam's first step is the rate
        raise NotYet(
            "ignores-the-optimizer",
            "right with SGD; with `optimizer=torch.optim.Adam` it should take Adam's steps: is SGD "
            "written into it?",
        )


TRAIN = Exercise(
    id="two_part_loss.train",
    title="the training loop",
    spec=descend_by_differences,
    inputs=some_training,
    misconceptions=(
        Misconception(
            "climbs",
            "this goes uphill: a step goes against the gradient",
            _climbing,
        ),
        Misconception(
            "accumulates",
            "`backward` adds to the gradients of the steps before: `zero_grad` in every step",
            _accumulating,
        ),
        Misconception(
            "one-step",
            "one step only: is `return` inside the loop?",
            lambda loss, z, steps, rate: descend_by_differences(loss, z, 1, rate),
        ),
        Misconception(
            "one-step-too-many",
            "one step too many",
            lambda loss, z, steps, rate: descend_by_differences(loss, z, steps + 1, rate),
        ),
        Misconception(
            "one-step-missing",
            "one step is missing",
            lambda loss, z, steps, rate: descend_by_differences(loss, z, steps - 1, rate),
        ),
        Misconception(
            "without-rate",
            "the rate takes no part: give it to the optimizer, `lr=rate`",
            lambda loss, z, steps, rate: descend_by_differences(loss, z, steps, 1.0),
        ),
        Misconception(
            "old-gradient",
            "every step uses the gradient of the first z: compute it anew in the loop",
            _with_the_first_gradient,
        ),
        Misconception(
            "does-not-move",
            "z does not move: it is returned as it was. Does the optimizer have the same tensor as "
            "the loss?",
            lambda loss, z, steps, rate: z,
        ),
    ),
    more=with_adam,
    hints=(
        "Before the loop: `z = z.clone().requires_grad_()`, and an optimizer for this z, "
        "`optimizer([z], lr=rate)`.",
        "In the loop: `zero_grad`, `loss(z).backward()`, `step`. After it `return z.detach()`.",
    ),
    solution=train,
    tolerance=1e-5,
)

# --- F1 -------------------------------------------------------------------------------------------


def decisions(seed: int) -> tuple[Tensor, Tensor]:
    """Decisions (bool) and labels, (items,) both, with at least one label 1."""
    random = torch.Generator().manual_seed(100 + seed)
    items = int(torch.randint(3, 12, (), generator=random))
    y = torch.randint(0, 2, (items,), generator=random)
    y[0] = 1
    if seed == 2:
        return torch.zeros(items, dtype=torch.bool), y
    return torch.rand(items, generator=random) < 0.5, y


def count(yes: Tensor, y: Tensor) -> tuple[int, int, int]:
    """TP, FP and FN."""
    pairs = list(zip(map(bool, yes.tolist()), map(bool, y.tolist()), strict=True))
    return pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True))


def f1_of_counts(yes: Tensor, y: Tensor) -> float:
    """F1, one decision after the other."""
    tp, fp, fn = count(yes, y)
    return 2 * tp / (2 * tp + fp + fn)


def f1(yes, y):
    """F1 of decisions, a scalar in [0, 1].

    yes: (items,) bool, what the model calls positive; y: labels (items,), 0 or 1.
    """
    TP = (yes * y).sum()
    FP = (yes * (1 - y)).sum()
    FN = (~yes * y).sum()
    return 2 * TP / (2 * TP + FP + FN)


def _of_counts(formula):
    """A wrong measure: formula(TP, FP, FN, TN)."""

    def wrong(yes, y):
        tp, fp, fn = count(yes, y)
        return formula(tp, fp, fn, len(y) - tp - fp - fn)

    return wrong


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")


F1_OF_DECISIONS = Exercise(
    id="two_part_loss.f1_of_decisions",
    title="F1",
    spec=f1_of_counts,
    inputs=decisions,
    misconceptions=(
        Misconception(
            "accuracy",
            "this is accuracy: the share of right answers. F1 does not count true negatives",
            _of_counts(lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)),
        ),
        Misconception(
            "precision",
            "this is precision: false negatives do not count",
            _of_counts(lambda tp, fp, fn, tn: _ratio(tp, tp + fp)),
        ),
        Misconception(
            "recall",
            "this is recall: false positives do not count",
            _of_counts(lambda tp, fp, fn, tn: tp / (tp + fn)),
        ),
        Misconception(
            "jaccard",
            "TP counts twice in F1, in the numerator and in the denominator",
            _of_counts(lambda tp, fp, fn, tn: tp / (tp + fp + fn)),
        ),
        Misconception(
            "half",
            "half of it: F1 has 2TP in the numerator",
            _of_counts(lambda tp, fp, fn, tn: tp / (2 * tp + fp + fn)),
        ),
        Misconception(
            "tp-once-in-the-denominator",
            "the denominator has 2TP as well",
            _of_counts(lambda tp, fp, fn, tn: 2 * tp / (tp + fp + fn)),
        ),
        Misconception(
            "true-negatives-for-false-negatives",
            "the true negatives are in the place of the false negatives: FN is no, and y = 1",
            _of_counts(lambda tp, fp, fn, tn: _ratio(2 * tp, 2 * tp + fp + tn)),
        ),
        Misconception(
            "counts-true-negatives",
            "true negatives are counted in the denominator; F1 leaves them out",
            _of_counts(lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn + tn)),
        ),
    ),
    hints=(
        "Three sums over the items. An item is a true positive where `yes` is true and `y` is 1: "
        "`(yes * y).sum()`.",
        "FP: `yes` and `1 - y`. FN: `~yes` (not yes) and `y`. Then $2TP / (2TP + FP + FN)$.",
    ),
    solution=f1,
)

# --- The threshold --------------------------------------------------------------------------------

THRESHOLDS = [k / 100 for k in range(1, 100)]


def scored_items(seed: int) -> tuple[Tensor, Tensor]:
    """Probabilities and labels of 40 items; positives have the larger probabilities, mostly.

    Seed 1 has a negative at exactly 0.5, below all positives; seed 2 nothing below 0.98, and the
    best threshold is 0.99; seed 3 has positives alone.
    """
    random = torch.Generator().manual_seed(200 + seed)
    y = (torch.rand(40, generator=random) < 0.3).long()
    y[0] = 1
    z = 1.5 * torch.randn(40, generator=random, dtype=F64) + 1.5 * y - 2
    p = z.sigmoid()
    if seed == 1:
        p = 0.1 + 0.3 * p + 0.5 * y
        p[int((y == 0).nonzero()[0])] = 0.5  # exact, as is 50 / 100
    elif seed == 2:
        p = 0.984 + 0.002 * p + 0.01 * y
    elif seed == 3:
        y = torch.ones_like(y)
        p = 0.1 + 0.8 * p
    return p, y


def scores(y_hat: Tensor, y: Tensor, measure=f1_of_counts) -> list[float]:
    """The measure at each threshold."""
    return [measure(y_hat > t, y) for t in THRESHOLDS]


def first_best(y_hat: Tensor, y: Tensor) -> float:
    """The lowest of the best thresholds, found in one pass."""
    best = found = -1.0
    for threshold, score in zip(THRESHOLDS, scores(y_hat, y), strict=True):
        if score > best:
            best = score
            found = threshold
    return found


def best_threshold(y_hat, y):
    """The threshold t, of 0.01, 0.02 … 0.99, with the highest F1 of `y_hat > t`; the lowest, on a
    tie.

    y_hat: probabilities (items,); y: labels (items,), 0 or 1.
    """
    best, found = -1, None
    for k in range(1, 100):
        score = f1(y_hat > k / 100, y)
        if score > best:
            best, found = score, k / 100
    return found


def _search(y_hat: Tensor, y: Tensor, thresholds: list[float]) -> float:
    """The first of these thresholds with the best F1."""
    return max(thresholds, key=lambda t: f1_of_counts(y_hat > t, y))


def _at_least(y_hat: Tensor, y: Tensor) -> float:
    return max(THRESHOLDS, key=lambda t: f1_of_counts(y_hat >= t, y))


def _accuracy(yes: Tensor, y: Tensor) -> float:
    return float((yes == (y == 1)).double().mean())


def _last_best(y_hat: Tensor, y: Tensor) -> float:
    f1_at = scores(y_hat, y)
    return max(t for t, score in zip(THRESHOLDS, f1_at, strict=True) if score == max(f1_at))


BEST_THRESHOLD = Exercise(
    id="two_part_loss.best_threshold",
    title="the control: a tuned threshold",
    spec=first_best,
    inputs=scored_items,
    misconceptions=(
        Misconception(
            "returns-the-f1",
            "this is the best F1; the exercise asks for the threshold that gives it",
            lambda p, y: max(scores(p, y)),
        ),
        Misconception(
            "returns-the-number",
            "this counts the thresholds from 0; return the threshold itself",
            lambda p, y: scores(p, y).index(max(scores(p, y))),
        ),
        Misconception(
            "percent",
            "this is the threshold in percent; divide by 100",
            lambda p, y: 100 * first_best(p, y),
        ),
        Misconception(
            "last-of-equals",
            "several thresholds have the same F1; return the lowest of them: is it `>=` where `>` "
            "is needed?",
            _last_best,
        ),
        Misconception(
            "at-least",
            "an item whose ŷ is t itself is called positive here; it is `y_hat > t`, not `>=`",
            _at_least,
        ),
        Misconception(
            "without-the-last",
            "0.99 is not tried: `range(1, 100)` ends at 99, `range(1, 99)` at 98",
            lambda p, y: _search(p, y, THRESHOLDS[:-1]),
        ),
        Misconception(
            "with-0",
            "0 is tried, too: the thresholds begin at 0.01, as in `range(1, 100)`",
            lambda p, y: _search(p, y, [0.0, *THRESHOLDS]),
        ),
        Misconception(
            "from-0-without-the-last",
            "the thresholds are 0.01 … 0.99, so `range(1, 100)`: `range(99)` begins at 0",
            lambda p, y: _search(p, y, [0.0, *THRESHOLDS[:-1]]),
        ),
        Misconception(
            "worst",
            "this is the threshold with the lowest F1",
            lambda p, y: THRESHOLDS[scores(p, y).index(min(scores(p, y)))],
        ),
        Misconception(
            "best-accuracy",
            "this threshold is best in accuracy; the exercise asks for F1",
            lambda p, y: THRESHOLDS[scores(p, y, _accuracy).index(max(scores(p, y, _accuracy)))],
        ),
        Misconception(
            "half-of-the-best-f1",
            "this is half of the best F1, a rule for the best threshold on very many items; search "
            "on these",
            lambda p, y: max(scores(p, y)) / 2,
        ),
    ),
    hints=(
        "Try all 99, and keep the best so far. `f1(y_hat > t, y)` is your function from above.",
        "`max` takes a key: `max(thresholds, key=lambda t: f1(y_hat > t, y))` returns the first of "
        "equals.",
    ),
    solution=best_threshold,
)
