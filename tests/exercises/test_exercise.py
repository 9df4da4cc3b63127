"""The three outcomes, on a small exercise whose answer everybody knows."""

import random
from dataclasses import replace

import pytest
import torch

from rmlib.exercises.framework.exercise import Check, Exercise, Lesson, NotYet, blank
from tests.exercises.common import accepted, hangs_on_its_spec, helps, not_attempted, raises_under_nbgrader, rejected


def numbers(seed):
    draw = random.Random(seed)
    return (torch.tensor([draw.uniform(-2, 2) for _ in range(5)], dtype=torch.float64),)


def obvious_mean(x):
    total = 0.0
    for value in x:
        total = total + value
    return total / len(x)


def solution(x):
    return x.mean()


def has_slope(answer, spec):
    if not answer(torch.ones(3, requires_grad=True)).requires_grad:
        raise NotYet("right value, no slope: is there a detach?")


MEAN = Exercise(
    "a mean",
    spec=obvious_mean,
    inputs=numbers,
    mistakes={"this is the sum: divide by the number of items": lambda x: x.sum()},
    more=has_slope,
    hints=("Add up first.", "Then divide by `len(x)`, the number of items in x."),
    solution=solution,
)
WORD = Exercise(
    "a word", spec=lambda: {"a": "up"}, mistakes={"a goes the other way": lambda: {"a": "down"}}, solution="{'a': 'up'}"
)


@pytest.fixture
def check():
    return Lesson(q1=MEAN, q2=WORD)


def test_right_answers_are_accepted(check):
    for answer in (solution, lambda x: x.sum() / x.numel(), obvious_mean):
        accepted(check.q1, answer)
    accepted(check.q2, {"a": "up"})


def test_wrong_answers_are_told_what_is_wrong(check):
    rejected(check.q1, lambda x: x.sum(), "this is the sum")
    rejected(check.q1, lambda x: -x.mean(), "wrong")
    rejected(check.q1, lambda x: x.mean().detach(), "no slope")
    rejected(check.q1, lambda x: None, "`return` missing")
    rejected(check.q1, lambda x: x.mean() if x[0] > 0 else x.mean() + 1, "random inputs, wrong on the others")
    rejected(check.q1, lambda x: x.mul_(2).mean(), "changes what it is given")
    rejected(check.q1, lambda x: x.mean() / 0 * [], "your code ends in TypeError")
    rejected(check.q1, 3.0, "expected the function itself, found float 3.0")
    rejected(check.q2, {"a": "down"}, "the other way")
    rejected(check.q2, {"a": "left"}, "not the right answer yet")
    assert "up" not in check.q2.last.message  # what is right is not given away


def stub(x):
    """A learner's copy."""
    # YOUR CODE HERE
    ...


def started(x):
    x = x.double()
    # YOUR CODE HERE
    ...


def left_standing(x):
    # YOUR CODE HERE
    ...
    return x.mean()


def test_a_stub_line_that_was_left_does_not_hide_the_answer(check):
    accepted(check.q1, left_standing)


def not_written(x):
    raise NotImplementedError()


@pytest.mark.parametrize("answer", [None, ..., stub, started, not_written])
def test_a_stub_is_not_attempted(check, answer):
    not_attempted(check.q1, answer)


@pytest.mark.parametrize("answer", [None, "?", "", {"a": "?", "b": None}, [], ("?", ...)])
def test_a_blank_value_is_not_attempted(check, answer):
    assert blank(answer)
    not_attempted(check.q2, answer)
    assert not blank({"a": "?", "b": 0}) and not blank(0)


def test_what_is_shown_has_word_and_sign_and_is_escaped(check):
    data = check.q1(lambda x: 1 / 0 if "<b>" else 0)._repr_mimebundle_()
    assert data["text/plain"].startswith("✗ not yet: ") and "<strong>✗ not yet</strong>" in data["text/html"]
    shown = check.q2({"a": "<script>"})
    assert "<script>" not in shown._repr_mimebundle_()["text/html"]
    assert repr(check.q2({"a": "up"})) == "✓ correct" and repr(check.q2(None)).startswith("○ not attempted: ")


def test_hints_and_solution(check):
    helps(check.q1)
    assert "check.q1.solution()" in check.q1.hint().markdown
    assert check.q1.solution().markdown == "```python\ndef solution(x):\n    return x.mean()\n```"
    assert "up" in check.q2.solution().markdown


def test_a_broken_spec_is_seen(check):
    hangs_on_its_spec(check.q1, solution, lambda x: obvious_mean(x) + 1e-3)
    hangs_on_its_spec(check.q2, {"a": "up"}, lambda: {"a": "right"})


def test_under_nbgrader_it_raises(check, monkeypatch):
    raises_under_nbgrader(check.q1, lambda x: x.sum(), solution, monkeypatch)
    with pytest.raises(AssertionError, match="not attempted"):
        check.q1(stub)


def test_a_slow_answer_is_stopped():
    def slow(x):
        while True:
            pass

    rejected(Check(replace(MEAN, seconds=0.2)), slow, "stopped after 0.2 seconds")


def test_the_lesson_tells_how_far_you_are(check):
    check.q1(solution)
    assert repr(check) == "q1 a mean: ✓ correct\nq2 a word: not checked yet"
    with pytest.raises(AttributeError, match="no exercise 'q3'; expected one of q1, q2"):
        _ = check.q3
