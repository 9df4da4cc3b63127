"""Rated tweets: against the published files."""

import pytest

from rmlib.studies import tweets
from rmlib.text import downloads
from rmlib.text.conll import CorpusError


def test_tweets_with_every_rating():
    try:
        folder = downloads.fetch("tweets", progress=False)
    except downloads.AssetError as error:
        pytest.skip(f"tweets are out of reach: {error}")
    rated = tweets.load_tweets()
    assert len(rated) == len({t.id for t in rated}) == 4200
    assert all(len(t.ratings) >= 20 and set(t.ratings) <= set(range(-4, 5)) for t in rated)
    assert all(abs(sum(t.ratings) / len(t.ratings) - t.mean) < 1e-6 for t in rated)
    assert rated[3].text == "LMAO, AMAZING!"
    assert "&amp;" not in rated[2].text and " & the love" in rated[2].text
    published = (
        (folder / "tweets_GroundTruth.txt").read_bytes().decode("utf-8-sig").strip().split("\r\n")
    )
    means = [float(line.split("\t")[1]) for line in published]
    other = [(t.id, t.mean, m) for t, m in zip(rated, means, strict=True) if abs(t.mean - m) > 1e-6]
    assert len(other) == 199 and sum(i < 300 for i, _, _ in other) == 30
    assert min(i for i, _, _ in other if i > 300) == 1424
    # no label of lesson 07 depends on it
    assert not [o for o in other if (o[1] <= -0.05) != (o[2] <= -0.05)]


def test_tweets_that_do_not_belong_together(tmp_path):
    row = tweets._tweet(
        tmp_path, (1, ["7", "0.5", "a &lt;3"]), (1, ["7", "0.5", "0.5", str([0, 1] * 10)])
    )
    assert row == (7, "a <3", 0.5, 0.5, (0, 1) * 10)
    for bad in (
        ["8", "0.5", "0.5", str([0, 1] * 10)],
        ["7", "0.6", "0.5", str([0, 1] * 10)],
        ["7", "0", "0", "[0]"],
    ):
        with pytest.raises(
            CorpusError, match="line 1: tweet '7' and ratings .* do not belong together"
        ):
            tweets._tweet(tmp_path, (1, ["7", "0.5", "a"]), (1, bad))
