"""The studies of the course, by name."""

from rmlib.errors import RmlibError, nearest

from .alpha_sweep import sweep_study
from .ner_study import ner_study
from .sentiment_study import sentiment_study
from .table import Study

STUDIES = {"sentiment": sentiment_study, "ner": ner_study, "sweep": sweep_study}


def find_study(name: str, seeds: int | None = None, **options) -> Study:
    """Return the study of that name.

    Args:
        name: a key of `STUDIES`.
        seeds: how many seeds, from 0 up; left out, as many as the course shows.
        options: the study's own options.

    Raises:
        RmlibError: no study has that name.
    """
    if name not in STUDIES:
        raise RmlibError(f"study {name!r} is not known; {nearest(name, STUDIES)}")
    if seeds is not None:
        options["seeds"] = seeds
    return STUDIES[name](**options)
