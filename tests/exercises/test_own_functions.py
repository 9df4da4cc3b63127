"""`own`: the learner's function if it passed, else the kit's."""

import importlib
import re
from pathlib import Path

import nbformat
import pytest

from rmlib.exercises.framework.exercise import Exercise, Lesson
from rmlib.exercises.framework.own_functions import Own

LESSONS = {"01": "two_part_loss", "04": "sampling", "05": "bert_ner"}
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def double(x):
    return 2 * x


def twice(x):
    return x + x


def square(x):
    return x * x


DOUBLE = Exercise("made_up.double", "twice", double, lambda seed: (seed + 1,), solution=double)
IN_WORDS = Exercise("made_up.in_words", "a number", lambda: 3, solution="number = 3")


def test_the_last_function_that_passed_is_used_and_else_the_kits(capsys):
    check = Lesson(q1=DOUBLE, q2=IN_WORDS)
    own = Own(check)
    assert own.double is double
    assert own.double is double
    said = "own.double: the kit's stands in; yours has not passed check.q1 yet\n"
    assert capsys.readouterr().out == said  # once
    check.q1(square)
    assert own.double is double
    check.q1(twice)
    check.q1(square)  # a later mistake doesn't undo it
    check.q1(None)
    assert own.double is twice
    assert capsys.readouterr().out == ""


def test_an_unknown_name_is_answered_with_the_nearest():
    own = Own(Lesson(q1=DOUBLE, q2=IN_WORDS))
    with pytest.raises(AttributeError, match="did you mean 'double'"):
        _ = own.dobule
    assert dir(own) == ["double"]


@pytest.mark.parametrize("number, topic", LESSONS.items())
def test_a_lesson_uses_names_that_there_are(number, topic):
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    used = {n for c in cells for n in re.findall(r"\bown\.(\w+)", c.source) if c.source}
    own = importlib.import_module(f"rmlib.exercises.{topic}.exercises").own
    assert used and used <= set(dir(own))
