"""What holds for every exercise, every misconception and every question of the kit."""

import ast
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

import rmlib.exercises
from rmlib.exercises.bert_ner import exercises as bert_ner
from rmlib.exercises.bert_ner import quiz as bert_ner_quiz
from rmlib.exercises.framework.exercise import blank, judge
from rmlib.exercises.framework.quiz import Number
from rmlib.exercises.gradients import exercises as gradients
from rmlib.exercises.gradients import quiz as gradients_quiz
from rmlib.exercises.live_lab import exercises as live_lab
from rmlib.exercises.live_lab import quiz as live_lab_quiz
from rmlib.exercises.sampling import exercises as sampling
from rmlib.exercises.sampling import quiz as sampling_quiz
from rmlib.exercises.sentiment import exercises as sentiment
from rmlib.exercises.sentiment import quiz as sentiment_quiz
from rmlib.exercises.study import exercises as study
from rmlib.exercises.study import quiz as study_quiz
from rmlib.exercises.surrogates import exercises as surrogates
from rmlib.exercises.surrogates import quiz as surrogates_quiz
from rmlib.exercises.two_part_loss import exercises as two_part_loss
from rmlib.exercises.two_part_loss import quiz as two_part_loss_quiz
from rmlib.text.downloads import AssetError
from rmlib.widgets.self_test import SelfTest
from tests.exercises.common import accepted, not_attempted

TOPICS = (two_part_loss, gradients, surrogates, sampling, bert_ner, live_lab, sentiment, study)
QUIZZES = (
    two_part_loss_quiz,
    gradients_quiz,
    surrogates_quiz,
    sampling_quiz,
    bert_ner_quiz,
    live_lab_quiz,
    sentiment_quiz,
    study_quiz,
)
CHECKS = [check for topic in TOPICS for check in topic.check.checks.values()]
FUNCTIONS = [check for check in CHECKS if callable(check.exercise.solution)]
VALUES = [check for check in CHECKS if not callable(check.exercise.solution)]
QUESTIONS = [question for quiz in QUIZZES for question in quiz.QUESTIONS]
MISCONCEPTIONS = [
    pytest.param(check.exercise, misconception, id=f"{check.exercise.id}:{misconception.id}")
    for check in CHECKS
    for misconception in check.exercise.misconceptions
]
ID = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
# Words that a student cannot look up, with the field's word in the design notes' glossary.
FORBIDDEN = re.compile(
    r"\b(slopes?|differentiated|move) over\b|(above|below) the (fraction )?line|right in the mean"
    r"|\bpieces?\b|\bfill(ed|s)? (up|place)|\b(turn|turned|turning) (\w+ ){0,3}(a)?round\b"
    r"|\basked (for )?(is|are)\b|\b(is|are) told\b|\bticks?\b|\bin force\b|\b(un)?sure(r)?\b"
    r"|\binvented\b|\bupside down\b|\bdear(er)?\b|\blever\b|\bgoes on\b|\bslopes?\b",
    re.IGNORECASE,
)


def by_id(check):
    return check.exercise.id


def stub(*args, **kwargs):
    # YOUR CODE HERE
    ...


def not_implemented(*args, **kwargs):
    raise NotImplementedError


def empty(value):
    """The value with every answer replaced by a question mark."""
    return dict.fromkeys(value, "?") if isinstance(value, dict) else "?"


def forbidden(text):
    """The first forbidden word of a text, code left out."""
    return FORBIDDEN.search(re.sub(r"`[^`]*`", "", text))


def texts_of(exercise):
    yield exercise.title
    yield from exercise.hints
    yield from (misconception.message for misconception in exercise.misconceptions)


def test_ids_of_exercises_and_questions_are_unique():
    ids = [check.exercise.id for check in CHECKS] + [question.id for question in QUESTIONS]
    assert max(Counter(ids).values()) == 1
    assert all(ID.fullmatch(id) for id in ids)
    assert not any(re.search("lesson", id) for id in ids)


@pytest.mark.parametrize("check", CHECKS, ids=by_id)
def test_every_exercise_has_texts_and_ids(check):
    exercise = check.exercise
    ids = [misconception.id for misconception in exercise.misconceptions]
    assert len(set(ids)) == len(ids)
    messages = [misconception.message for misconception in exercise.misconceptions]
    assert len(set(messages)) == len(messages)
    for text in texts_of(exercise):
        assert text.strip()
        assert not forbidden(text), text


@pytest.mark.parametrize(("exercise", "misconception"), MISCONCEPTIONS)
def test_a_misconception_is_recognized(exercise, misconception):
    answer = misconception.wrong if exercise.inputs else misconception.wrong()
    outcome = judge(exercise, answer)
    assert outcome.outcome == "not yet"
    assert outcome.misconception == misconception.id, outcome
    assert misconception.message in outcome.message


@pytest.mark.parametrize("check", FUNCTIONS, ids=by_id)
def test_the_solution_is_correct_and_a_stub_is_not_attempted(check):
    accepted(check, check.exercise.solution)
    for answer in (None, ..., stub):
        not_attempted(check, answer)
    if check.exercise.inputs:
        not_attempted(check, not_implemented)


@pytest.mark.parametrize("check", VALUES, ids=by_id)
def test_the_right_value_is_correct_and_an_empty_one_is_not_attempted(check):
    try:
        right = check.exercise.spec()
    except AssetError as error:
        pytest.skip(f"the data cannot be had: {error}")
    accepted(check, right)
    assert blank(empty(right))
    for answer in (None, ..., "?", empty(right)):
        not_attempted(check, answer)


@pytest.mark.parametrize("check", CHECKS, ids=by_id)
def test_hints_and_solution_help(check):
    first, second = check.hint().markdown, check.hint().markdown
    assert "Hint 1 of 2" in first and "Hint 2 of 2" in second
    assert len(second) > len("**Hint 2 of 2.**") + 20
    solution = check.solution().markdown
    assert solution.startswith("```python\n")
    ast.parse(solution.removeprefix("```python\n").removesuffix("```"))


def test_every_message_that_is_raised_has_an_id_and_the_fields_words():
    for path in Path(inspect.getfile(rmlib.exercises)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "NotYet":
                id, *_ = node.args
                assert not isinstance(id, ast.Constant) or re.fullmatch(r"[a-z0-9-]+", id.value)
                assert len(node.args) == 2 or isinstance(id, ast.Starred)  # a pair, made elsewhere
                for part in (part for argument in node.args for part in ast.walk(argument)):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        assert not forbidden(part.value), (path.name, part.value)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_every_answer_to_a_question_is_explained(question):
    test = SelfTest([question])
    if isinstance(question, Number):
        answers = [(question.right, question.because)]
        answers += [(wrong.value, wrong.because) for wrong in question.wrong]
        answers.append((123.0, question.otherwise))
        ids = [wrong.id for wrong in question.wrong]
    else:
        answers = [(choice.text, choice.because) for choice in question.choices]
        ids = [choice.id for choice in question.choices]
    assert len(set(ids)) == len(ids) >= 3
    assert len({because for _, because in answers}) == len(answers)
    for answer, because in answers:
        assert because in test.answer(1, answer)
        right = answer == question.right if isinstance(question, Number) else None
        if right is None:
            right = next(choice.right for choice in question.choices if choice.text == answer)
        assert test.outcomes == [right]
        assert not forbidden(because), because
    assert not forbidden(question.text), question.text
