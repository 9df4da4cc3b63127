"""Predictions: an answer first, then what happened, and how many came true."""

import json

import pytest

from rmlib.errors import RmlibValueError
from rmlib.widgets import came_true, happened, predict
from rmlib.widgets.prediction import Prediction, forget_predictions, number


@pytest.fixture(autouse=True)
def nothing_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forget_predictions()
    yield
    forget_predictions()


@pytest.fixture
def workbook(tmp_path):
    (tmp_path / ".rmlib").mkdir()
    (tmp_path / ".rmlib" / "manifest.json").write_text("{}")
    return tmp_path


def ask(id="e1"):
    return predict(id, "Which way?", "up", "down", "not at all")


def test_said_and_happened():
    question = ask()
    question.answer("up")
    assert question.said == "up" and "noted: up" in question._status.value
    result = happened("e1", "down")
    assert (result.said, result.happened, result.true) == ("up", "down", False)
    assert repr(result) == "✗ it came out differently; you said: up; what happened: down"
    ask("e2").answer("up")
    assert happened("e2", "up").true
    assert came_true() == "1 of your 2 predictions came true"


def test_without_an_answer_a_lesson_runs_on():
    ask()
    result = happened("e1", "down")
    assert result.true is None and repr(result) == "○ no prediction; what happened: down"
    assert came_true() == "0 of your 1 predictions came true; 1 without an answer"


def test_an_answer_stands_once_the_result_was_shown():
    question = ask()
    question.answer("up")
    question.answer("down")  # until then it may be changed
    happened("e1", "up")
    assert question._field.disabled
    question.answer("up")
    question._field.value = "up"  # not even so
    assert question.said == question._field.value == "down"
    assert happened("e1", "up").true is False
    assert ask()._field.disabled  # the cell is run again


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.25", 0.25), (" 1,5 ", 1.5), ("−3", -3), ("25 %", 0.25), ("x", None), ("inf", None)],
)
def test_numbers(text, value):
    assert number(text) == value


def test_a_number_is_right_within_a_distance():
    question = predict("ap", "What is the AP?")
    question._field.value = "about one half"
    assert question.said is None and "no number" in question._status.value
    question._field.value = "0,5"
    assert question.said == 0.5
    assert happened("ap", 0.532, within=0.05).true
    assert not happened("ap", 0.532, within=0.01).true


def test_answers_are_kept_in_the_workbook(workbook):
    ask().answer("up")
    stored = json.loads((workbook / ".rmlib" / "predictions.json").read_text())
    assert stored["e1"] == {"said": "up", "true": None}
    again = Prediction("e1", "Which way?", "up", "down", "not at all")  # after a restart
    assert again.said == "up" and again._field.value == "up" and not again._field.disabled


def test_a_damaged_file_counts_as_empty(workbook):
    (workbook / ".rmlib" / "predictions.json").write_text("{not json")
    assert ask().said is None
    (workbook / ".rmlib" / "predictions.json").write_text("[1]")
    assert ask().said is None


def test_a_question_that_was_changed_forgets_an_answer_it_no_longer_offers():
    ask().answer("up")
    assert predict("e1", "Which way?", "left", "right")._field.value is None


@pytest.mark.parametrize("choices", [("one",), ("a", "a"), tuple("abcde")])
def test_faulty_choices(choices):
    with pytest.raises(RmlibValueError, match="expected 2 to 4 different"):
        predict("x", "?", *choices)


def test_faulty_calls():
    question = ask()
    with pytest.raises(RmlibValueError, match="did you mean 'up'"):
        question.answer("ups")
    with pytest.raises(RmlibValueError, match="'e11' wasn't asked: run its question's cell"):
        happened("e11", "up")
    with pytest.raises(RmlibValueError, match="no choice"):
        happened("e1", "sideways")


def test_texts_are_escaped():
    question = predict("x", "Is <b>1</b> < 2?", "<i>yes</i>", "no")
    assert "&lt;b&gt;" in question.widget.children[0].value
    question.answer("<i>yes</i>")
    assert "<i>" not in question._status.value
    assert "<i>" not in happened("x", "<i>yes</i>")._repr_mimebundle_()["text/html"]
