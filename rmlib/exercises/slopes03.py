"""Autograd's slopes of a learner's function, for the checks of lesson 03 that look beyond its value."""

import torch

from .checking import NotYet


def slopes(answer, args: tuple, over: str, places: tuple[int, ...] = (0,)) -> list[torch.Tensor]:
    """d answer(*args) / d args[place] for each of `places`; 0 where the result does not depend on it.

    Args:
        answer: gives one number, of which the value is known to be right.
        over: what args[places[0]] is, in words: the result must have a slope over it.

    Raises:
        NotYet: there is no slope over it, or PyTorch cannot compute it.
    """
    args = [arg.clone().requires_grad_() if i in places else arg for i, arg in enumerate(args)]
    lost = f"right value, but it has no slope over {over}: is there a detach, .item(), float(…) or no_grad on the way?"
    value = answer(*args)
    if not getattr(value, "requires_grad", False):
        raise NotYet(lost)
    try:
        found = torch.autograd.grad(value, [args[place] for place in places], allow_unused=True)
    except RuntimeError:
        raise NotYet(
            "right value, but PyTorch cannot go backwards: a tensor is changed after it was used, by fill_diagonal_ or "
            "t[…] = …, say. Multiply, or use torch.where"
        ) from None
    if found[0] is None:
        raise NotYet(lost)
    return [torch.zeros_like(args[place]) if one is None else one for place, one in zip(places, found, strict=True)]
