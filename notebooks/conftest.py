"""Under pytest the lessons run small. Their kernels inherit these settings."""

import os
from functools import cache

os.environ.setdefault("RMLIB_PROFILE", "quick")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@cache
def prepare() -> None:
    """Fetch and compute beforehand what is kept from then on. The cell that comes to it first would show a progress
    bar, which its stored output, made when all was there, does not have."""
    from rmlib.text import downloads
    from rmlib.studies import sentiment_data

    for name in ("minilm", "tweets"):
        downloads.fetch(name, progress=False)
    sentiment_data.everything()


def pytest_runtest_setup(item) -> None:
    prepare()
