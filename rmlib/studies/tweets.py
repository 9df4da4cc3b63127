"""Tweets with the ratings that people gave them."""

import html
import json
import math
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rmlib.text import downloads
from rmlib.text.plain_text import CorpusError, read_text, short


class Tweet(NamedTuple):
    """A tweet rated by 20 or more people.

    Attributes:
        id: its number in the published files.
        text: as published, with HTML entities decoded.
        mean, sd: of `ratings`; `sd` is that of the population.
        ratings: each from -4 (very negative) to 4 (very positive).
    """

    id: int
    text: str
    mean: float
    sd: float
    ratings: tuple[int, ...]


def load_tweets() -> list[Tweet]:
    """The 4,200 tweets of Hutto and Gilbert (ICWSM 2014), in the order of the published files.

    For 199 tweets the published file with the texts gives another mean, apparently of another round
    of rating: 30 tweets, and 169 rewordings of them (numbers 1424 and up) that the authors made to
    measure capitals, points and adverbs. Those means are ignored.

    Raises:
        CorpusError: the two files do not belong together.
        AssetError: the files cannot be fetched.
    """
    return list(_read(downloads.fetch("tweets")))


@lru_cache(maxsize=1)
def _read(folder: Path) -> tuple[Tweet, ...]:
    texts = _columns(folder / "tweets_GroundTruth.txt", 3)
    ratings = _columns(folder / "tweets_anonDataRatings.txt", 4)
    if not len(texts) == len(ratings) == 4200:
        raise CorpusError(
            f"{folder}: {len(texts)} tweets and {len(ratings)} rows of ratings; "
            "expected 4200 of both"
        )
    return tuple(_tweet(folder, *pair) for pair in zip(texts, ratings, strict=True))


def _tweet(folder, text_row, rating_row) -> Tweet:
    number, (text_id, _, text) = text_row
    _, (rating_id, mean, sd, single) = rating_row
    try:
        ratings = tuple(json.loads(single))
        text = html.unescape(text).strip()
        tweet = Tweet(int(text_id), text, float(mean), float(sd), ratings)
        valid = text_id == rating_id and len(ratings) >= 20
        valid = valid and all(rating in range(-4, 5) for rating in ratings)
        mean = fmean(ratings) if valid else math.nan
        valid = valid and abs(mean - tweet.mean) < 1e-6
        variance = fmean((rating - mean) ** 2 for rating in ratings) if valid else math.nan
        valid = valid and abs(math.sqrt(variance) - tweet.sd) < 1e-4
    except (ValueError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise CorpusError(
            f"{folder}, line {number}: tweet {short(text_id)} and ratings {short(rating_id)} "
            "do not belong together; "
            "expected one id, 20 or more ratings from -4 to 4, and their mean and sd"
        )
    return tweet


def _columns(path, count: int) -> list[tuple[int, list[str]]]:
    """The lines of a tab-separated file with their numbers."""
    rows = [
        (i, line.split("\t"))
        for i, line in enumerate(read_text(path).split("\n"), 1)
        if line.strip()
    ]
    for number, cells in rows:
        if len(cells) != count:
            raise CorpusError(
                f"{path}, line {number}: {len(cells)} columns; expected {count}, separated by tabs"
            )
    return rows
