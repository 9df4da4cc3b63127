"""The self-test: an explanation for each choice, from Python and from the widgets themselves."""

import pytest

from rmlib.errors import RmlibValueError
from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber
from rmlib.widgets import SelfTest

WORD = Question(
    "test.word",
    "What does $\\alpha = 0$ give?",
    (
        Choice("plain", "plain training", True, "L is L_p."),
        Choice("alone", "the reward <alone>", False, "That is α without end."),
    ),
)
NUMBER = Number(
    "test.number",
    "p (1 - p) at p = .5?",
    right=0.25,
    within=0.001,
    because="A quarter.",
    wrong=(WrongNumber("p", 0.5, "That is p."),),
    otherwise="Multiply.",
)


@pytest.fixture
def test():
    return SelfTest((WORD, NUMBER))


def test_every_choice_is_explained(test):
    assert test.outcomes == [None, None]
    assert test.answer(1, "the reward <alone>") == "✗ not right. That is α without end."
    assert test.answer(1, "plain training") == "✓ right. L is L_p."
    assert test.answer(2, 0.5) == "✗ not right. That is p."
    assert test.answer(2, "0,25") == "✓ right. A quarter."
    assert test.answer(2, 7) == "✗ not right. Multiply." and test.outcomes == [True, False]
    assert "is no number" in test.answer(2, "many") and test.outcomes == [True, None]


def test_the_widgets_answer_by_themselves(test):
    text, radio, explanation, _, field, button, explanation_2, score = test.widget.children
    radio.value = "the reward <alone>"
    assert "not right" in explanation.value and "$" in text.value
    field.value = "0.25"  # Enter
    assert "A quarter." in explanation_2.value and "1 of 2 right" in score.value
    field.value = ""
    button.click()
    assert "is no number" in explanation_2.value and "0 of 2 right" in score.value


def test_texts_are_escaped():
    choices = (Choice("x", "x", True, "<i>"), Choice("y", "y", False, "n"))
    test = SelfTest([Question("test.escaped", "<b>?", choices)])
    test.answer(1, "x")
    text, _, explanation, _ = test.widget.children
    assert "<b>?" not in text.value and "<i>" not in explanation.value


def test_wrong_questions_and_answers_are_refused(test):
    with pytest.raises(RmlibValueError, match="question 3; expected 1 to 2"):
        test.answer(3, "x")
    with pytest.raises(RmlibValueError, match="question 1 has no choice 'x'"):
        test.answer(1, "x")
    with pytest.raises(RmlibValueError, match="0 questions"):
        SelfTest([])
    with pytest.raises(RmlibValueError, match="2 of them right"):
        Question("q", "q", (Choice("a", "a", True, "."), Choice("b", "b", True, ".")))
    with pytest.raises(RmlibValueError, match="no explanation"):
        Question("q", "q", (Choice("a", "a", True, "."), Choice("b", "b", False, " ")))
