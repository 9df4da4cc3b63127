"""From a learner's answer to an outcome: correct, not yet, or not attempted, and why.

An exercise is judged against its `spec`, a slow and obvious way to the same result, on random
inputs. What students often get wrong is listed beside it as `misconceptions`: each has an id and a
function that makes exactly this mistake. An answer that agrees with one of them on every input gets
its message.
"""

import ast
import copy
import functools
import html
import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType

from . import sandbox
from .compare import explain, same

DRAWS = 12  # random inputs per check
LOOKS = {
    "correct": ("✓", "#00694d"),
    "not yet": ("✗", "#9c3d00"),
    "not attempted": ("○", "#444444"),
}
NO_CODE = "write your code in the cell above, then run both cells"
NO_VALUE = "write your answer in the cell above, then run both cells"


class NotYet(Exception):
    """The answer is not right.

    Args:
        id: of the misconception; stable, unlike the message.
        message: what is wrong and where to look.
    """

    def __init__(self, id: str, message: str):
        super().__init__(message)
        self.id = id


class NotAttempted(Exception):
    """There is no answer yet."""


@dataclass(frozen=True)
class Misconception:
    """A known way to get an exercise wrong.

    Attributes:
        id: stable, in kebab case, unique within the exercise.
        message: what is wrong and where to look.
        wrong: a function like the exercise's `spec` that makes exactly this mistake.
    """

    id: str
    message: str
    wrong: Callable


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        id: stable and unique in the kit, "topic.name"; it doesn't depend on the lesson's number.
        title: short.
        spec: for an exercise that asks for a function, the same function written slowly and
            plainly; otherwise a function without arguments that returns the right value. The check
            uses nothing else to know what is right.
        inputs: (seed) -> the arguments of one call, for seeds 0, 1, 2, …; None where the exercise
            asks for a value.
        misconceptions: known wrong answers, the first that fits is reported.
        more: more(answer, spec), for what the comparison does not see; raises `NotYet`. With
            `inputs`, `answer` is the learner's function in the sandbox (the function itself is its
            `learners`), and all comparisons have been passed. Without, it is the value, which
            `more` may return in a normal form to be compared with the spec's.
        hints: two, the second says more.
        solution: a function whose source is shown, or the source itself.
        tolerance: relative and absolute, of the comparisons.
        seconds: time limit of one call.
        wrong_value: the message for a wrong value that no misconception explains, where the numbers
            would give away the answer to a prediction; empty to show them.
        piece: the name under which an answer that passes is kept in the learner's `mine.py`;
            empty if it isn't kept. The kit's piece is `solution`.
    """

    id: str
    title: str
    spec: Callable
    inputs: Callable | None = None
    misconceptions: tuple[Misconception, ...] = ()
    more: Callable | None = None
    hints: tuple[str, str] = ("", "")
    solution: Callable | str = ""
    tolerance: float = 1e-6
    seconds: float = sandbox.SECONDS
    wrong_value: str = ""
    piece: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of a check, shown by the last line of a cell.

    Attributes:
        outcome: one of `LOOKS`.
        message: why; for a correct answer empty, or where it is kept.
        misconception: the id of what is wrong; None where the outcome isn't "not yet".
    """

    outcome: str
    message: str
    misconception: str | None = None

    def __repr__(self) -> str:
        sign, _ = LOOKS[self.outcome]
        return f"{sign} {self.outcome}{': ' if self.message else ''}{self.message}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        sign, colour = LOOKS[self.outcome]
        separator = ": " if self.message else ""
        text = f"<strong>{sign} {self.outcome}</strong>{separator}{html.escape(self.message)}"
        look = f"border-left:6px solid {colour};padding:4px 10px;white-space:pre-wrap"
        return {
            "text/html": f'<div role="status" style="{look}">{text}</div>',
            "text/plain": repr(self),
        }


class Rendered:
    """A hint or a solution, shown as Markdown."""

    def __init__(self, markdown: str):
        self.markdown = markdown

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


class Check:
    """`check(answer)` judges an answer, `hint()` and `solution()` help.

    Attributes:
        last: the last outcome; None before the first.
        passed: the last answer that was correct; None before the first.
    """

    def __init__(self, exercise: Exercise, name: str = ""):
        self.exercise = exercise
        self.name = name
        self.last: Outcome | None = None
        self.passed = None
        self._hints_shown = 0

    def __call__(self, answer, keep: bool = False) -> Outcome:
        """Judge the answer. Never raises what the learner's code raises.

        Args:
            answer: the learner's function or value.
            keep: replace a piece in `mine.py` even if it was edited there by hand.

        Raises:
            AssertionError: under nbgrader, and the answer is not correct. (nbgrader counts a cell
                that raises as 0.)
        """
        self.last = judge(self.exercise, answer)
        if self.last.outcome == "correct":
            self.passed = answer
            if self.exercise.piece:
                from . import pieces  # which judges pieces, too

                self.last = Outcome("correct", pieces.keep(self.exercise, answer, replace=keep))
        if os.environ.get("NBGRADER_EXECUTION") and self.last.outcome != "correct":
            raise AssertionError(repr(self.last))
        return self.last

    def hint(self) -> Rendered:
        """The first hint; called again, the second."""
        self._hints_shown = min(self._hints_shown + 1, 2)
        hint = f"**Hint {self._hints_shown} of 2.** {self.exercise.hints[self._hints_shown - 1]}"
        if self._hints_shown == 2:
            hint += f" (The last one. `check.{self.name}.solution()` shows one way.)"
        return Rendered(hint)

    def solution(self) -> Rendered:
        """One way to do it. Another may be as good."""
        return Rendered(f"```python\n{source_of(self.exercise.solution).strip()}\n```")


class Lesson:
    """The checks of a lesson: `check.q1`, `check.q2` and so on.

    Shown at the end of a cell, it says which exercises are done.
    """

    def __init__(self, **exercises: Exercise):
        self.checks = {name: Check(exercise, name) for name, exercise in exercises.items()}

    def __getattr__(self, name: str) -> Check:
        if name.startswith("_") or name == "checks":
            raise AttributeError(name)
        if name not in self.checks:
            raise AttributeError(
                f"there is no exercise {name!r}; expected one of {', '.join(self.checks)}"
            )
        return self.checks[name]

    def __dir__(self):
        return [*self.checks, "checks"]

    def __repr__(self) -> str:
        lines = [
            f"{name} {check.exercise.title}: {check.last or 'not checked yet'}"
            for name, check in self.checks.items()
        ]
        return "\n".join(lines)


def judge(exercise: Exercise, answer) -> Outcome:
    """The outcome for an answer."""
    try:
        if exercise.inputs is None:
            _judge_value(exercise, answer)
        else:
            _judge_function(exercise, answer)
    except NotAttempted as reason:
        return Outcome("not attempted", str(reason))
    except (NotYet, sandbox.LearnersError) as reason:
        return Outcome("not yet", str(reason), reason.id)
    return Outcome("correct", "")


def _judge_value(exercise: Exercise, answer) -> None:
    if blank(answer):
        raise NotAttempted(NO_VALUE)
    if exercise.more:
        normal_form = exercise.more(answer, exercise.spec)
        if not exercise.misconceptions:
            return
        answer = answer if normal_form is None else normal_form
    if not same(answer, exercise.spec(), exercise.tolerance):
        for misconception in exercise.misconceptions:
            if same(answer, misconception.wrong(), exercise.tolerance):
                raise NotYet(misconception.id, misconception.message)
        raise NotYet("wrong-value", "not the right answer yet: look again")  # not what is right


def _judge_function(exercise: Exercise, answer) -> None:
    if blank(answer) or is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet(
            "not-a-function",
            f"expected the function itself, found {type(answer).__name__} {answer!r:.60}",
        )
    draws = [exercise.inputs(seed) for seed in range(DRAWS)]
    results, expected = [], []
    for args in draws:
        results.append(_call(answer, args, exercise))
        expected.append(exercise.spec(*copy.deepcopy(args)))
    _judge_results(exercise, draws, results, expected)
    if exercise.more:

        @functools.wraps(answer)
        def in_sandbox(*args):
            return sandbox.call(answer, *args, seconds=exercise.seconds)

        in_sandbox.learners = answer

        exercise.more(in_sandbox, exercise.spec)


def _judge_results(exercise: Exercise, draws: list, results: list, expected: list) -> None:
    """Name what is wrong with the results, if anything is."""
    tolerance = exercise.tolerance
    wrong = [i for i in range(DRAWS) if not same(results[i], expected[i], tolerance)]
    if not wrong:
        return
    for misconception in exercise.misconceptions:
        if _makes(misconception, draws, results, tolerance):
            raise NotYet(misconception.id, misconception.message)
    difference = explain(results[wrong[0]], expected[wrong[0]], tolerance)
    if exercise.wrong_value and difference.id == "wrong-value":
        raise NotYet(difference.id, exercise.wrong_value)
    right = DRAWS - len(wrong)
    only_some = ""
    if right and len(wrong) > 1:
        only_some = f"right on {right} of {DRAWS} random inputs, wrong on the others; "
    raise NotYet(difference.id, only_some + difference.message)


def _makes(misconception: Misconception, draws: list, results: list, tolerance: float) -> bool:
    """Whether the results are those of the misconception on every input."""
    return all(
        same(result, misconception.wrong(*copy.deepcopy(args)), tolerance)
        for args, result in zip(draws, results, strict=True)
    )


def _call(answer, args: tuple, exercise: Exercise):
    """The answer's result on a copy of the arguments."""
    given = copy.deepcopy(args)
    try:
        result = sandbox.call(answer, *given, seconds=exercise.seconds)
    except sandbox.LearnersError as error:
        if "NotImplementedError" in str(error):
            raise NotAttempted(NO_CODE) from None
        raise
    if not same(given, args, 0.0):
        raise NotYet(
            "changes-its-arguments",
            "your function changes its arguments: work on a copy, or compute something new",
        )
    return result


def blank(value) -> bool:
    """Whether nothing has been filled in.

    Blank are None, ..., "", "?", and a container that holds nothing else.
    """
    if isinstance(value, dict):
        return all(map(blank, value.values()))
    if isinstance(value, list | tuple | set):
        return all(map(blank, value))
    if isinstance(value, str):
        return value.strip() in ("", "?")
    return value is None or isinstance(value, EllipsisType)


def is_stub(function) -> bool:
    """Whether a function still has the stub's line `...` and no `return`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        body = tree.body[0].body
    except (OSError, TypeError, SyntaxError, IndentationError, AttributeError, IndexError):
        return False
    has_placeholder = any(
        isinstance(line, ast.Expr) and getattr(line.value, "value", None) is ... for line in body
    )
    return has_placeholder and not any(isinstance(node, ast.Return) for node in ast.walk(tree))


def source_of(solution: Callable | str) -> str:
    """The source of a solution."""
    return solution if isinstance(solution, str) else inspect.getsource(solution)
