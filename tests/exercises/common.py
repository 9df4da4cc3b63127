"""What the tests of all lessons' checks share."""

from dataclasses import replace

import pytest

from rmlib.exercises.framework.exercise import Check, judge


def accepted(check: Check, answer) -> None:
    """The answer is correct."""
    found = check(answer)
    assert found.outcome == "correct", found


def rejected(check: Check, answer, fragment: str) -> None:
    """The answer is wrong, and is told so with these words in the message."""
    found = check(answer)
    assert found.outcome == "not yet", found
    assert fragment in found.message, f"{found.message!r} does not say {fragment!r}"


def not_attempted(check: Check, answer) -> None:
    """There is no answer."""
    assert check(answer).outcome == "not attempted"


def hangs_on_its_spec(check: Check, answer, broken) -> None:
    """An answer that is correct is so because of the spec: with a broken one it is not accepted any more."""
    assert judge(check.exercise, answer).outcome == "correct"
    assert judge(replace(check.exercise, spec=broken), answer).outcome == "not yet"


def helps(check: Check) -> None:
    """Two hints that differ, and a solution that the check accepts."""
    first, second = check.hint().markdown, check.hint().markdown
    assert "Hint 1 of 2" in first and "Hint 2 of 2" in second and len(second) > 40
    assert check.solution().markdown.startswith("```python\n")
    solution = check.exercise.solution
    if callable(solution) and check.exercise.inputs:
        accepted(check, solution)


def raises_under_nbgrader(check: Check, wrong, right, monkeypatch) -> None:
    """The same logic raises where nbgrader runs it, and only where the answer is not correct."""
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="not yet"):
        check(wrong)
    accepted(check, right)
