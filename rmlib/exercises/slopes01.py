"""Does an answer have the right slopes? Compared with central differences of the spec."""

from itertools import product

import torch
from torch import Tensor

from .checking import NotYet
from .comparing import same
from .differences import by_differences

STEP = 1e-4  # of the central differences


def slopes_agree(answer, spec, x: Tensor, y: Tensor, why: str = "is a part of it detached?") -> None:
    """Compare the slopes of answer(x, y) over x with central differences of the spec; `why` is said where they differ.

    Raises:
        NotYet: there is no gradient, it is not a number, or it is wrong.
    """
    leaf = x.clone().requires_grad_()
    found = answer(leaf, y)
    if not torch.is_tensor(found) or not found.requires_grad:
        raise NotYet("the value is right, but it has no gradient: is there a `detach`, an `item` or a new tensor?")
    try:
        slopes = torch.autograd.grad(found, leaf)[0]
    except RuntimeError as error:
        raise NotYet(f"the value is right, but backward ends in RuntimeError: {error}") from None
    rights = by_differences(lambda moved: spec(moved, y), x, STEP)
    for place in product(*map(range, x.shape)):
        right = float(rights[place])
        slope, where = float(slopes[place]), f"the value is right, but at {float(x[place]):.4g}, label {int(y[place])}"
        if slope != slope:
            raise NotYet(f"{where}, the slope is nan: the gradient goes through both branches of a `where`")
        if not same(slope, right, 1e-5):
            raise NotYet(f"{where}, the slope is {slope:.4g}; expected {right:.4g}: {why}")
