"""The exercise that trains with a gradient that was written by hand."""

import torch
from torch import Tensor

from rmlib.exercises.framework.exercise import Exercise, Misconception
from rmlib.exercises.framework.forbidden_calls import without_autograd

from .formulas import total_gradient


def descend(gradient, theta, labels, alpha, rate, steps):
    """Gradient descent: theta (groups,), the logits of the groups, after some steps.

    gradient: (z, y, alpha) -> the gradient (items,); labels (items,): group after group, all of
    one size.
    """
    size = len(labels) // len(theta)
    for _ in range(steps):
        z = theta.repeat_interleave(size)
        by_item = gradient(z, labels, alpha)
        theta = theta - rate * by_item.view(-1, size).sum(1)
    return theta


def checked(gradient):
    """The gradient, with an error that names what a wrong number of logits comes from."""

    def with_one_logit_per_item(z, labels, alpha):
        if z.shape != labels.shape:
            raise ValueError(
                f"`gradient` got logits of shape {tuple(z.shape)} for {len(labels)} labels; it "
                "needs one logit per item. A group has len(labels) // len(theta) items (20 only in "
                "the lesson's data)"
            )
        return gradient(z, labels, alpha)

    return with_one_logit_per_item


def of_squares(z, labels, alpha):
    """Another gradient than that of the lesson's loss: of the sum of (z − y)²/2, scaled by α."""
    return (z - labels) * (1 if alpha == float("inf") else 0.2 + 0.3 * alpha)


def descend_inputs(seed: int) -> tuple:
    """Seeds 1, 4, … have another gradient than that of the lesson's loss."""
    random = torch.Generator().manual_seed(seed)
    groups, size = 2 + seed % 3, 3 + seed % 2
    theta = torch.randn(groups, generator=random, dtype=torch.float64)
    labels = torch.randint(2, (groups * size,), generator=random)
    labels[0] = 1
    gradient = checked(of_squares if seed % 3 == 1 else total_gradient)
    return gradient, theta, labels, (0, 1, float("inf"))[seed // 2 % 3], 0.1, 3 + seed % 4


def descend_spec(gradient, theta: Tensor, labels: Tensor, alpha, rate, steps) -> Tensor:
    """With lists: an item's logit is that of its group, and what its items ask for is added up."""
    size = len(labels) // len(theta)
    values = theta.tolist()
    for _ in range(steps):
        z = [values[i // size] for i in range(len(labels))]
        by_item = gradient(torch.tensor(z, dtype=theta.dtype), labels, alpha).tolist()
        for i, derivative in enumerate(by_item):
            values[i // size] -= rate * derivative
    return torch.tensor(values, dtype=theta.dtype)


def wrong_descent(direction=-1.0, reduce=torch.sum, most=None):
    """A mistake in the sign, in what is made of a group's derivatives, or in the steps."""

    def wrong(gradient, theta, labels, alpha, rate, steps):
        size = len(labels) // len(theta)
        for _ in range(steps if most is None else most):
            by_item = gradient(theta.repeat_interleave(size), labels, alpha)
            theta = theta + direction * rate * reduce(by_item.view(-1, size), 1)
        return theta

    return wrong


def tiled(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    for _ in range(steps):
        by_item = gradient(theta.repeat(size), labels, alpha)
        theta = theta - rate * by_item.view(size, -1).sum(0)
    return theta


def own_gradient(gradient, *others):
    return descend(total_gradient, *others)


def start_only(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    by_item = gradient(theta.repeat_interleave(size), labels, alpha)
    return theta - steps * rate * by_item.view(-1, size).sum(1)


def across_groups(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    for _ in range(steps):
        by_item = gradient(theta.repeat_interleave(size), labels, alpha)
        theta = theta - rate * by_item.view(size, -1).sum(0)
    return theta


def untied(gradient, theta, labels, alpha, rate, steps):
    """One logit per item, each trained alone."""
    z = theta.repeat_interleave(len(labels) // len(theta))
    for _ in range(steps):
        z = z - rate * gradient(z, labels, alpha)
    return z


def untied_mean(gradient, theta, labels, alpha, rate, steps):
    return untied(gradient, theta, labels, alpha, rate, steps).view(len(theta), -1).mean(1)


DESCENT = Exercise(
    id="gradients.descent",
    title="train with your gradient",
    spec=descend_spec,
    inputs=descend_inputs,
    misconceptions=(
        Misconception(
            "uphill", "it climbs: a step goes against the gradient", wrong_descent(direction=1.0)
        ),
        Misconception(
            "own-gradient",
            "it ignores the argument `gradient` and always uses that of your own loss; the check "
            "hands over another one as well",
            own_gradient,
        ),
        Misconception(
            "computed-before-the-loop",
            "every step uses the gradient of the start: compute `z` and the gradient inside the "
            "loop, from the new theta",
            start_only,
        ),
        Misconception(
            "view-across-groups",
            "`view(size, -1)` puts items of different groups into one column: the items of a group "
            "are next to each other, so it's `view(-1, size)`, and the sum over dimension 1",
            across_groups,
        ),
        Misconception(
            "untied",
            "you return one logit per item: the items of a group share one logit, so that theta "
            "stays (groups,), and it gets the sum of their derivatives",
            untied,
        ),
        Misconception(
            "untied-until-the-end",
            "you train one logit per item and take the mean at the end: the items of a group share "
            "one logit in every step",
            untied_mean,
        ),
        Misconception(
            "mean-for-sum",
            "a logit that several items share has the sum of their derivatives, not the mean: "
            "that is the chain rule",
            wrong_descent(reduce=torch.mean),
        ),
        Misconception(
            "one-step",
            "it takes one step only: does `return` stand inside the loop?",
            wrong_descent(most=1),
        ),
        Misconception(
            "no-step",
            "theta comes back as it was: is the new theta used in the next step?",
            wrong_descent(most=0),
        ),
        Misconception(
            "interleaved",
            "the labels come group after group: `repeat_interleave` gives z in this order, "
            "`repeat` doesn't",
            tiled,
        ),
    ),
    more=without_autograd(
        descend_inputs, message="no autograd here: `gradient` gives you the gradient"
    ),
    hints=(
        "A loop over the steps. In it: `z`, one logit per item, by "
        "`theta.repeat_interleave(size)`; then `gradient(z, labels, alpha)`; then a new theta.",
        "`by_item.view(-1, size).sum(1)` adds up the derivatives of each group. "
        "`theta = theta - rate * …`; with `theta -= …` you would change the caller's tensor.",
    ),
    solution=descend,
)
