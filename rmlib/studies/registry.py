"""The studies of the course, by name."""

from rmlib.errors import RmlibError, nearest

from .table import Study


def find_study(name: str, seeds: int | None = None, **options) -> Study:
    """The study of that name, with as many seeds as the course shows if `seeds` is left out; `options` are its own.

    Raises:
        RmlibError: there is none.
    """
    from .alpha_sweep import sweep_study  # all are made of `Study`
    from .ner_study import ner_study
    from .sentiment_study import sentiment_study

    known = {"sentiment": sentiment_study, "ner": ner_study, "sweep": sweep_study}
    if name not in known:
        raise RmlibError(f"study {name!r} is not known; {nearest(name, known)}")
    return known[name](**({} if seeds is None else {"seeds": seeds}), **options)
