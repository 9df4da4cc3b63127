"""Steps whose numbers are still tensors."""

import torch

from rmlib.training.loop import MEASURED, Step, to_floats


def test_read_turns_tensors_into_floats_and_leaves_the_rest():
    rows = [(1, 1, 2.0, "soft_f1", 3.0, 2.5, 0.25, 1e-3, 7.0, 40, 0.5, {"f1": 0.5})]
    rows.append((2, 1, 2.0, "dice", 1.5, 1.0, 0.25, 1e-4, 2.0, 30, 0.9, None))
    expected = [Step(*row) for row in rows]
    waiting = [
        one._replace(**{name: torch.tensor(getattr(one, name)) for name in MEASURED})
        for one in expected
    ]
    found = to_floats(waiting)
    assert found == expected
    assert all(type(getattr(one, name)) is float for one in found for name in MEASURED)
    assert to_floats(expected) == expected and to_floats([]) == []
