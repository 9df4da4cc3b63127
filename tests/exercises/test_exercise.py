"""The three outcomes, on a small exercise whose answer everybody knows."""

import random
from dataclasses import replace

import pytest
import torch

from rmlib.exercises.framework.exercise import (
    Check,
    Exercise,
    Lesson,
    Misconception,
    NotYet,
    blank,
)
from rmlib.exercises.framework.forbidden_calls import without_autograd
from tests.exercises.common import accepted, depends_on_its_spec, not_attempted, rejected


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


def has_gradient(answer, spec):
    if not answer(torch.ones(3, requires_grad=True)).requires_grad:
        raise NotYet("no-gradient", "right value, no gradient: is there a detach?")


MEAN = Exercise(
    id="test.mean",
    title="a mean",
    spec=obvious_mean,
    inputs=numbers,
    misconceptions=(
        Misconception("sum", "this is the sum: divide by the number of items", torch.sum),
    ),
    more=has_gradient,
    hints=("Add up first.", "Then divide by `len(x)`, the number of items in x."),
    solution=solution,
)
WORD = Exercise(
    id="test.word",
    title="a word",
    spec=lambda: {"a": "up"},
    misconceptions=(Misconception("reversed", "a goes the other way", lambda: {"a": "down"}),),
    solution="{'a': 'up'}",
)


@pytest.fixture
def check():
    return Lesson(q1=MEAN, q2=WORD)


def test_right_answers_are_accepted(check):
    for answer in (solution, lambda x: x.sum() / x.numel(), obvious_mean):
        accepted(check.q1, answer)
    accepted(check.q2, {"a": "up"})
    assert check.q2.last.misconception is None and check.q2.last.message == ""


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (lambda x: x.sum(), "sum"),
        (lambda x: -x.mean(), "wrong-sign"),
        (lambda x: x.mean().detach(), "no-gradient"),
        (lambda x: None, "returns-none"),
        (lambda x: x.mean() if x[0] > 0 else x.mean() + 1, "wrong-value"),
        (lambda x: x.mul_(2).mean(), "changes-its-arguments"),
        (lambda x: x.mean() / 0 * [], "raises"),
        (3.0, "not-a-function"),
    ],
)
def test_wrong_functions_are_recognized(check, answer, misconception):
    rejected(check.q1, answer, misconception)
    assert check.q1.last.message


def test_wrong_values_are_recognized_and_the_right_one_is_not_given_away(check):
    rejected(check.q2, {"a": "down"}, "reversed")
    rejected(check.q2, {"a": "left"}, "wrong-value")
    assert "up" not in check.q2.last.message


def test_a_message_says_on_how_many_inputs_the_answer_is_right(check):
    right = sum(float(numbers(seed)[0][0]) > 0 for seed in range(12))
    outcome = check.q1(lambda x: x.mean() if x[0] > 0 else x.mean() + 1)
    assert f"{right} of 12" in outcome.message


def test_more_may_return_the_value_in_a_normal_form():
    exercise = replace(WORD, more=lambda answer, spec: {"a": answer["a"].lower()})
    accepted(Check(exercise), {"a": "UP"})
    rejected(Check(exercise), {"a": "DOWN"}, "reversed")


def stub(x):
    """A learner's copy."""
    # YOUR CODE HERE
    ...


def started(x):
    x = x.double()
    # YOUR CODE HERE
    ...


def placeholder_left(x):
    # YOUR CODE HERE
    ...
    return x.mean()


def test_a_placeholder_that_was_left_does_not_hide_the_answer(check):
    accepted(check.q1, placeholder_left)


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
    assert data["text/plain"].startswith("✗ not yet: ")
    assert "<strong>✗ not yet</strong>" in data["text/html"]
    shown = check.q2({"a": "<script>"})
    assert "<script>" not in shown._repr_mimebundle_()["text/html"]
    assert repr(check.q2({"a": "up"})) == "✓ correct"
    assert repr(check.q2(None)).startswith("○ not attempted: ")


def test_hints_and_solution(check):
    first, second, third = (check.q1.hint().markdown for _ in range(3))
    assert "Hint 1 of 2" in first and "Add up first." in first
    assert "Hint 2 of 2" in second and "check.q1.solution()" in second
    assert third == second
    assert check.q1.solution().markdown == "```python\ndef solution(x):\n    return x.mean()\n```"
    assert "up" in check.q2.solution().markdown


def test_what_is_right_depends_on_the_spec(check):
    depends_on_its_spec(check.q1, solution, lambda x: obvious_mean(x) + 1e-3)
    depends_on_its_spec(check.q2, {"a": "up"}, lambda: {"a": "right"})


@pytest.mark.parametrize(("answer", "outcome"), [(torch.sum, "not yet"), (stub, "not attempted")])
def test_under_nbgrader_it_raises_unless_the_answer_is_correct(check, monkeypatch, answer, outcome):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match=outcome):
        check.q1(answer)
    accepted(check.q1, solution)


def test_a_slow_answer_is_stopped():
    def slow(x):
        while True:
            pass

    rejected(Check(replace(MEAN, seconds=0.2)), slow, "too-slow")


def test_the_lesson_shows_which_exercises_are_done(check):
    check.q1(solution)
    assert repr(check) == "q1 a mean: ✓ correct\nq2 a word: not checked yet"
    with pytest.raises(AttributeError, match="no exercise 'q3'; expected one of q1, q2"):
        _ = check.q3


# --- No autograd ----------------------------------------------------------------------------------


def by_formula(x):
    return 2 * x


def by_grad(x):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad((leaf**2).sum(), leaf)[0]


def by_backward_on_a_new_tensor(x):
    leaf = torch.tensor(x.tolist(), dtype=x.dtype, requires_grad=True)
    (leaf**2).sum().backward()
    return leaf.grad


def by_functional_jacobian(x):
    return torch.autograd.functional.jacobian(lambda x: (x**2).sum(), x)


def by_enabled_grad(x):
    with torch.enable_grad():
        return by_grad(x)


GRADIENT = Exercise(
    id="test.gradient",
    title="a gradient",
    spec=lambda x: x + x,
    inputs=numbers,
    more=without_autograd(numbers),
)


def test_a_formula_needs_no_autograd():
    accepted(Check(GRADIENT), by_formula)


@pytest.mark.parametrize(
    "answer",
    [by_grad, by_backward_on_a_new_tensor, by_functional_jacobian, by_enabled_grad],
)
def test_autograd_is_refused_however_it_is_called(answer):
    rejected(Check(GRADIENT), answer, "uses-autograd")
