"""The data of the sentiment case: disjoint parts, and the requested noise and class shares."""

import numpy as np
import pytest

from rmlib.errors import RmlibValueError
from rmlib.studies.sentiment_data import (
    CONDITIONS,
    NEGATIVE,
    groups,
    make_split,
    noisy,
    tweet_features,
)
from rmlib.studies.tweets import load_tweets
from rmlib.text.downloads import AssetError


@pytest.fixture(scope="module", autouse=True)
def data():
    try:
        return tweet_features()
    except AssetError as error:
        pytest.skip(f"the tweets cannot be had: {error}")


def test_texts_that_share_half_their_words_are_one_group():
    texts = [
        "a good day",
        "a good day !",
        "A GOOD DAY",
        "something else here",
        "quite another thing",
    ]
    group = groups(texts)
    assert group[0] == group[1] == group[2] and len(set(group.tolist())) == 3


def test_there_is_a_row_of_features_for_every_tweet(data):
    x, mean, group = data
    assert x.shape == (4200, 384) and bool(x.isfinite().all())
    assert mean.shape == group.shape == (4200,)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_parts_share_neither_tweet_nor_group_and_have_their_sizes(condition, data):
    split = make_split(condition, 1)
    parts = split.train, split.validation, split.test
    assert [len(part.y) for part in parts[:2]] == [1000, 500] and len(parts[2].y) > 800
    seen = [set(data[2][part.tweets].tolist()) for part in parts]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert all(len(set(part.tweets.tolist())) == len(part.y) == len(part.x) for part in parts)
    assert (split.test.y == (data[1][split.test.tweets] <= NEGATIVE)).all()  # clean
    share = CONDITIONS[condition].share
    for part in parts if share else ():
        assert part.y.mean() == pytest.approx(share, abs=1e-3)
    assert make_split.__wrapped__(condition, 1).train.x.equal(split.train.x)  # made again, the same


def test_training_features_have_mean_0_and_mean_square_1():
    x = make_split("clean", 0).train.x
    assert x.mean(0).abs().max() < 1e-5 and x.square().mean() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("flip", [(0.0, 0.0), (0.3, 0.3), (0.1, 0.4)])
def test_labels_are_flipped_at_the_requested_rates(flip):
    truth = np.repeat([0, 1], 20_000)
    seen = noisy(truth, flip, np.arange(40_000), np.random.default_rng(0))
    assert [(seen[truth == k] != k).mean() for k in (0, 1)] == pytest.approx(flip, abs=0.01)


def test_one_rater_is_a_random_rating_of_that_tweet():
    data = load_tweets()
    negative = [np.mean([rating <= NEGATIVE for rating in tweet.ratings]) for tweet in data]
    unanimous = np.flatnonzero(np.isin(negative, (0, 1)))[:200]
    truth = np.array([int(data[i].mean <= NEGATIVE) for i in unanimous])
    assert (noisy(truth, "one rater", unanimous, np.random.default_rng(0)) == truth).all()
    split = int(np.abs(np.array(negative) - 0.5).argmin())  # half of its raters disagree
    drawn = noisy(np.zeros(400, int), "one rater", np.full(400, split), np.random.default_rng(0))
    assert 0.35 < drawn.mean() < 0.65


def test_a_seed_has_the_same_parts_under_every_noise():
    a, b = make_split("clean", 3), make_split("symmetric 40 %", 3)
    assert (a.train.tweets == b.train.tweets).all() and (a.test.tweets == b.test.tweets).all()
    assert 0.3 < (a.train.y != b.train.y).mean() < 0.5


def test_an_unknown_condition_is_named():
    with pytest.raises(RmlibValueError, match="'symetric 10 %'.*did you mean 'symmetric 10 %'"):
        make_split("symetric 10 %", 0)
