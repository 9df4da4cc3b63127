"""What the tests of all topics' checks share."""

from dataclasses import replace

from rmlib.exercises.framework.exercise import Check, judge


def accepted(check: Check, answer) -> None:
    """The answer is correct."""
    outcome = check(answer)
    assert outcome.outcome == "correct", outcome


def rejected(check: Check, answer, misconception: str) -> None:
    """The answer is wrong, and the check names this misconception."""
    outcome = check(answer)
    assert outcome.outcome == "not yet", outcome
    assert outcome.misconception == misconception, outcome


def not_attempted(check: Check, answer) -> None:
    """There is no answer."""
    assert check(answer).outcome == "not attempted"


def depends_on_its_spec(check: Check, answer, broken) -> None:
    """A correct answer is correct because of the spec: with a broken one it is rejected."""
    assert judge(check.exercise, answer).outcome == "correct"
    assert judge(replace(check.exercise, spec=broken), answer).outcome == "not yet"
