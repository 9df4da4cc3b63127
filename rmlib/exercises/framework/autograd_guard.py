"""Refuses autograd to a function that should compute a formula."""

import torch

from . import sandbox
from .compare import same
from .exercise import NotYet

NO_AUTOGRAD = "no autograd here: work out the formula on paper, and compute it"


def without_autograd(inputs):
    """An exercise's `more`: call the answer once where PyTorch records no graph.

    Only `torch.func` differentiates there.

    Args:
        inputs: the exercise's `inputs`, tensors.
    """

    def more(answer, spec):
        def in_inference_mode(*args):
            with torch.inference_mode():
                return answer.__wrapped__(*(arg.clone() for arg in args))

        args = inputs(4)
        try:
            result = sandbox.call(in_inference_mode, *args)
        except sandbox.LearnersError as error:
            if "grad" in str(error):
                raise NotYet("uses-autograd", NO_AUTOGRAD) from None
            raise
        if not same(result, spec(*args)):
            raise NotYet("uses-autograd", NO_AUTOGRAD)

    return more
