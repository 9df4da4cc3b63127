"""The exercises on the two-part loss: three printed formulas, their repairs, and the total."""

from collections.abc import Callable

from rmlib.errors import nearest
from rmlib.exercises.framework.exercise import Check, Lesson, Outcome

from .experiment import AGAINST_THRESHOLD
from .parts import BCE_FROM_LOGITS, SOFT_F1_REWARD
from .printed import PRINTED_CROSS_ENTROPY, PRINTED_F1, PRINTED_REWARD_LOSS
from .total import TOTAL_LOSS
from .training import BEST_THRESHOLD, F1_OF_DECISIONS, TRAIN

__all__ = ["BCE_FROM_LOGITS", "SOFT_F1_REWARD", "TOTAL_LOSS", "Own", "check", "own"]


class RememberingCheck(Check):
    """A check that remembers the last function that passed, as `passed`.

    Attributes:
        instead_of_numbers: the message for a wrong value, where the right one would give away the
            answer to the prediction that follows.
    """

    passed: Callable | None = None
    instead_of_numbers: str = ""

    def __call__(self, answer, keep: bool = False) -> Outcome:
        outcome = super().__call__(answer, keep)
        if self.instead_of_numbers and outcome.misconception == "wrong-value":
            outcome = self.last = Outcome("not yet", self.instead_of_numbers, "wrong-value")
        if outcome.outcome == "correct":
            self.passed = answer
        return outcome


class Own:
    """The lesson's functions by name: the learner's if it passed its check, else the kit's.

    As `mine` does it for the pieces of the loss, but for functions that only this lesson needs:
    nothing is stored.

    Args:
        lesson: its checks are `RememberingCheck`s, and each solution is a function.
    """

    def __init__(self, lesson: Lesson):
        self._checks = {c.exercise.solution.__name__: c for c in lesson.checks.values()}
        self._said: set[str] = set()

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._checks:
            raise AttributeError(f"there is no function {name!r}; {nearest(name, self._checks)}")
        check = self._checks[name]
        if check.passed is not None:
            return check.passed
        if name not in self._said:
            self._said.add(name)
            print(f"own.{name}: the kit's stands in; yours has not passed check.{check.name} yet")
        return check.exercise.solution

    def __dir__(self):
        return list(self._checks)


check = Lesson(
    q1=PRINTED_CROSS_ENTROPY,
    q2=TRAIN,
    q3=BCE_FROM_LOGITS,
    q4=F1_OF_DECISIONS,
    q5=PRINTED_F1,
    q6=SOFT_F1_REWARD,
    q7=PRINTED_REWARD_LOSS,
    q8=TOTAL_LOSS,
    q9=BEST_THRESHOLD,
    q10=AGAINST_THRESHOLD,
)
for _name, _check in check.checks.items():
    check.checks[_name] = RememberingCheck(_check.exercise, _name)
check.q7.instead_of_numbers = (
    "not the printed formula: R_p is the mean of R, and the outer mean is that of the differences"
)
own = Own(check)
