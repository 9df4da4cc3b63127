"""What counts as the same, and how a difference is explained."""

import math

import numpy as np
import pytest
import torch

from rmlib.exercises.framework.compare import explain, same, show_both

ONE = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True),
        (torch.tensor(0.5), 0.5, True),
        (ONE, ONE + 1e-9, True),
        (ONE, ONE + 1e-3, False),
        (ONE, ONE.numpy(), True),
        (ONE, ONE[:2], False),
        (ONE, ONE[None], False),
        ((1, ONE), [1, ONE], True),
        ({"a": 1.0}, {"a": 1}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ("none", "none", True),
        ("none", 0.0, False),
        (math.nan, math.nan, True),
        (None, 0.0, False),
        (True, 1, True),
    ],
)
def test_same(a, b, equal):
    assert same(a, b) == equal


@pytest.mark.parametrize(
    ("result", "expected", "id", "shown"),
    [
        (None, ONE, "returns-none", "return"),
        (1.0, ONE, "wrong-type", "float"),
        (np.float64(2.0), torch.tensor(1.0), "wrong-type", "float64"),
        ("up", 1.0, "wrong-type", "str"),
        (ONE, (ONE, ONE), "wrong-number-of-values", "2"),
        ((ONE,), (ONE, ONE), "wrong-number-of-values", "1"),
        ((ONE, -ONE), (ONE, ONE), "wrong-sign", "2 of 2"),
        (ONE, ONE.sum(), "wrong-shape", "(3,)"),
        (-ONE, ONE, "wrong-sign", ""),
        (ONE / 3, ONE, "wrong-factor", "0.3333"),
        (ONE + torch.tensor([0, 0.5, 0]), ONE, "wrong-value", "-1.5"),
        (torch.tensor([1.0, math.nan, 0.0]), ONE, "nan", "-2"),
        (0.3, 0.2, "wrong-value", "0.3"),
        ("up", "down", "wrong-value", "'up'"),
        ((1,), {"a": 1}, "wrong-type", "expected a dict with the keys a"),
        ({"b": 1, "c": 2}, {"a": 1, "c": 2}, "wrong-keys", "missing a; unknown b"),
        ({"a": 1, "c": 3}, {"a": 1, "c": 2}, "wrong-value", "c: "),
        ({"a": ONE[:2]}, {"a": ONE}, "wrong-shape", "a: "),
    ],
)
def test_a_difference_has_an_id_and_shows_the_values(result, expected, id, shown):
    difference = explain(result, expected)
    assert difference.id == id
    assert shown in difference.message


@pytest.mark.parametrize(
    ("a", "b", "shown"),
    [
        (0.3, 0.2, ("0.3", "0.2")),
        (0.085231, 0.085234, ("0.085231", "0.085234")),
        (1.0, 1.0 + 2e-12, ("1", "1.000000000002")),
        (math.nan, 1.0, ("nan", "1")),
        (0.5, 0.5, ("0.5", "0.5")),
    ],
)
def test_two_numbers_that_differ_look_different(a, b, shown):
    assert show_both(a, b) == shown


def test_a_small_difference_is_visible_in_the_message():
    message = explain(0.085231, 0.085234).message
    assert "0.085231" in message and "0.085234" in message
