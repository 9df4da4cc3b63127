"""The study of lesson 07: α times reward type times seeds, on names.

    rmlib study ner
    rmlib study ner --corpus conll2003 --accept-licence

A row is one fine-tuning of MiniLM on sentences that its seed draws: the epoch that was best on the dev sentences,
scored once on the test sentences. `gold`, `right` and `found` hold, for each test sentence, two hexadecimal digits: how
many names it has, how many of them were found, and how many were claimed. These are the counts of the entity F1: any
difference can be bootstrapped again. The columns that end in `_moved` are of the same run after its threshold for "O"
was tuned on dev. No column depends on the clock, so the same command gives the same table.
"""

import math
import random
from functools import lru_cache, partial

import numpy as np
import torch

from rmlib.determinism import one_thread
from rmlib.errors import RmlibError
from rmlib.models.encoder import new_tagger
from rmlib.text.conll import entities
from rmlib.text.corpora import Corpus, load
from rmlib.text.metrics import entity_scores, reliability
from rmlib.text.ner_errors import MISTAKES, compare
from rmlib.text.viterbi import decode
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import evaluate

from .table import Study

SEEDS = 5
ALPHAS = (1.0, 10.0, math.inf)
REWARDS_TRIED = ("expected_accuracy", "soft_f1", "entity_f1", "soft_f1_macro", "gce")
AFTER = " after ce"  # the first half of the epochs with cross-entropy, then the reward
TRIED_AFTER = {f"{name}{AFTER}": (1.0, math.inf) for name in ("expected_accuracy", "soft_f1", "entity_f1")}
CONTROLS = {"ce": 5e-4, "ce, half lr": 2.5e-4, "ce, twice lr": 1e-3}  # cross-entropy, and its learning rate
SETTINGS = {"budget": 512, "precision": "fp32", "packed": "no"}  # as the stored table was made, on any machine
SIZES = {"newswire": (1000, 2), "conll2003": (3000, 1)}  # training sentences, epochs: about as many steps
DEV = 500  # dev sentences at most
MOVES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # of the logit of "O"
POINTS = 12  # of a curve


def ner_study(seeds: int = SEEDS, corpus: str = "newswire") -> Study:
    """The study; what it does for a row is `one_run`. Method by method, with all seeds, cross-entropy first.

    On CoNLL-2003 there are three settings: cross-entropy, and at α = 1 the two rewards that are best on the newswire
    from the first step. Nothing is chosen there, so no gain can come from choosing.

    Raises:
        RmlibError: another corpus.
    """
    if corpus not in SIZES:
        raise RmlibError(f"corpus {corpus!r} has no study; expected {' or '.join(SIZES)}")
    whole = corpus == "newswire"
    tried = dict.fromkeys(REWARDS_TRIED[:3], ALPHAS) | TRIED_AFTER | dict.fromkeys(REWARDS_TRIED[3:], ALPHAS)
    grid = [(name, 0.0) for name in CONTROLS] + [(name, alpha) for name in tried for alpha in tried[name]]
    grid = grid if whole else [("ce", 0.0), ("soft_f1", 1.0), ("soft_f1_macro", 1.0)]
    methods = dict.fromkeys(method for method, _ in grid)
    runs = [
        {"seed": seed, "method": method, "alpha": alpha}
        for one in methods
        for seed in range(seeds)
        for method, alpha in grid
        if method == one
    ]
    options = "" if whole else f" --corpus {corpus} --accept-licence"
    one = partial(one_run, corpus=corpus)
    return Study("ner" if whole else f"ner_{corpus}", f"rmlib study ner --seeds {seeds}{options}", runs, one)


@lru_cache(maxsize=2)
def texts(corpus: str) -> Corpus:
    """The corpus of a study. CoNLL-2003 was accepted by whoever asked for its study."""
    whole = load(corpus, accept_licence=True)
    return Corpus(whole.name, whole.train, whole.dev[:DEV], whole.test)


def one_run(seed: int, method: str, alpha: float, corpus: str | Corpus = "newswire", **settings) -> dict:
    """The rest of a row; see the head of this file. Computes on one thread, so that the sums have one order.

    Args:
        corpus: a key of `SIZES`, or a corpus of your own, of which all training sentences are used.
        settings: of `Config`, in place of the study's.

    Returns:
        scores in [0, 1]: `dev_f1`, `f1`, `precision`, `recall`, `f1_PER` and so on, `calibration_error` of the words;
        numbers of names on the test sentences: `MISTAKES`; `best_epoch`, `steps`; `move`: what is best added to the
        logit of "O" by the dev F1, and `dev_f1_moved`, `f1_moved` with it; `L_p`, `L_r`: `POINTS` means over the steps
        and `dev_curve`: dev F1 after each epoch, with spaces between.
    """
    size, epochs = SIZES[corpus] if isinstance(corpus, str) else (None, 1)
    data = texts(corpus) if isinstance(corpus, str) else corpus
    train = random.Random(seed).sample(data.train, size) if size else data.train
    reward = "soft_f1" if method in CONTROLS else method.removesuffix(AFTER)
    later = method.endswith(AFTER)
    settings = SETTINGS | {"epochs": epochs, "lr": CONTROLS.get(method, CONTROLS["ce"])} | settings
    with one_thread():
        tagger = new_tagger(data.tags, seed=seed)
        config = Config(alpha=0.0 if later else alpha, reward=reward, seed=seed, **settings)
        training = Training(tagger, tagger.encode(train).examples, config, lambda: evaluate(tagger, data.dev))
        steps = []
        for step in training:
            steps.append(step)
            if later and 2 * step.step >= len(training):
                training.objective.alpha = alpha
        dev, test = (tagger.logits(tagger.encode(part)) for part in (data.dev, data.test))
    move, dev_f1 = best_move(dev, data.dev, tagger.labels)
    found, moved = (tags_of(test, tagger.labels, by) for by in (0.0, move))
    return {
        "dev_f1": training.best_score,
        **_scored(data.test, found),
        "calibration_error": calibration_error(test, data.test, tagger.labels),
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "move": move,
        "dev_f1_moved": dev_f1,
        "f1_moved": entity_scores([s.tags for s in data.test], moved)["f1"],
        "L_p": _curve([step.prediction for step in steps]),
        "L_r": _curve([step.reward for step in steps]),
        "dev_curve": " ".join(f"{step.scores['f1']:.4f}" for step in steps if step.scores),
        "gold": "".join(f"{len(entities(list(sentence.tags))):02x}" for sentence in data.test),
        **_packed(data.test, found),
        **{f"{name}_moved": value for name, value in _packed(data.test, moved).items()},
    }


def tags_of(logits: list[torch.Tensor], tags: list[str], move: float = 0.0) -> list[list[str]]:
    """The best well-formed tags of each sentence when `move` is added to the logit of "O"."""
    by, lengths = torch.tensor([move if tag == "O" else 0.0 for tag in tags]), [len(z) for z in logits]
    best = decode(torch.cat(logits) + by, lengths, tags).split(lengths)
    return [[tags[k] for k in sentence.tolist()] for sentence in best]


def best_move(logits: list[torch.Tensor], sentences: list, tags: list[str]) -> tuple[float, float]:
    """The one of `MOVES` with the highest entity F1, the nearest to 0 of equals, and that F1: what a tuned threshold is
    for a class, this is for names. Costs no training."""
    gold = [sentence.tags for sentence in sentences]
    f1 = {by: entity_scores(gold, tags_of(logits, tags, by))["f1"] for by in sorted(MOVES, key=abs)}
    best = max(f1, key=f1.get)
    return best, f1[best]


def calibration_error(logits: list[torch.Tensor], sentences: list, tags: list[str]) -> float:
    """The expected calibration error of the likeliest tag of each word, in [0, 1]; see `metrics.reliability`."""
    p, found = torch.cat(logits).softmax(-1).max(-1)
    gold = [tags.index(tag) for z, s in zip(logits, sentences, strict=True) for tag in s.tags[: len(z)]]
    return reliability(p.clamp(0, 1).numpy(), (found == torch.tensor(gold)).numpy()).error


def _scored(sentences: list, found: list[list[str]]) -> dict:
    scores = entity_scores([sentence.tags for sentence in sentences], found)
    marks = [mark for s, tags in zip(sentences, found, strict=True) for mark in compare(list(s.tags), tags)]
    return {
        **{name: scores[name] for name in ("f1", "precision", "recall")},
        **{f"f1_{kind}": row["f1"] for kind, row in scores["per_type"].items()},
        **{kind: sum(mark.verdict == kind for mark in marks) for kind in MISTAKES},
    }


def _packed(sentences: list, found: list[list[str]]) -> dict:
    names = [(set(entities(list(s.tags))), set(entities(tags))) for s, tags in zip(sentences, found, strict=True)]
    return {
        "right": "".join(f"{len(gold & mine):02x}" for gold, mine in names),
        "found": "".join(f"{len(mine):02x}" for _, mine in names),
    }


def _curve(values: list[float]) -> str:
    return " ".join(f"{part.mean():.4f}" for part in np.array_split(values, min(POINTS, len(values))))
