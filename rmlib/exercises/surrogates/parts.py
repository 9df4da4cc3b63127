"""The exercise on the gradient of soft F1 from parts of a batch: count, then differentiate."""

import copy

import torch

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.loss.gradients import central_differences


def loss_of_all(z, y):
    """1 − soft F1 of all items, item by item."""
    true = predicted = actual = 0.0
    for score, label in zip(z.tolist(), y.tolist(), strict=True):
        y_hat = 1 / (1 + 2.718281828459045**-score)
        predicted += y_hat
        if label == 1:
            true += y_hat
            actual += 1
    return 1 - 2 * true / (predicted + actual)


def gradient_slowly(parts):
    """Central differences of the loss of all items, cut into the parts again."""
    z = torch.cat([z for z, _ in parts])
    y = torch.cat([y for _, y in parts])
    whole = central_differences(lambda z: loss_of_all(z, y), z, 1e-4)
    return tuple(whole.split([len(y) for _, y in parts]))


def some_parts(seed):
    """A list of (z, y), 2 to 4 items each; seed 2: one part; from seed 4 on one has no positive."""
    random = torch.Generator().manual_seed(seed)
    parts = []
    for i in range(1 if seed == 2 else 2 + seed % 3):
        size = 2 + (i + seed) % 3
        z = 1.5 * torch.randn(size, generator=random, dtype=torch.float64)
        y = torch.randint(2, (size,), generator=random)
        y[0] = 0 if seed >= 4 and i == 1 else 1
        parts.append((z, y if y[0] else torch.zeros_like(y)))
    return (parts,)


def closed_form(z, y, f, whole):
    """The gradient of 1 − F with respect to z, with the counts F and Σŷ + Σy of some items."""
    y_hat = z.sigmoid()
    return (f - 2 * y) / whole * y_hat * (1 - y_hat)


def counts(parts):
    """Soft F1 and Σŷ + Σy of the parts together."""
    true = sum((z.sigmoid() * y).sum() for z, y in parts)
    whole = sum((z.sigmoid() + y).sum() for z, y in parts)
    return 2 * true / whole, whole


def _each(weight):
    """The gradients of each part's own loss, times weight(part, parts)."""

    def wrong(parts):
        return tuple(closed_form(*part, *counts([part])) * weight(part, parts) for part in parts)

    return wrong


def _with_counts(formula):
    """formula(z, y, F, whole), with the counts of all parts."""

    def wrong(parts):
        f, whole = counts(parts)
        return tuple(formula(z, y, f, whole) for z, y in parts)

    return wrong


def _constant_denominator(z, y, f, whole):
    y_hat = z.sigmoid()
    return -2 * y / whole * y_hat * (1 - y_hat)


def _with_respect_to_y_hat(z, y, f, whole):
    return (f - 2 * y) / whole


def _own_whole(parts):
    f, _ = counts(parts)
    return tuple(closed_form(z, y, f, counts([(z, y)])[1]) for z, y in parts)


def _part_by_part(answer, spec):
    """No graph may hold the items of all parts."""
    (parts,) = some_parts(4)
    items = sum(len(y) for _, y in parts)
    largest = 0

    def pack(tensor):
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    def watched(parts):
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            return answer.learners(parts)

    result = sandbox.call(watched, copy.deepcopy(parts))
    if largest >= items:
        raise NotYet(
            "all-at-once",
            "the values are right, but a graph holds all parts at once, and that is what the "
            "memory has no room for. Differentiate one part at a time",
        )
    if not same(result, spec(parts)):
        raise NotYet("changes", "called again with the same parts it gives something else")


def _mean_f1(parts):
    _, whole = counts(parts)
    f = sum(counts([part])[0] for part in parts) / len(parts)
    return tuple(closed_form(z, y, f, whole) for z, y in parts)


def gradient_in_parts(parts):
    """The gradient of 1 − soft F1 of ALL items, from parts [(z, y), …]: one tensor per part."""
    with torch.no_grad():  # first pass: counts
        TP = sum((z.sigmoid() * y).sum() for z, y in parts)
        whole = sum((z.sigmoid() + y).sum() for z, y in parts)
        F1 = 2 * TP / whole
    gradients = []
    for z, y in parts:  # second pass: one part at a time
        y_hat = z.sigmoid()
        gradients.append((F1 - 2 * y) / whole * y_hat * (1 - y_hat))
    return gradients


PARTS = Exercise(
    id="surrogates.gradient_in_parts",
    title="soft F1 in parts",
    spec=gradient_slowly,
    inputs=some_parts,
    misconceptions=(
        Misconception(
            "mean-of-parts",
            "this is the mean of the parts' own gradients. Each part has a soft F1 of its own "
            "here; the batch has one, from the counts of all parts",
            _each(lambda part, parts: 1 / len(parts)),
        ),
        Misconception(
            "sum-of-parts",
            "these are the gradients of each part's own loss. The batch has one soft F1, from the "
            "counts of all parts",
            _each(lambda part, parts: 1.0),
        ),
        Misconception(
            "weighted-by-items",
            "the parts' own gradients, weighted by their items: still the gradients of several "
            "ratios, not of one",
            _each(lambda part, parts: len(part[1]) / sum(len(y) for _, y in parts)),
        ),
        Misconception(
            "own-f1",
            "F is that of the part here. (Weighting the parts' gradients by Σŷ + Σy gives the "
            "same: the values add up to the F1 of all items, but the weights depend on ŷ, too.)",
            _each(lambda part, parts: counts([part])[1] / counts(parts)[1]),
        ),
        Misconception(
            "of-the-reward",
            "right size, wrong sign: this is the gradient of soft F1, not of 1 − soft F1",
            _with_counts(lambda *args: -closed_form(*args)),
        ),
        Misconception(
            "with-respect-to-y-hat",
            "this is the gradient with respect to ŷ; the exercise wants it with respect to z",
            _with_counts(_with_respect_to_y_hat),
        ),
        Misconception(
            "constant-denominator",
            "the denominator is treated as a constant, but it holds Σŷ: items with y = 0 must have "
            "a gradient, too",
            _with_counts(_constant_denominator),
        ),
        Misconception(
            "own-denominator",
            "F is that of all parts, but the denominator is that of the part: use Σŷ + Σy of all",
            _own_whole,
        ),
        Misconception(
            "mean-f1",
            "F is the mean of the parts' F here. F1 is one ratio: count TP and Σŷ + Σy over all "
            "parts, then divide once",
            _mean_f1,
        ),
        Misconception(
            "one-tensor",
            "the values are right, but they are in one tensor: return a list with one tensor per "
            "part",
            lambda parts: torch.cat(_with_counts(closed_form)(parts)),
        ),
    ),
    more=_part_by_part,
    hints=(
        "Two loops over the parts. The first only counts: TP and Σŷ + Σy of all parts are two "
        "numbers, without a graph. The second one computes gradients with these numbers.",
        r"From lesson 02: $\partial(1-\tilde F)/\partial\hat y_i = (\tilde F - 2y_i)/(\sum\hat y + "
        r"\sum y)$, and $\partial\hat y/\partial z = \hat y(1-\hat y)$. $\tilde F$ and the "
        "denominator are those of all parts.",
    ),
    solution=gradient_in_parts,
)
