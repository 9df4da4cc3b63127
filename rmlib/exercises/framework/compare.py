"""Whether two results are the same, and the difference in one sentence."""

import math
from numbers import Number
from typing import NamedTuple

import numpy as np
import torch


class Difference(NamedTuple):
    """How a result differs from what was expected: a stable id, and a sentence."""

    id: str
    message: str


def same(result, expected, tolerance: float = 1e-6) -> bool:
    """Whether two results agree.

    Numbers, tensors and arrays agree within the tolerance (relative and absolute) if they have the
    same shape, containers if their items agree, everything else by ==. A tensor with one number
    equals this number.
    """
    a, b = _array(result), _array(expected)
    if a is not None and b is not None:
        return a.shape == b.shape and bool(
            np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        )
    if isinstance(expected, list | tuple) and isinstance(result, list | tuple):
        return len(result) == len(expected) and all(
            same(*pair, tolerance) for pair in zip(result, expected, strict=True)
        )
    if isinstance(expected, dict) and isinstance(result, dict):
        return result.keys() == expected.keys() and all(
            same(result[k], expected[k], tolerance) for k in expected
        )
    if a is not None or b is not None:
        return False
    try:
        return bool(result == expected)
    except Exception:  # an object of the learner's that cannot be compared
        return False


def explain(result, expected, tolerance: float = 1e-6) -> Difference:
    """Why `result` is not `expected`, in one sentence."""
    if result is None:
        return Difference("returns-none", "it returns None: is `return` missing?")
    if isinstance(expected, tuple):
        return _explain_tuple(result, expected, tolerance)
    if isinstance(expected, dict):
        return _explain_dict(result, expected, tolerance)
    if torch.is_tensor(expected) and not torch.is_tensor(result):
        return Difference("wrong-type", f"it returns {_kind(result)}; expected a tensor")
    a, b = _array(result), _array(expected)
    if b is None:
        message = f"it gives {_short(result)}; expected {_short(expected)}"
        return Difference("wrong-value", message)
    if a is None:
        return Difference("wrong-type", f"it returns {_kind(result)}; expected {_kind(expected)}")
    if a.shape != b.shape:
        one = ": one number" if b.shape == () else ""
        message = f"the shape is {tuple(a.shape)}; expected {tuple(b.shape)}{one}"
        return Difference("wrong-shape", message)
    return _explain_numbers(a, b, tolerance)


def _explain_tuple(result, expected: tuple, tolerance: float) -> Difference:
    """Why a function that should return several values returns the wrong ones."""
    count = len(expected)
    if not isinstance(result, tuple | list):
        message = f"it returns {_kind(result)}; expected {count} values"
        return Difference("wrong-number-of-values", message)
    if len(result) != count:
        plural = "" if len(result) == 1 else "s"
        message = f"it returns {len(result)} value{plural}; expected {count}"
        return Difference("wrong-number-of-values", message)
    index = next(i for i in range(count) if not same(result[i], expected[i], tolerance))
    inner = explain(result[index], expected[index], tolerance)
    return Difference(inner.id, f"result {index + 1} of {count}: {inner.message}")


def _explain_dict(result, expected: dict, tolerance: float) -> Difference:
    """Why a function that should return a dict returns a wrong one: the first key that is wrong."""
    if not isinstance(result, dict):
        keys = ", ".join(map(str, expected))
        message = f"it returns {_kind(result)}; expected a dict with the keys {keys}"
        return Difference("wrong-type", message)
    wrong = {"missing": expected.keys() - result.keys(), "unknown": result.keys() - expected.keys()}
    if any(wrong.values()):
        keys = [f"{how} {', '.join(sorted(map(str, k)))}" for how, k in wrong.items() if k]
        return Difference("wrong-keys", f"keys: {'; '.join(keys)}")
    key = next(k for k in expected if not same(result[k], expected[k], tolerance))
    inner = explain(result[key], expected[key], tolerance)
    return Difference(inner.id, f"{key}: {inner.message}")


def _explain_numbers(a: np.ndarray, b: np.ndarray, tolerance: float) -> Difference:
    """Why numbers of one shape differ."""
    if np.isnan(a).any() and not np.isnan(b).any():
        message = f"it gives nan where {_short(b[np.isnan(a)].flat[0])} is expected"
        return Difference("nan", message)
    if np.allclose(a, -b, rtol=tolerance, atol=tolerance):
        return Difference("wrong-sign", "right size, wrong sign")
    nonzero = np.abs(b) > 1e-9
    ratio = a[nonzero] / b[nonzero]
    proportional = a.size > 1 and ratio.size and np.allclose(ratio, ratio.flat[0], rtol=1e-4)
    proportional = proportional and abs(ratio.flat[0] - 1) > 1e-3  # else it's no factor
    if proportional and ratio.flat[0] and np.allclose(a[~nonzero], 0, atol=tolerance):
        factor, _ = show_both(float(ratio.flat[0]), 1.0)
        message = f"right up to a factor: it is {factor} times what is expected"
        return Difference("wrong-factor", message)
    if a.shape == ():
        shown = show_both(a[()], b[()])
        return Difference("wrong-value", f"wrong value: {shown[0]}; expected {shown[1]}")
    index = np.unravel_index(np.argmax(np.abs(a - b)), a.shape)
    shown = show_both(a[index], b[index])
    where = [int(k) for k in index]
    message = f"right shape, wrong values: at {where} it gives {shown[0]}; expected {shown[1]}"
    return Difference("wrong-value", message)


def show_both(a: float, b: float) -> tuple[str, str]:
    """Two numbers with four digits, or with as many as it takes to see that they differ."""
    for digits in range(4, 18):
        shown = f"{float(a):.{digits}g}", f"{float(b):.{digits}g}"
        if shown[0] != shown[1]:
            return shown
    return f"{float(a):.4g}", f"{float(b):.4g}"


def _array(value) -> np.ndarray | None:
    """Numbers as an array of float64, or None."""
    if torch.is_tensor(value):
        return value.detach().cpu().to(torch.float64).numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value.astype(float)
    if isinstance(value, Number | np.generic) and not isinstance(value, complex | str):
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
