"""4,200 tweets with the ratings that people gave them."""

import html
import json
import statistics
from typing import NamedTuple

from . import downloads
from .conll import CorpusError, read_text, short


class Tweet(NamedTuple):
    """A tweet rated by 20 or more people, each from -4 (very negative) to 4 (very positive)."""

    id: int
    text: str
    mean: float
    sd: float
    ratings: tuple[int, ...]


def load_tweets() -> list[Tweet]:
    """4,200 tweets with every single rating (Hutto and Gilbert, ICWSM 2014), in the order of the published files.

    `mean` and `sd` (of the population) are those of `ratings`. For 199 tweets the published file with the texts gives
    another mean, apparently of another round of rating: 30 tweets, and 169 rewordings of them (numbers 1424 and up)
    that the authors made to measure capitals, points and adverbs. Those means are left out. "&amp;" becomes "&".

    Raises:
        CorpusError: the two files do not belong together.
        AssetError: the files cannot be had.
    """
    folder = downloads.fetch("tweets")
    texts = _columns(folder / "tweets_GroundTruth.txt", 3)
    ratings = _columns(folder / "tweets_anonDataRatings.txt", 4)
    if not len(texts) == len(ratings) == 4200:
        raise CorpusError(f"{folder}: {len(texts)} tweets and {len(ratings)} rows of ratings; expected 4200 of both")
    return [_tweet(folder, *pair) for pair in zip(texts, ratings, strict=True)]


def _tweet(folder, text_row, rating_row) -> Tweet:
    number, (text_id, _, text) = text_row
    _, (rating_id, mean, sd, single) = rating_row
    try:
        tweet = Tweet(int(text_id), html.unescape(text).strip(), float(mean), float(sd), tuple(json.loads(single)))
        good = text_id == rating_id and len(tweet.ratings) >= 20 and all(r in range(-4, 5) for r in tweet.ratings)
        good = good and abs(statistics.fmean(tweet.ratings) - tweet.mean) < 1e-6
        good = good and abs(statistics.pstdev(tweet.ratings) - tweet.sd) < 1e-4
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise CorpusError(
            f"{folder}, line {number}: tweet {short(text_id)} and ratings {short(rating_id)} do not belong together; "
            "expected one id, 20 or more ratings from -4 to 4, and their mean and sd"
        )
    return tweet


def _columns(path, count: int) -> list[tuple[int, list[str]]]:
    """The lines of a tab-separated file with their numbers."""
    rows = [(i, line.split("\t")) for i, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    for number, cells in rows:
        if len(cells) != count:
            raise CorpusError(f"{path}, line {number}: {len(cells)} columns; expected {count}, separated by tabs")
    return rows
