"""The study of lesson 08: α, reward types and seeds crossed, on named entities.

    rmlib study ner
    rmlib study ner --corpus conll2003 --accept-licence

Each row is one fine-tuning of MiniLM on sentences that its seed draws: the epoch that was best on
the dev sentences, scored once on the test sentences. `gold`, `right` and `found` hold two
hexadecimal digits per test sentence: its number of gold, correctly predicted and predicted
entities. Entity F1 is computed from these counts, so any difference can be bootstrapped from the
table. The columns that end in `_moved` describe the same run after its threshold for "O" was tuned
on dev. No column depends on the clock, so the same command gives the same table.
"""

import math
import random
from functools import lru_cache, partial

import numpy as np
import torch

from rmlib.determinism import one_thread
from rmlib.errors import RmlibError
from rmlib.models.encoder import new_tagger
from rmlib.studies.ner_errors import ERROR_TYPES, compare
from rmlib.text.conll import entities
from rmlib.text.corpora import Corpus, load
from rmlib.text.metrics import entity_scores, reliability
from rmlib.text.viterbi import decode
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import evaluate

from .table import Study

SEEDS = 5
ALPHAS = (1.0, 10.0, math.inf)
REWARDS_TRIED = ("expected_accuracy", "soft_f1", "entity_f1", "soft_f1_macro", "gce")
AFTER = " after ce"  # cross-entropy in the first half of the steps, then the reward
TRIED_AFTER = {
    f"{name}{AFTER}": (1.0, math.inf) for name in ("expected_accuracy", "soft_f1", "entity_f1")
}
# Cross-entropy with its learning rate.
CONTROLS = {"ce": 5e-4, "ce, half lr": 2.5e-4, "ce, twice lr": 1e-3}
# Those of the stored table; every machine can use them.
SETTINGS = {"max_tokens": 512, "precision": "fp32", "packed": "no"}
# Training sentences and epochs, which give about the same number of steps.
SIZES = {"newswire": (1000, 2), "conll2003": (3000, 1)}
MAX_DEV = 500  # sentences
MOVES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # what may be added to the logit of "O"
POINTS = 12  # per curve


def ner_study(seeds: int = SEEDS, corpus: str = "newswire") -> Study:
    """Return the study; `one_run` makes a row. Cross-entropy comes first, then method by method.

    On CoNLL-2003 there are three settings: cross-entropy, and at α = 1 the two rewards that are
    best on the newswire when used from the first step. Nothing is selected there, so no gain can be
    due to selection.

    Args:
        seeds: how many, from 0 up.
        corpus: a key of `SIZES`.

    Raises:
        RmlibError: the corpus has no study.
    """
    if corpus not in SIZES:
        raise RmlibError(f"corpus {corpus!r} has no study; expected {' or '.join(SIZES)}")
    command = f"rmlib study ner --seeds {seeds}"
    if corpus == "newswire":
        name = "ner"
        alphas = dict.fromkeys(CONTROLS, (0.0,))
        alphas |= dict.fromkeys(REWARDS_TRIED[:3], ALPHAS)
        alphas |= TRIED_AFTER
        alphas |= dict.fromkeys(REWARDS_TRIED[3:], ALPHAS)
    else:
        name = f"ner_{corpus}"
        command += f" --corpus {corpus} --accept-licence"
        alphas = {"ce": (0.0,), "soft_f1": (1.0,), "soft_f1_macro": (1.0,)}
    runs = [
        {"seed": seed, "method": method, "alpha": alpha}
        for method in alphas
        for seed in range(seeds)
        for alpha in alphas[method]
    ]
    return Study(name, command, runs, partial(one_run, corpus=corpus))


@lru_cache(maxsize=2)
def study_corpus(name: str) -> Corpus:
    """Load the corpus of a study; whoever runs the study has accepted the licence."""
    whole = load(name, accept_licence=True)
    return Corpus(whole.name, whole.train, whole.dev[:MAX_DEV], whole.test)


def one_run(
    seed: int, method: str, alpha: float, corpus: str | Corpus = "newswire", **settings
) -> dict:
    """Train once and return the rest of the row, described at the head of this file.

    Everything is computed on one thread, so that the order of summation is fixed.

    Args:
        seed: of the training sentences, the new weights, the order of the batches and dropout.
        method: a control, or a reward type, which may end in `AFTER`.
        alpha: the weight of the reward loss.
        corpus: a key of `SIZES`, or a corpus of your own; all its training sentences are used.
        settings: of `Config`, in place of the study's.

    Returns:
        scores in [0, 1]: `dev_f1`, `f1`, `precision`, `recall`, `f1_PER` and so on, and
        `calibration_error` over words; the numbers of `ERROR_TYPES` on the test sentences;
        `best_epoch`, `steps`; `move`, which added to the logit of "O" gives the best dev F1, with
        `dev_f1_moved` and `f1_moved`; `L_p` and `L_r`, `POINTS` means over the steps each, and
        `dev_curve`, dev F1 after each epoch, all separated by spaces.
    """
    if isinstance(corpus, str):
        size, epochs = SIZES[corpus]
        data = study_corpus(corpus)
        train = random.Random(seed).sample(data.train, size)
    else:
        epochs = 1
        data = corpus
        train = data.train
    reward = "soft_f1" if method in CONTROLS else method.removesuffix(AFTER)
    starts_with_ce = method.endswith(AFTER)
    settings = SETTINGS | {"epochs": epochs, "lr": CONTROLS.get(method, CONTROLS["ce"])} | settings
    config = Config(alpha=0.0 if starts_with_ce else alpha, reward=reward, seed=seed, **settings)
    with one_thread():
        tagger = new_tagger(data.tags, seed=seed)
        training = Training(
            tagger, tagger.encode(train).examples, config, lambda: evaluate(tagger, data.dev)
        )
        steps = []
        for step in training:
            steps.append(step)
            if starts_with_ce and 2 * step.step >= len(training):
                training.objective.alpha = alpha
        dev, test = (tagger.logits(tagger.encode(part)) for part in (data.dev, data.test))
    predicted = tags_of(test, tagger.labels)
    move, dev_f1_moved = best_move(dev, data.dev, tagger.labels)
    moved = tags_of(test, tagger.labels, move)
    return {
        "dev_f1": training.best_score,
        **_scores(data.test, predicted),
        "calibration_error": calibration_error(test, data.test, tagger.labels),
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "move": move,
        "dev_f1_moved": dev_f1_moved,
        "f1_moved": entity_scores([s.tags for s in data.test], moved)["f1"],
        "L_p": _curve([step.prediction for step in steps]),
        "L_r": _curve([step.reward for step in steps]),
        "dev_curve": " ".join(f"{step.scores['f1']:.4f}" for step in steps if step.scores),
        "gold": "".join(f"{len(entities(list(sentence.tags))):02x}" for sentence in data.test),
        **_entity_counts(data.test, predicted),
        **{f"{name}_moved": value for name, value in _entity_counts(data.test, moved).items()},
    }


def tags_of(logits: list[torch.Tensor], tags: list[str], move: float = 0.0) -> list[list[str]]:
    """Decode the best well-formed tags of each sentence.

    Args:
        logits: (words, tags) of each sentence.
        tags: the names of the tags.
        move: added to the logit of "O".
    """
    lengths = [len(z) for z in logits]
    offset = torch.tensor([move if tag == "O" else 0.0 for tag in tags])
    best = decode(torch.cat(logits) + offset, lengths, tags).split(lengths)
    return [[tags[k] for k in sentence.tolist()] for sentence in best]


def best_move(logits: list[torch.Tensor], sentences: list, tags: list[str]) -> tuple[float, float]:
    """Return the one of `MOVES` with the highest entity F1, and that F1; ties go to the smallest.

    This does for entities what a tuned threshold does for a class, and needs no training.
    """
    gold = [sentence.tags for sentence in sentences]
    f1 = {
        move: entity_scores(gold, tags_of(logits, tags, move))["f1"]
        for move in sorted(MOVES, key=abs)
    }
    best = max(f1, key=f1.get)
    return best, f1[best]


def calibration_error(logits: list[torch.Tensor], sentences: list, tags: list[str]) -> float:
    """Return the expected calibration error, in [0, 1], of the most likely tag of each word.

    See `metrics.reliability`.
    """
    p, predicted = torch.cat(logits).softmax(-1).max(-1)
    gold = [
        tags.index(tag) for z, s in zip(logits, sentences, strict=True) for tag in s.tags[: len(z)]
    ]
    return reliability(p.clamp(0, 1).numpy(), (predicted == torch.tensor(gold)).numpy()).error


def _scores(sentences: list, predicted: list[list[str]]) -> dict:
    scores = entity_scores([sentence.tags for sentence in sentences], predicted)
    marks = [
        mark
        for sentence, tags in zip(sentences, predicted, strict=True)
        for mark in compare(list(sentence.tags), tags)
    ]
    return {
        **{name: scores[name] for name in ("f1", "precision", "recall")},
        **{f"f1_{kind}": row["f1"] for kind, row in scores["per_type"].items()},
        **{kind: sum(mark.verdict == kind for mark in marks) for kind in ERROR_TYPES},
    }


def _entity_counts(sentences: list, predicted: list[list[str]]) -> dict[str, str]:
    """Two hexadecimal digits per sentence: its correctly predicted and its predicted entities."""
    pairs = [
        (set(entities(list(sentence.tags))), set(entities(tags)))
        for sentence, tags in zip(sentences, predicted, strict=True)
    ]
    return {
        "right": "".join(f"{len(gold & claimed):02x}" for gold, claimed in pairs),
        "found": "".join(f"{len(claimed):02x}" for _, claimed in pairs),
    }


def _curve(values: list[float]) -> str:
    """At most `POINTS` means over successive parts of the values."""
    parts = np.array_split(values, min(POINTS, len(values)))
    return " ".join(f"{part.mean():.4f}" for part in parts)
