"""Under pytest the lessons run small. Their kernels inherit these settings."""

import os
from functools import cache

from tests import selection

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RMLIB_PROFILE", "quick")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_addoption(parser, pluginmanager) -> None:
    selection.register(pluginmanager)


@cache
def prepare() -> None:
    """Fetch and compute what the cache keeps, before any cell runs.

    The first cell that needs it would otherwise show a progress bar, which its stored output lacks.
    """
    from rmlib.studies import sentiment_data
    from rmlib.text import downloads

    for name in ("minilm", "tweets"):
        downloads.fetch(name, progress=False)
    sentiment_data.tweet_features()


def pytest_runtest_setup(item) -> None:
    prepare()
