"""Errors that the user can correct; the command line prints them without a traceback."""

import difflib


class RmlibError(Exception):
    """Its message names the value, the place and what was expected, in one sentence."""


class RmlibValueError(RmlibError, ValueError):
    """A value out of its range, or an unknown name."""


class NotFiniteError(RmlibError):
    """A loss, a gradient, weights or logits that are infinite or NaN."""


def nearest(name: str, known) -> str:
    """The end of an "unknown name" message: "did you mean 'x'? known: a, b, x"."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0)
    return f"did you mean {close[0]!r}? known: {', '.join(known)}"
