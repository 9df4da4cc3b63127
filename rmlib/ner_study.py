"""The study of lesson 07: α times reward type times seeds, on names in the newswire.

    rmlib study ner

A row is one fine-tuning of MiniLM: the epoch that was best on the dev sentences, scored once on the test sentences.
`right` and `found` hold, for each test sentence, two hexadecimal digits: how many of its names were found, and how
many were claimed. With the gold names these are the counts of the entity F1: any difference can be bootstrapped again.
"""

import math
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from .batches import IGNORE, batches, collate
from .bootstrap import Effect, Pair, f1, over_seeds_and_items
from .config import Config
from .corpora import Corpus, entities, newswire
from .encoder import Tagger, new_tagger
from .metrics import entity_scores, reliability
from .mistakes import MISTAKES, compare
from .rewards import REWARDS
from .runs import evaluate
from .studies import Study
from .training import Training

SEEDS = 5
ALPHAS = (1.0, 10.0, math.inf)
SETTINGS = {"epochs": 4, "lr": 5e-4, "budget": 1024, "precision": "fp32"}


def ner_study(seeds: int = SEEDS) -> Study:
    """The study; what it does for a row is `one_run`. Cross-entropy (α = 0) stands first on every seed."""
    names = [name for name, reward in REWARDS.items() if "tokens" in reward.levels]
    grid = [("none", 0.0), *((name, alpha) for name in names for alpha in ALPHAS)]
    runs = [{"seed": seed, "reward": reward, "alpha": alpha} for seed in range(seeds) for reward, alpha in grid]
    return Study("ner", f"rmlib study ner --seeds {seeds}", runs, one_run)


def one_run(seed: int, reward: str, alpha: float, corpus: Corpus | None = None, **settings) -> dict:
    """The rest of a row; see the head of this file.

    Args:
        corpus: the newswire if left out.
        settings: of `Config`, in place of `SETTINGS`.

    Returns:
        scores in [0, 1]: `dev_f1`, `f1`, `precision`, `recall`, `f1_PER` and so on, `calibration_error` of the words;
        numbers of names on the test sentences: `right` and `MISTAKES`; `best_epoch`, `steps`, `seconds_per_step`.
    """
    corpus = corpus or newswire()
    tagger = new_tagger(corpus.tags, seed=seed)
    config = Config(
        alpha=alpha, reward="soft_f1" if reward == "none" else reward, seed=seed, **{**SETTINGS, **settings}
    )
    examples = tagger.encode(corpus.train).examples
    training = Training(tagger, examples, config, lambda: evaluate(tagger, corpus.dev))
    for _ in training:
        pass
    gold = [list(sentence.tags) for sentence in corpus.test]
    found = tagger.tag([sentence.words for sentence in corpus.test])
    scores = entity_scores(gold, found)
    marks = [mark for g, t in zip(gold, found, strict=True) for mark in compare(g, t)]
    right = [len(set(entities(g)) & set(entities(t))) for g, t in zip(gold, found, strict=True)]
    return {
        "dev_f1": training.best_score,
        **{name: scores[name] for name in ("f1", "precision", "recall")},
        **{f"f1_{kind}": row["f1"] for kind, row in scores["per_type"].items()},
        "calibration_error": calibration_error(tagger, corpus.test),
        **{kind: sum(mark.verdict == kind for mark in marks) for kind in MISTAKES},
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "seconds_per_step": training.seconds / max(training.step, 1),
        "right": "".join(f"{n:02x}" for n in right),
        "found": "".join(f"{len(entities(t)):02x}" for t in found),
    }


@torch.no_grad()
def calibration_error(tagger: Tagger, sentences: list) -> float:
    """The expected calibration error of the likeliest tag of each word, in [0, 1]; see `metrics.reliability`."""
    tagger.model.eval()
    encoded = tagger.encode(sentences)
    sure, hit = [], []
    for batch in batches(encoded.lengths, 4096):
        inputs = collate([encoded.examples[i] for i in batch], tagger.tokenizer.pad_token_id, tagger.case)
        labels = inputs.pop("labels")
        p, found = tagger.model(**inputs).logits.float().softmax(-1).max(-1)
        sure.append(p[labels != IGNORE])
        hit.append((found == labels)[labels != IGNORE])
    return reliability(torch.cat(sure).clamp(0, 1).numpy(), torch.cat(hit).numpy()).error


@lru_cache(maxsize=1)
def gold_names() -> np.ndarray:
    """Names in each test sentence of the newswire."""
    return np.array([len(entities(list(sentence.tags))) for sentence in newswire().test])


def pairs(table: pd.DataFrame, control: tuple[str, float], method: tuple[str, float]) -> list[Pair]:
    """The counts of two settings (reward, α), sentence by sentence, for every seed that has both."""
    rows = table.set_index(["reward", "alpha", "seed"]).sort_index()
    seeds = sorted(set(rows.loc[control].index) & set(rows.loc[method].index))
    items = np.arange(len(gold_names()))
    return [Pair(items, *(_counts(rows.loc[(*one, seed)]) for one in (control, method))) for seed in seeds]


def _counts(row: pd.Series) -> np.ndarray:
    right, found = (np.frombuffer(bytes.fromhex(row[name]), np.uint8).astype(int) for name in ("right", "found"))
    return np.stack([right, found - right, gold_names() - right, 0 * right], -1)


def effect(table: pd.DataFrame, control: tuple, method: tuple, confidence: float = 0.95) -> Effect:
    """How much better the entity F1 of a setting (reward, α) is than a control's, on the test sentences."""
    return over_seeds_and_items(f1, pairs(table, control, method), confidence=confidence)
