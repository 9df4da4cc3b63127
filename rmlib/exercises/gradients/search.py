"""Exercise 5 of lesson 02: a search for the batch on which a gradient is wrong.

The learner's search is let loose on gradients that are wrong on some batches and on others that are right. Whether a
batch that it brings back shows a gradient wrong is decided by central differences of a value (`differences`).
"""

import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.exercise import Exercise, NotAttempted, NotYet, is_stub
from rmlib.exercises.framework.numerical_gradients import VALUES, slopes_of
from rmlib.loss import gradients

ENOUGH = 5  # different batches, before a search may give up
LARGEST = 2000  # entries of a batch


def disproves(reward, suspect, z, y) -> bool:
    """Whether suspect(z, y) is not the reward's gradient on this batch. Differences are good to about 1e-9."""
    slopes = slopes_of(VALUES[reward], z, y)
    off = float((suspect(z, y) - slopes).norm())
    return not off <= 1e-5 * max(float(slopes.norm()), gradients.FLOOR)  # nan is wrong, too


def macro(z, y, classes, number):
    """The gradient of soft F1, summed over some classes and divided by a number."""
    p, e = z.softmax(-1), one_hot(y, z.shape[-1]).double()
    slope = torch.zeros_like(p)
    for c in classes:
        total = (p + e)[:, c].sum()
        slope[:, c] = (2 * e[:, c] - 2 * (p * e)[:, c].sum() / total) / total / number
    return gradients.through_softmax(p, slope)


def over_all(z, y):
    """Macro F1 as if every positive class were there."""
    return macro(z, y, range(1, z.shape[1]), z.shape[1] - 1)


def without_the_first(z, y):
    """Macro F1 that takes the first label of the batch for the background, whichever it is."""
    present = y.unique()[1:].tolist()
    return macro(z, y, present, len(present))


def half(z, y):
    return gradients.closed_form("gce", z, y) / 2


# reward, gradient, and what is said where no batch is found that shows it wrong; None: there is none
SUSPECTS = (
    (
        "gce",
        half,
        "half a gradient passes your search. Do you read the suspect's own row, the last one, and return the batch "
        "where `ok` is False? (The size of the difference tells little: slopes are small.)",
    ),
    (
        "soft_f1_macro",
        over_all,
        "a wrong gradient passes your search: it is wrong only on batches of another kind than our batch of 12, which "
        "has every class in it. Does each of yours, too?",
    ),
    (
        "soft_f1_macro",
        without_the_first,
        "a gradient that is wrong only where no item has label 0 passes your search. Do you try enough batches, with "
        "labels that vary enough?",
    ),
    ("soft_f1_macro", lambda z, y: gradients.closed_form("soft_f1_macro", z, y), None),
)


def judge_search(search, disproves) -> None:
    """Let the search loose on every suspect."""
    if is_stub(search):
        raise NotAttempted("write your code in the cell above, then run both cells")
    if not callable(search):
        raise NotYet(f"expected the function itself, found {type(search).__name__} {search!r:.60}")
    for reward, suspect, missed in SUSPECTS:
        tried = set()

        def watched(z, y, suspect=suspect, tried=tried):
            tried.add((tuple(z.flatten().tolist()), tuple(y.tolist())))
            return suspect(z, y)

        found = sandbox.call(search, reward, watched, seconds=SEARCH.seconds)
        if found is None and not tried:
            raise NotYet("it returns None without ever calling `suspect(z, y)`")
        if found is None and len(tried) == 1:
            raise NotYet(
                "your search gives up after one batch. Does `return None` stand inside the loop? Or is the generator "
                "made anew each time, so that all batches are alike?"
            )
        if found is None and (missed or len(tried) < ENOUGH):
            raise NotYet(missed or f"your search gives up after {len(tried)} batches; one more could be the bad one")
        if found is not None and not disproves(reward, suspect, *batch_of(found)):
            raise NotYet(
                f"{reward}: on the batch that you return the suspect is right; central differences agree with it. "
                "Return a batch where `ok` is False, and None where there is none"
            )


def batch_of(found):
    """z and y of a batch that was brought back, or what is wrong with it."""
    if not (isinstance(found, list | tuple) and len(found) == 2 and all(map(torch.is_tensor, found))):
        raise NotYet(f"it returns a {type(found).__name__}; expected the batch itself, two tensors `z, y`, or None")
    z, y = found
    if z.ndim != 2 or y.shape != z.shape[:1] or y.dtype.is_floating_point or not z.numel():
        shapes = f"{tuple(z.shape)} and {tuple(y.shape)}"
        raise NotYet(f"the batch has the shapes {shapes}; expected z (items, classes) and then y (items,), labels")
    if z.dtype != torch.float64:
        raise NotYet(f"your z is {z.dtype}: there a right gradient is off by 1e-7. Look in float64")
    if z.numel() > LARGEST or not z.isfinite().all() or not 0 <= y.min() <= y.max() < z.shape[1]:
        raise NotYet(f"expected finite logits, {LARGEST} at most, and labels from 0 to classes − 1")
    return z, y


def find_a_batch(reward, suspect):
    """A batch z (items, classes), y (items,) on which suspect(z, y) is not the reward's gradient, or None."""
    random = torch.Generator().manual_seed(0)
    for _ in range(50):
        z, y = torch.randn(5, 4, generator=random, dtype=torch.float64), torch.randint(4, (5,), generator=random)
        if not gradients.compare(reward, z, y, suspect=suspect(z, y))[-1]["ok"]:
            return z, y
    return None


SEARCH = Exercise(
    "find the planted wrong gradient",
    spec=disproves,
    more=judge_search,
    hints=(
        "Draw many small batches at random: with five items and four classes, some class is often missing. Small "
        "batches have the strange cases.",
        "In a loop: `z = torch.randn(5, 4, generator=random)`, `y = torch.randint(4, (5,), generator=random)`. Return "
        '`z, y` as soon as `derivatives.compare(...)[-1]["ok"]` is false. When the loop ends without that, return '
        "`None`.",
    ),
    solution=find_a_batch,
    seconds=30.0,
)
