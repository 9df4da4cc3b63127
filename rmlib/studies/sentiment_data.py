"""The data of the sentiment case: 1,000 tweets to train on, with noisy labels or few negatives.

    split = make_split("symmetric 30 %", seed=0)
    run = train(split, METHODS["expected_accuracy"])  # of the heads, the best on validation
    scores(split.test.y, run)

A tweet is negative if the mean of its 20 or more ratings is at most -0.05. Its features are the
mean of MiniLM's word vectors. Validation labels are as noisy as training labels, as they are in
practice. Test labels are clean, and no selection uses them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from rmlib.errors import RmlibValueError, nearest
from rmlib.models.encoder import new_tagger
from rmlib.models.hidden_states import hidden_states
from rmlib.studies.tweets import load_tweets
from rmlib.text.conll import Sentence
from rmlib.text.word_split import split_words

NEGATIVE = -0.05  # the highest mean rating of a negative tweet
TRAIN = 1000  # tweets
VALIDATION = 500  # tweets
ALIKE = 0.5  # tweets that share this part of their words or more are never in different parts


class Condition(NamedTuple):
    """How the labels are changed, and the measure by which methods are selected and compared.

    Attributes:
        flip: the probability of a wrong label, (for other tweets, for negative tweets); or "one
            rater", for labels that are the opinion of a single rater.
        share: of negatives in every part, in (0, 1); None keeps the share of the data.
        measure: a key of `bootstrap.MEASURES`.
    """

    flip: tuple[float, float] | str = (0.0, 0.0)
    share: float | None = None
    measure: str = "accuracy"


CONDITIONS = {
    "clean": Condition(),
    "symmetric 10 %": Condition((0.1, 0.1)),
    "symmetric 20 %": Condition((0.2, 0.2)),
    "symmetric 30 %": Condition((0.3, 0.3)),
    "symmetric 40 %": Condition((0.4, 0.4)),
    "class-conditional": Condition((0.1, 0.4), measure="balanced_accuracy"),
    "one rater": Condition("one rater"),
    "50 % negative": Condition(share=0.5, measure="f1"),
    "10 % negative": Condition(share=0.1, measure="f1"),
    "3 % negative": Condition(share=0.03, measure="f1"),
}


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Attributes:
        x: (items, width) float32 features.
        y: (items,) 1 for negative, else 0.
        tweets: (items,) indices into `load_tweets()`.
    """

    x: torch.Tensor
    y: np.ndarray
    tweets: np.ndarray


@dataclass(frozen=True)
class Split:
    """The three parts of a condition and seed; only the test labels are always clean."""

    condition: Condition
    seed: int
    train: Part
    validation: Part
    test: Part

    @property
    def measure(self) -> str:
        return self.condition.measure


@lru_cache(maxsize=1)
def tweet_features() -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Return the features (tweets, 384), mean rating and group of each tweet; see `groups`."""
    data = load_tweets()
    tagger = new_tagger(["O"], dropout=0.0)
    words = [tuple(split_words(tweet.text)) for tweet in data]
    encoded = tagger.encode([Sentence(w, ("O",) * len(w)) for w in words])
    x, _ = hidden_states(tagger, encoded, layer=tagger.model.config.num_hidden_layers)
    word_counts = torch.tensor([len(w) for w in words])
    tweet_of_word = torch.repeat_interleave(torch.arange(len(data)), word_counts)
    sums = torch.zeros(len(data), x.shape[1]).index_add_(0, tweet_of_word, x)
    means = sums / word_counts.clamp_min(1)[:, None]
    return means, np.array([tweet.mean for tweet in data]), groups([tweet.text for tweet in data])


def groups(texts: list[str]) -> np.ndarray:
    """Return the group of each text, (texts,).

    Two texts are in one group if their word sets have a Jaccard similarity of at least `ALIKE`, or
    if a chain of such texts connects them.
    """
    vectorizer = CountVectorizer(binary=True, token_pattern=r"\S+")
    words = vectorizer.fit_transform(texts).astype(np.int32)
    common = (words @ words.T).tocoo()
    size = np.asarray(words.sum(1)).ravel()
    alike = common.data >= ALIKE * (size[common.row] + size[common.col] - common.data)
    common.data = alike.astype(np.int32)
    common.eliminate_zeros()
    return connected_components(common, directed=False)[1]


@lru_cache(maxsize=32)
def make_split(condition: str | Condition, seed: int) -> Split:
    """Split the tweets, with noise on the labels of training and validation.

    Args:
        condition: a name in `CONDITIONS`, or a condition of your own.
        seed: of the split and of the noise.

    Raises:
        RmlibValueError: a name that is not in `CONDITIONS`.
    """
    if isinstance(condition, str):
        if condition not in CONDITIONS:
            raise RmlibValueError(
                f"condition {condition!r} is not known; {nearest(condition, CONDITIONS)}"
            )
        condition = CONDITIONS[condition]
    rng = np.random.default_rng(seed)
    x, mean, group = tweet_features()
    truth = (mean <= NEGATIVE).astype(int)
    # Whole groups go to a part, 44, 23 and 33 % of them; a seed does so alike in every condition.
    part_of_tweet = rng.choice(3, size=group.max() + 1, p=[0.44, 0.23, 0.33])[group]
    order = rng.permutation(len(truth))
    train, validation, test = (order[part_of_tweet[order] == part] for part in range(3))
    train = _draw(train, truth, TRAIN, condition.share)
    noisy_train = noisy(truth[train], condition.flip, train, rng)
    validation = _draw(validation, truth, VALIDATION, condition.share)
    noisy_validation = noisy(truth[validation], condition.flip, validation, rng)
    test = _draw(test, truth, None, condition.share)
    centre = x[train].mean(0)
    scale = (x[train] - centre).square().mean().sqrt()
    return Split(
        condition,
        seed,
        Part((x[train] - centre) / scale, noisy_train, train),
        Part((x[validation] - centre) / scale, noisy_validation, validation),
        Part((x[test] - centre) / scale, truth[test], test),
    )


def _draw(
    order: np.ndarray, truth: np.ndarray, size: int | None, share: float | None
) -> np.ndarray:
    """Take the first tweets of an order that have this share of negatives.

    Args:
        order: indices of tweets.
        truth: (tweets,) 1 for negative, else 0.
        size: how many tweets; None takes as many as there are.
        share: of negatives; None keeps the share of the data.
    """
    if share is None:
        return order[:size]
    negative = order[truth[order] == 1]
    other = order[truth[order] == 0]
    if size is None:
        size = int(min(len(negative) / share, len(other) / (1 - share)))
    negatives = round(size * share)
    return np.sort(np.concatenate([negative[:negatives], other[: size - negatives]]))


def noisy(truth: np.ndarray, flip, tweets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the labels with noise; see `Condition.flip`.

    Args:
        truth: (items,) clean labels, 1 for negative.
        flip: as in `Condition`.
        tweets: (items,) indices into `load_tweets()`.
        rng: of the noise.
    """
    if flip == "one rater":
        data = load_tweets()
        return np.array([int(rng.choice(data[i].ratings) <= NEGATIVE) for i in tweets])
    probability = np.where(truth == 1, flip[1], flip[0])
    return np.where(rng.random(len(truth)) < probability, 1 - truth, truth)
