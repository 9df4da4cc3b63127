"""From a learner's answer to words: correct, not yet, or not attempted, and why.

An exercise is judged against its `spec`, a slow and obvious way to the same result, on random inputs. What students
often get wrong stands beside it as `mistakes`: each a function that makes just this mistake. An answer that agrees with
one of them on every input is told which.
"""

import ast
import copy
import html
import inspect
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import EllipsisType

from . import sandbox
from .compare import explain, same

DRAWS = 12  # random inputs of a check
LOOKS = {"correct": ("✓", "#00694d"), "not yet": ("✗", "#9c3d00"), "not attempted": ("○", "#444444")}


class NotYet(Exception):
    """The answer is not right; the message says what is wrong and where to look."""


class NotAttempted(Exception):
    """There is no answer yet."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        title: short.
        spec: for a function that is asked for, the same done slowly and plainly; else a function without arguments
            that gives the right value. The check uses nothing else to know what is right.
        inputs: (seed) -> the arguments of one call, for seeds 0, 1, 2, …; None where no function is asked for.
        mistakes: message -> a function as `spec` that makes this mistake (for a value: one without arguments).
        more: more(answer, spec), for what the comparison does not see; raises `NotYet`. With `inputs`, `answer` is the
            learner's function, guarded, and all comparisons have been passed; without, it is the value.
        hints: two, the second tells more.
        solution: a function whose source is shown, or the source itself.
        tolerance: relative and absolute, of the comparisons.
        seconds: that one call may take.
    """

    title: str
    spec: Callable
    inputs: Callable | None = None
    mistakes: Mapping[str, Callable] = field(default_factory=dict)
    more: Callable | None = None
    hints: tuple[str, str] = ("", "")
    solution: Callable | str = ""
    tolerance: float = 1e-6
    seconds: float = sandbox.SECONDS


@dataclass(frozen=True)
class Outcome:
    """What a check found: `outcome` is one of `LOOKS`, `message` says why. The last line of a cell shows it."""

    outcome: str
    message: str

    def __repr__(self) -> str:
        sign, _ = LOOKS[self.outcome]
        return f"{sign} {self.outcome}{': ' if self.message else ''}{self.message}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        sign, colour = LOOKS[self.outcome]
        words = f"<strong>{sign} {self.outcome}</strong>{': ' if self.message else ''}{html.escape(self.message)}"
        look = f"border-left:6px solid {colour};padding:4px 10px;white-space:pre-wrap"
        return {"text/html": f'<div role="status" style="{look}">{words}</div>', "text/plain": repr(self)}


class Told:
    """A hint or a solution, shown as Markdown."""

    def __init__(self, markdown: str):
        self.markdown = markdown

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


class Check:
    """`check(answer)` judges an answer, `hint()` and `solution()` help."""

    def __init__(self, exercise: Exercise, name: str = ""):
        self.exercise, self.name, self._hints = exercise, name, 0
        self.last: Outcome | None = None

    def __call__(self, answer) -> Outcome:
        """Judge the answer. Never raises what the learner's code raises.

        Raises:
            AssertionError: under nbgrader, and the answer is not correct. (nbgrader counts a cell that raises as 0.)
        """
        self.last = judge(self.exercise, answer)
        if os.environ.get("NBGRADER_EXECUTION") and self.last.outcome != "correct":
            raise AssertionError(repr(self.last))
        return self.last

    def hint(self) -> Told:
        """The first hint; called again, the second."""
        self._hints = min(self._hints + 1, 2)
        last = f" (The last one. `check.{self.name}.solution()` shows one way.)" if self._hints == 2 else ""
        return Told(f"**Hint {self._hints} of 2.** {self.exercise.hints[self._hints - 1]}{last}")

    def solution(self) -> Told:
        """One way to do it. Another may be as good."""
        return Told(f"```python\n{source_of(self.exercise.solution).strip()}\n```")


class Lesson:
    """The checks of a lesson, `check.q1`, `check.q2` and so on; shown at the end of a cell, how far you are."""

    def __init__(self, **exercises: Exercise):
        self.checks = {name: Check(exercise, name) for name, exercise in exercises.items()}

    def __getattr__(self, name: str) -> Check:
        if name.startswith("_") or name == "checks":
            raise AttributeError(name)
        if name not in self.checks:
            raise AttributeError(f"there is no exercise {name!r}; expected one of {', '.join(self.checks)}")
        return self.checks[name]

    def __dir__(self):
        return [*self.checks, "checks"]

    def __repr__(self) -> str:
        lines = [f"{name} {one.exercise.title}: {one.last or 'not checked yet'}" for name, one in self.checks.items()]
        return "\n".join(lines)


def judge(exercise: Exercise, answer) -> Outcome:
    """The outcome for an answer."""
    try:
        if exercise.inputs is None:
            _judge_value(exercise, answer)
        else:
            _judge_function(exercise, answer)
    except NotAttempted as nothing:
        return Outcome("not attempted", str(nothing))
    except (NotYet, sandbox.LearnersError) as reason:
        return Outcome("not yet", str(reason))
    return Outcome("correct", "")


def _judge_value(exercise: Exercise, answer) -> None:
    if blank(answer):
        raise NotAttempted("write your answer in the cell above, then run both cells")
    if exercise.more:
        exercise.more(answer, exercise.spec)
    if exercise.mistakes or not exercise.more:
        expected = exercise.spec()
        if not same(answer, expected, exercise.tolerance):
            for message, wrong in exercise.mistakes.items():
                if same(answer, wrong(), exercise.tolerance):
                    raise NotYet(message)
            raise NotYet(explain(answer, None, exercise.tolerance))  # and not what is right


def _judge_function(exercise: Exercise, answer) -> None:
    if blank(answer) or is_stub(answer):
        raise NotAttempted("write your code in the cell above, then run both cells")
    if not callable(answer):
        raise NotYet(f"expected the function itself, found {type(answer).__name__} {answer!r:.60}")
    draws = [exercise.inputs(seed) for seed in range(DRAWS)]
    found, expected = [], []
    for args in draws:
        found.append(_one(answer, args, exercise))
        expected.append(exercise.spec(*copy.deepcopy(args)))
    wrong = [i for i in range(DRAWS) if not same(found[i], expected[i], exercise.tolerance)]
    if wrong:
        for message, mistake in exercise.mistakes.items():
            theirs = (mistake(*copy.deepcopy(args)) for args in draws)
            if all(same(f, t, exercise.tolerance) for f, t in zip(found, theirs, strict=True)):
                raise NotYet(message)
        first = wrong[0]
        some = f"right on {DRAWS - len(wrong)} of {DRAWS} random inputs, wrong on the others; " if wrong[1:] else ""
        some = some if len(wrong) < DRAWS else ""
        raise NotYet(some + explain(found[first], expected[first], exercise.tolerance))
    if exercise.more:
        exercise.more(lambda *args: sandbox.call(answer, *args, seconds=exercise.seconds), exercise.spec)


def _one(answer, args: tuple, exercise: Exercise):
    """The answer's result on a copy of the arguments."""
    given = copy.deepcopy(args)
    try:
        found = sandbox.call(answer, *given, seconds=exercise.seconds)
    except sandbox.LearnersError as error:
        if "NotImplementedError" in str(error):
            raise NotAttempted("write your code in the cell above, then run both cells") from None
        raise
    if not same(given, args, 0.0):
        raise NotYet("your function changes what it is given: work on a copy, or compute something new")
    return found


def blank(value) -> bool:
    """Whether nothing has been filled in: None, ..., "", "?", or a container with nothing but these."""
    if isinstance(value, dict):
        return all(map(blank, value.values()))
    if isinstance(value, list | tuple | set):
        return all(map(blank, value))
    return value is None or isinstance(value, EllipsisType) or (isinstance(value, str) and value.strip() in ("", "?"))


def is_stub(function) -> bool:
    """Whether a function still has the line `...` that stands for the learner's code, and returns nothing."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        body = tree.body[0].body
    except (OSError, TypeError, SyntaxError, IndentationError, AttributeError, IndexError):
        return False
    waits = any(isinstance(line, ast.Expr) and getattr(line.value, "value", None) is ... for line in body)
    return waits and not any(isinstance(node, ast.Return) for node in ast.walk(tree))


def source_of(solution: Callable | str) -> str:
    """The source of a solution."""
    return solution if isinstance(solution, str) else inspect.getsource(solution)
