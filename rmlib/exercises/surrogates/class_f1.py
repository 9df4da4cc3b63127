"""The exercise on soft F1 over classes: from one probability per item to one per class."""

import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.forbidden_calls import LOSS, MINE, refuse
from rmlib.exercises.framework.numerical_gradients import gradients_of


def class_f1_slowly(p, y):
    """Soft F1, item by item and class by class; class 0 is the background."""
    true = predicted = actual = 0.0
    for i in range(len(y)):
        for c in range(1, p.shape[1]):
            predicted = predicted + p[i, c]
            if y[i] == c:
                true = true + p[i, c]
                actual += 1
    return 2 * true / (predicted + actual)


def some_probabilities(seed):
    """p (items, classes), y (items,); every class has an item. Seed 3: two classes."""
    random = torch.Generator().manual_seed(seed)
    classes = 2 if seed == 3 else 3 + seed % 3
    y = torch.cat([torch.arange(classes), torch.randint(classes, (4,), generator=random)])
    y = y[torch.randperm(len(y), generator=random)]
    z = 1.5 * torch.randn(len(y), classes, generator=random, dtype=torch.float64)
    return z.softmax(-1), y


def micro(p, y, first=1):
    """Soft F1 of the classes from `first` on."""
    labels = one_hot(y, p.shape[1])[:, first:]
    return 2 * (p[:, first:] * labels).sum() / (p[:, first:].sum() + labels.sum())


def macro(p, y):
    labels = one_hot(y, p.shape[1]).to(p)
    each = 2 * (p * labels).sum(0) / (p.sum(0) + labels.sum(0))
    return each[1:].mean()


def decided(p):
    """Decisions in place of probabilities: 1 for the likeliest class."""
    return one_hot(p.argmax(-1), p.shape[1]).to(p)


def _items_of_a_class(p, y):
    kept = y > 0
    return micro(p[kept], y[kept])


def without_the_highest_class(answer, spec, args: tuple) -> None:
    """Compare the values on a batch in which no item has the highest class.

    Raises:
        NotYet: they differ, or there is none.
    """
    try:
        right = same(answer(*args), spec(*args))
    except sandbox.LearnersError:
        right = False
    if not right:
        raise NotYet(
            "class-count",
            "right, but not on a batch where no item has the highest class: `one_hot(y)` makes "
            "columns up to the highest label that occurs. Give it the number of classes, "
            "`one_hot(y, …)`",
        )


def same_gradient(answer, spec) -> None:
    """Compare the gradients with respect to logits: there 1 − p_0 is the sum of the others.

    Raises:
        NotYet: there is no gradient, or another one; the kit's functions are called; or a batch
            without the highest class is too much.
    """
    p, y = some_probabilities(5)
    refuse(answer, (p, y), packages=(*LOSS, MINE))
    without_the_highest_class(answer, spec, (p, y.masked_fill(y == p.shape[1] - 1, 0)))
    one, other = (
        gradients_of(lambda z, measure=measure: measure(z.softmax(-1), y), (p.log(),), "p")[0]
        for measure in (answer, spec)
    )
    if not same(one, other, 1e-6):
        raise NotYet(
            "wrong-gradient",
            "the value is right, its gradient is not: is a part of the formula detached?",
        )


def class_f1(p, y):
    """Soft F1 of all classes but 0. p (items, classes): probabilities; y (items,): labels."""
    labels = one_hot(y, p.shape[1])[:, 1:]
    p = p[:, 1:]
    return 2 * (p * labels).sum() / (p.sum() + labels.sum())


CLASS_F1 = Exercise(
    id="surrogates.class_f1",
    title="soft F1 over classes",
    spec=class_f1_slowly,
    inputs=some_probabilities,
    misconceptions=(
        Misconception(
            "with-background",
            "class 0 counts as a positive class. Then every item counts once on each side, and F1 "
            "is nothing but the mean probability of the right class",
            lambda p, y: micro(p, y, first=0),
        ),
        Misconception(
            "macro",
            "this is the mean of one F1 per class (macro). Add up the counts of all classes but "
            "0, then divide once (micro)",
            macro,
        ),
        Misconception(
            "decisions",
            "this counts decisions (argmax): it is F1 itself, whose gradient is 0. Count "
            "probabilities",
            lambda p, y: micro(decided(p), y),
        ),
        Misconception(
            "positive-items-only",
            "items with label 0 are left out. What the model wrongly finds there belongs into "
            "the sum of the predictions",
            _items_of_a_class,
        ),
        Misconception(
            "one-class",
            "only class 1 is counted; every class but 0 is positive",
            lambda p, y: micro(torch.stack([1 - p[:, 1], p[:, 1]], 1), (y == 1).long()),
        ),
        Misconception(
            "any-class",
            "this asks only whether an item is positive at all. A wrong positive class counts as "
            "right here: y must be compared class by class",
            lambda p, y: micro(torch.stack([p[:, 0], 1 - p[:, 0]], 1), (y > 0).long()),
        ),
        Misconception(
            "factor-2",
            "the 2 in the numerator is missing",
            lambda p, y: micro(p, y) / 2,
        ),
        Misconception(
            "one-minus",
            "this is the loss, 1 − R. The exercise wants the reward",
            lambda p, y: 1 - micro(p, y),
        ),
    ),
    more=same_gradient,
    hints=(
        "Write the labels as a table of 0 and 1 in the shape of p: `one_hot(y, p.shape[1])`. Then "
        "the formula of the binary case holds for the table.",
        "Drop column 0 of both tables with `[:, 1:]`. The numerator is twice the sum of `p * "
        "labels`, the denominator the sum of both tables.",
    ),
    solution=class_f1,
)
