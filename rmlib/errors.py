"""Mistakes a user can mend, told in one sentence; the command line prints them without a traceback."""

import difflib


class RmlibError(Exception):
    """Something the user can mend: the message names the value, the place and what was expected."""


class RmlibValueError(RmlibError, ValueError):
    """A value out of its range, or a name that is not known."""


def nearest(name: str, known) -> str:
    """The sentence that ends an "unknown name" error: "did you mean 'x'? known: a, b, x"."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0)
    return f"did you mean {close[0]!r}? known: {', '.join(known)}"
