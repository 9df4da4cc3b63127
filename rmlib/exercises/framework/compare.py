"""Are two results the same, and if not, what is the difference in words?"""

import math
from numbers import Number

import numpy as np
import torch


def same(found, expected, tolerance: float = 1e-6) -> bool:
    """Whether two results agree: numbers, tensors and arrays within the tolerance (relative and absolute) and with the
    same shape, containers part by part, everything else by ==. A tensor with one number equals this number."""
    a, b = _array(found), _array(expected)
    if a is not None and b is not None:
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected, [tolerance] * len(found)))
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k], tolerance) for k in expected)
    if a is not None or b is not None:
        return False
    try:
        return bool(found == expected)
    except Exception:  # an object of the learner's that cannot be compared
        return False


def explain(found, expected, tolerance: float = 1e-6) -> str:
    """Why `found` is not `expected`, in one sentence. With expected None, what is right is not given away."""
    if found is None:
        return "it returns None: is `return` missing?"
    if expected is None:
        return "not the right answer yet: look again"
    if isinstance(expected, tuple) and not isinstance(found, tuple | list):
        return f"it returns {_kind(found)}; expected {len(expected)} things"
    if isinstance(expected, tuple) and len(found) != len(expected):
        return f"it returns {len(found)} things; expected {len(expected)}"
    if isinstance(expected, tuple):
        part = next(i for i, two in enumerate(zip(found, expected, strict=True)) if not same(*two, tolerance))
        return f"result {part + 1} of {len(expected)}: {explain(found[part], expected[part], tolerance)}"
    if torch.is_tensor(expected) and not torch.is_tensor(found):
        return f"it returns {_kind(found)}; expected a tensor"
    a, b = _array(found), _array(expected)
    if b is None:
        return f"it gives {_short(found)}; expected {_short(expected)}"
    if a is None:
        return f"it returns {_kind(found)}; expected {_kind(expected)}"
    if a.shape != b.shape:
        one = ": one number" if b.shape == () else ""
        return f"the shape is {tuple(a.shape)}; expected {tuple(b.shape)}{one}"
    return _numbers(a, b, tolerance)


def _numbers(a: np.ndarray, b: np.ndarray, tolerance: float) -> str:
    """Why numbers of one shape differ."""
    if np.isnan(a).any() and not np.isnan(b).any():
        return f"it gives nan where {_short(b[np.isnan(a)].flat[0])} is expected"
    if np.allclose(a, -b, rtol=tolerance, atol=tolerance):
        return "right size, wrong sign"
    some = np.abs(b) > 1e-9
    ratio = a[some] / b[some]
    in_step = a.size > 1 and ratio.size and np.allclose(ratio, ratio.flat[0], rtol=1e-4)
    if in_step and ratio.flat[0] and np.allclose(a[~some], 0, atol=tolerance):
        return f"right but for a factor: it is {ratio.flat[0]:.4g} times what is expected"
    if a.shape == ():
        return f"wrong value: {_short(a[()])}; expected {_short(b[()])}"
    i = np.unravel_index(np.argmax(np.abs(a - b)), a.shape)
    return f"right shape, wrong values: at {[int(k) for k in i]} it gives {_short(a[i])}; expected {_short(b[i])}"


def _array(value) -> np.ndarray | None:
    """Numbers as an array of float64, or None."""
    if torch.is_tensor(value):
        return value.detach().cpu().to(torch.float64).numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value.astype(float)
    if isinstance(value, Number | np.generic) and not isinstance(value, complex) and not isinstance(value, str):
        try:
            return np.asarray(float(value))
        except (TypeError, ValueError, OverflowError):
            return None
    return None


def _kind(value) -> str:
    return "a tensor" if torch.is_tensor(value) else f"a {type(value).__name__}"


def _short(value) -> str:
    if isinstance(value, Number | np.generic) and not isinstance(value, bool):
        number = float(value)
        return f"{number:.4g}" if math.isfinite(number) else str(number)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
