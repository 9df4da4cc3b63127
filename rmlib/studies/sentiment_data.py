"""The sentiment case: is a tweet negative? 1,000 tweets to learn from, with label noise or with few negatives.

    split = make_split("symmetric 30 %", seed=0)
    run = train(split, METHODS["expected_accuracy"])    # a grid of heads; the best one by validation
    scores(split.test.y, run.test)

A tweet counts as negative when the mean of its 20 or more ratings is -0.05 or less. The head is a logistic regression
on the mean of MiniLM's word vectors. Validation labels are as noisy as the training labels, for that is what a
practitioner has; the test labels are clean, and no choice can see them.
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
from rmlib.models.frozen_features import hidden_states
from rmlib.text.conll import Sentence
from rmlib.text.tweets import load_tweets
from rmlib.text.word_split import split_words

NEGATIVE = -0.05  # a mean rating of this or less
TRAIN, VALIDATION = 1000, 500
ALIKE = 0.5  # tweets that share half of their words or more are never in two parts


class Condition(NamedTuple):
    """What is done to the labels, and the measure that methods are chosen and judged by.

    `flip`: the chance that a label is wrong, (of the others, of the negatives), or "one rater": the label is the
    opinion of a single rater. `share`: of negatives in every part; None: as it comes.
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
    """x (items, width) float32, y (items,) of 0 and 1 (negative), and the numbers of the tweets."""

    x: torch.Tensor
    y: np.ndarray
    tweets: np.ndarray


@dataclass(frozen=True)
class Split:
    """The three parts of a condition and seed. The test labels are clean, the others as the condition says."""

    condition: Condition
    seed: int
    train: Part
    validation: Part
    test: Part

    @property
    def measure(self) -> str:
        return self.condition.measure


@lru_cache(maxsize=1)
def everything() -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Features (tweets, 384), mean ratings, and the group of each tweet: tweets of a group are much alike."""
    data = load_tweets()
    tagger = new_tagger(["O"], dropout=0.0)
    words = [tuple(split_words(tweet.text)) for tweet in data]
    encoded = tagger.encode([Sentence(w, ("O",) * len(w)) for w in words])
    x, _ = hidden_states(tagger, encoded, layer=tagger.model.config.num_hidden_layers)
    counts = torch.tensor([sum(label >= 0 for label in example.labels) for example in encoded.examples])
    owner = torch.repeat_interleave(torch.arange(len(data)), counts)
    means = torch.zeros(len(data), x.shape[1]).index_add_(0, owner, x) / counts.clamp_min(1)[:, None]
    return means, np.array([tweet.mean for tweet in data]), groups([tweet.text for tweet in data])


def groups(texts: list[str]) -> np.ndarray:
    """The number of the group of each text; texts with at least `ALIKE` of their words in common are in one group."""
    table = CountVectorizer(binary=True, token_pattern=r"\S+").fit_transform(texts).astype(np.int32)
    common = (table @ table.T).tocoo()
    size = np.asarray(table.sum(1)).ravel()
    alike = common.data >= ALIKE * (size[common.row] + size[common.col] - common.data)
    common.data = alike.astype(np.int32)
    common.eliminate_zeros()
    return connected_components(common, directed=False)[1]


@lru_cache(maxsize=32)
def make_split(condition: str | Condition, seed: int) -> Split:
    """Training, validation and test tweets, and the noise on the labels of the first two.

    Args:
        condition: a name in `CONDITIONS`, or one of your own.
        seed: of the parts and of the noise.

    Raises:
        RmlibValueError: a name that is not in `CONDITIONS`.
    """
    if isinstance(condition, str) and condition not in CONDITIONS:
        raise RmlibValueError(f"condition {condition!r} is not known; {nearest(condition, CONDITIONS)}")
    one = CONDITIONS[condition] if isinstance(condition, str) else condition
    rng = np.random.default_rng(seed)
    x, mean, group = everything()
    truth = (mean <= NEGATIVE).astype(int)
    # Whole groups, in the shares 44, 23 and 33 %; the same for every condition of a seed.
    side = rng.choice(3, size=group.max() + 1, p=[0.44, 0.23, 0.33])[group]
    order = rng.permutation(len(truth))
    parts = []
    for number, size in enumerate((TRAIN, VALIDATION, None)):
        kept = _draw(order[side[order] == number], truth, size, one.share)
        y = truth[kept] if number == 2 else noisy(truth[kept], one.flip, kept, rng)
        parts.append(Part(x[kept], y, kept))
    centre = parts[0].x.mean(0)
    scale = (parts[0].x - centre).square().mean().sqrt()
    return Split(one, seed, *(Part((part.x - centre) / scale, part.y, part.tweets) for part in parts))


def _draw(order: np.ndarray, truth: np.ndarray, size: int | None, share: float | None) -> np.ndarray:
    """The first `size` of an order with this share of negatives; as many as there are where size is None."""
    if share is None:
        return order[:size]
    negative, other = order[truth[order] == 1], order[truth[order] == 0]
    size = int(min(len(negative) / share, len(other) / (1 - share))) if size is None else size
    few = round(size * share)
    kept = np.concatenate([negative[:few], other[: size - few]])
    return kept[np.argsort(kept)]


def noisy(truth: np.ndarray, flip, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The labels that are seen in place of the truth; see `Condition.flip`."""
    if flip == "one rater":
        data = load_tweets()
        return np.array([int(rng.choice(data[i].ratings) <= NEGATIVE) for i in numbers])
    chance = np.where(truth == 1, flip[1], flip[0])
    return np.where(rng.random(len(truth)) < chance, 1 - truth, truth)
