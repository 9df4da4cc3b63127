"""How much a lesson runs: the RMLIB_PROFILE environment variable scales data and steps, never what
is taught.
"""

import os

from rmlib.errors import RmlibValueError

PROFILES = ("quick", "class", "full")


def profile() -> str:
    """The active profile: "quick" (tests), "class" (the default: two CPU cores) or "full" (a GPU).

    Raises:
        RmlibValueError: RMLIB_PROFILE is set to anything else.
    """
    name = os.environ.get("RMLIB_PROFILE") or "class"
    if name not in PROFILES:
        raise RmlibValueError(f"RMLIB_PROFILE is {name!r}; expected one of {', '.join(PROFILES)}")
    return name


def pick(quick, class_, full):
    """The one of three values that belongs to the active profile."""
    return {"quick": quick, "class": class_, "full": full}[profile()]
