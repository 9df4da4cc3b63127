"""What counts as the same, and the words for what does not."""

import math

import numpy as np
import pytest
import torch

from rmlib.exercises.framework.compare import explain, same

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
    ("found", "expected", "words"),
    [
        (None, ONE, "returns None: is `return` missing"),
        (1.0, ONE, "returns a float; expected a tensor"),
        (ONE, (ONE, ONE), "returns a tensor; expected 2 things"),
        ((ONE,), (ONE, ONE), "returns 1 things; expected 2"),
        ((ONE, -ONE), (ONE, ONE), "result 2 of 2: right size, wrong sign"),
        (ONE, ONE.sum(), "the shape is (3,); expected (): one number"),
        (-ONE, ONE, "right size, wrong sign"),
        (ONE / 3, ONE, "0.3333 times what is expected"),
        (ONE + torch.tensor([0, 0.5, 0]), ONE, "at [1] it gives -1.5; expected -2"),
        (torch.tensor([1.0, math.nan, 0.0]), ONE, "gives nan where -2 is expected"),
        (0.3, 0.2, "wrong value: 0.3; expected 0.2"),
        ("up", "down", "gives 'up'; expected 'down'"),
        ("up", None, "not the right answer yet"),
        (np.float64(2.0), torch.tensor(1.0), "returns a float64; expected a tensor"),
    ],
)
def test_a_difference_is_told(found, expected, words):
    assert words in explain(found, expected)
