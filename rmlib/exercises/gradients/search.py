"""A search for the batch on which a gradient is wrong.

The learner's search runs on gradients that are wrong on some batches and on others that are right.
Central differences of a value decide whether a batch that it returns shows a gradient wrong.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.exercise import NO_CODE, Exercise, NotAttempted, NotYet, is_stub
from rmlib.loss import gradients

from .reference_values import VALUES, gradient_by_differences

ENOUGH = 5  # different batches, before a search may give up
LARGEST = 2000  # entries of a batch


def disproves(reward, suspect, z, y) -> bool:
    """Whether suspect(z, y) is not the reward's gradient on this batch.

    The differences are good to about 1e-9.
    """
    gradient = gradient_by_differences(VALUES[reward], z, y)
    error = float((suspect(z, y) - gradient).norm())
    return not error <= 1e-5 * max(float(gradient.norm()), gradients.FLOOR)  # nan is wrong, too


def macro(z, y, classes, number):
    """The gradient of soft F1, summed over some classes and divided by a number."""
    p, e = z.softmax(-1), one_hot(y, z.shape[-1]).double()
    gradient = torch.zeros_like(p)
    for c in classes:
        total = (p + e)[:, c].sum()
        gradient[:, c] = (2 * e[:, c] - 2 * (p * e)[:, c].sum() / total) / total / number
    return gradients.through_softmax(p, gradient)


def over_all_classes(z, y):
    """Macro F1 as if every positive class occurred."""
    return macro(z, y, range(1, z.shape[1]), z.shape[1] - 1)


def without_the_first(z, y):
    """Macro F1 that takes the first label of the batch for the background, whichever it is."""
    present = y.unique()[1:].tolist()
    return macro(z, y, present, len(present))


def half(z, y):
    return gradients.closed_form("gce", z, y) / 2


def right(z, y):
    return gradients.closed_form("soft_f1_macro", z, y)


class Suspect(NamedTuple):
    """A gradient for the search.

    Attributes:
        reward: its name.
        gradient: (z, y) -> what is claimed to be the gradient.
        id: of the misconception of a search that finds no batch; "" where there is none to find.
        missed: the message for such a search.
    """

    reward: str
    gradient: Callable
    id: str = ""
    missed: str = ""


SUSPECTS = (
    Suspect(
        "gce",
        half,
        "misses-half-a-gradient",
        "half a gradient passes your search. Do you read the suspect's own row, the last one, and "
        "return the batch where `ok` is False? (The size of the difference says little: gradients "
        "are small.)",
    ),
    Suspect(
        "soft_f1_macro",
        over_all_classes,
        "misses-absent-classes",
        "a wrong gradient passes your search: it is wrong only on batches of another kind than our "
        "batch of 12, in which every class occurs. Does every class occur in each of yours, too?",
    ),
    Suspect(
        "soft_f1_macro",
        without_the_first,
        "misses-absent-background",
        "a gradient that is wrong only where no item has label 0 passes your search. Do you try "
        "enough batches, with labels that vary enough?",
    ),
    Suspect("soft_f1_macro", right),
)


def judge_search(search, disproves) -> None:
    """Run the search on every suspect."""
    if is_stub(search):
        raise NotAttempted(NO_CODE)
    if not callable(search):
        raise NotYet(
            "not-a-function",
            f"expected the function itself, found {type(search).__name__} {search!r:.60}",
        )
    for suspect in SUSPECTS:
        batches = set()

        def recorded(z, y, suspect=suspect, batches=batches):
            batches.add((tuple(z.flatten().tolist()), tuple(y.tolist())))
            return suspect.gradient(z, y)

        result = sandbox.call(search, suspect.reward, recorded, seconds=SEARCH.seconds)
        if result is None:
            _judge_nothing_found(suspect, len(batches))
        elif not disproves(suspect.reward, suspect.gradient, *batch_of(result)):
            raise NotYet(
                "accuses-a-right-gradient",
                f"{suspect.reward}: on the batch that you return the suspect is right; central "
                "differences agree with it. Return a batch where `ok` is False, and None where "
                "there is none",
            )


def _judge_nothing_found(suspect: Suspect, batches: int) -> None:
    """Raise NotYet if the search gave up too early, or should have found a batch."""
    if not batches:
        raise NotYet("never-tries", "it returns None without ever calling `suspect(z, y)`")
    if batches == 1:
        raise NotYet(
            "one-batch",
            "your search gives up after one batch. Does `return None` stand inside the loop? Or is "
            "the generator made anew each time, so that all batches are alike?",
        )
    if suspect.missed:
        raise NotYet(suspect.id, suspect.missed)
    if batches < ENOUGH:
        raise NotYet(
            "few-batches",
            f"your search gives up after {batches} batches; one more could be the bad one",
        )


def batch_of(result):
    """z and y of a batch that a search returned.

    Raises:
        NotYet: it is not a batch.
    """
    is_pair = isinstance(result, list | tuple) and len(result) == 2
    if not (is_pair and all(map(torch.is_tensor, result))):
        raise NotYet(
            "not-a-batch",
            f"it returns a {type(result).__name__}; expected the batch itself, two tensors "
            "`z, y`, or None",
        )
    z, y = result
    if z.ndim != 2 or y.shape != z.shape[:1] or y.dtype.is_floating_point or not z.numel():
        shapes = f"{tuple(z.shape)} and {tuple(y.shape)}"
        raise NotYet(
            "not-a-batch",
            f"the batch has the shapes {shapes}; expected z (items, classes) and then y (items,), "
            "labels",
        )
    if z.dtype != torch.float64:
        raise NotYet(
            "float32",
            f"your z is {z.dtype}: there a right gradient is off by 1e-7. Search in float64",
        )
    if z.numel() > LARGEST or not z.isfinite().all() or not 0 <= y.min() <= y.max() < z.shape[1]:
        raise NotYet(
            "not-a-batch",
            f"expected finite logits, {LARGEST} at most, and labels from 0 to classes − 1",
        )
    return z, y


def find_a_batch(reward, suspect):
    """A batch on which suspect(z, y) is not the reward's gradient, or None.

    The batch is z (items, classes) and y (items,).
    """
    random = torch.Generator().manual_seed(0)
    for _ in range(50):
        z = torch.randn(5, 4, generator=random, dtype=torch.float64)
        y = torch.randint(4, (5,), generator=random)
        if not gradients.compare(reward, z, y, suspect=suspect(z, y))[-1]["ok"]:
            return z, y
    return None


SEARCH = Exercise(
    id="gradients.wrong_gradient_search",
    title="find the planted wrong gradient",
    spec=disproves,
    more=judge_search,
    hints=(
        "Draw many small batches at random: with five items and four classes, some class is often "
        "missing. Small batches contain the strange cases.",
        "In a loop: `z = torch.randn(5, 4, generator=random)`, `y = torch.randint(4, (5,), "
        "generator=random)`. Return `z, y` as soon as "
        '`gradients.compare(...)[-1]["ok"]` is false. When the loop ends without that, return '
        "`None`.",
    ),
    solution=find_a_batch,
    seconds=30.0,
)
