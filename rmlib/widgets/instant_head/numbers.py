"""The numbers of the instant head: its features, the sweep over α, and the sentences to show."""

from functools import lru_cache

import pandas as pd
import torch

from rmlib.models.pretrained_head import bundled_tagger
from rmlib.text.conll import entities
from rmlib.text.corpora import newswire
from rmlib.widgets.framework.explorer import ALPHAS

from .frozen_features import MAX_WORDS, Evaluation, Features, extract_features, judge
from .linear_head import Head

SCORES = ("f1", "precision", "recall")
SHOWN = 3  # sentences
READABLE = range(6, 25)  # words of a sentence to show


@lru_cache(maxsize=1)
def newswire_features(max_words: int = MAX_WORDS) -> tuple[Features, Features]:
    """Training and dev features of the newswire under the encoder that comes with the kit."""
    corpus = newswire()
    return extract_features(bundled_tagger(), corpus.train, corpus.dev, max_words=max_words)


def evaluate(weights: torch.Tensor, dev: Features) -> Evaluation:
    """Judge a head by its weights (features + 1, classes), the last row being the bias."""
    return judge(dev.x @ weights[:-1] + weights[-1], dev)


def sweep_table(head: Head, dev: Features, reward: str, alphas=ALPHAS) -> pd.DataFrame:
    """The dev scores of `head.sweep`, one row per α; see `InstantHead.sweep`."""
    rows = []
    for fit in head.sweep(alphas, reward):
        evaluation = judge(fit.logits(dev.x), dev)
        scores = {name: evaluation.scores[name] for name in SCORES}
        scores["calibration_error"] = evaluation.calibration.error
        rows.append({"alpha": fit.alpha, **scores, "converged": fit.converged})
    return pd.DataFrame(rows)


def sentences_to_show(dev: Features, evaluation: Evaluation) -> list[int]:
    """Indices of readable sentences with entities in them, those with errors first."""
    readable = [
        i
        for i, sentence in enumerate(dev.sentences)
        if len(sentence.words) in READABLE and entities(list(sentence.tags))
    ]
    wrong = [i for i in readable if list(dev.sentences[i].tags) != evaluation.tags[i]]
    right = [i for i in readable if i not in wrong]
    return (wrong + right + list(range(len(dev.sentences))))[:SHOWN]
