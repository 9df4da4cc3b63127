"""Refuses the kit's own objective and rewards to a function that the learner should write."""

import contextvars
import copy
import functools
import inspect
from unittest.mock import patch

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.exercise import NotYet
from rmlib.loss import rewards
from rmlib.loss.objective import RewardObjective

_refused = contextvars.ContextVar("the kit's functions are refused", default=False)


class UsesTheKit(Exception):
    """The learner's function has called the kit's."""


def without_the_kit(answer, args: tuple) -> None:
    """Call the learner's function once where the kit's objective and rewards can't be called.

    Args:
        answer: the learner's function, perhaps in the sandbox.
        args: of the call.

    Raises:
        NotYet: it calls them, or a piece of `mine`.
    """
    function = inspect.unwrap(answer)
    refused = NotYet(
        "uses-the-kit",
        "the value is right, but it is the kit's. Here you build it yourself, from sums and "
        "products of tensors",
    )
    if "mine" in getattr(getattr(function, "__code__", None), "co_names", ()):
        raise refused

    def guarded(*args):
        _refused.set(True)  # in the sandbox's own thread and context
        return function(*args)

    with (
        patch.object(RewardObjective, "forward", _refusing(RewardObjective.forward)),
        patch.object(RewardObjective, "terms", _refusing(RewardObjective.terms)),
        patch.object(rewards, "softmax", _refusing(rewards.softmax)),  # every soft count uses it
    ):
        try:
            sandbox.call(guarded, *copy.deepcopy(args))
        except sandbox.LearnersError as error:
            if UsesTheKit.__name__ in str(error):
                raise refused from None
            raise


def _refusing(original):
    @functools.wraps(original)
    def function(*args, **kwargs):
        if _refused.get():
            raise UsesTheKit
        return original(*args, **kwargs)

    return function
