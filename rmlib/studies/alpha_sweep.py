"""Eight α on names: a fine-tuning of MiniLM each. On a GPU it is done while you watch; elsewhere the table is read.

    rmlib study sweep

The columns `seconds` and `pieces_per_second` are of the training itself, without evaluation. They depend on the
machine; the others depend on the seed, the device and its precision, which have columns, too.
"""

import math
from dataclasses import replace

from rmlib.models.encoder import new_tagger
from rmlib.text.corpora import Corpus, newswire
from rmlib.training.config import Config
from rmlib.training.loop import Training, read
from rmlib.training.runs import evaluate

from .table import Study

SEEDS = 3
ALPHAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, math.inf)
SETTINGS = Config(reward="soft_f1", epochs=3, patience=0)


def sweep_study(seeds: int = SEEDS) -> Study:
    """The study: soft F1 at each α of `ALPHAS`, on all sentences of the newswire, α by α."""
    runs = [{"seed": seed, "alpha": alpha} for alpha in ALPHAS for seed in range(seeds)]
    return Study("sweep", f"rmlib study sweep --seeds {seeds}", runs, one_run)


def one_run(seed: int, alpha: float, corpus: Corpus | None = None, **settings) -> dict:
    """The rest of a row: entity scores of the epoch that is best on dev, and how long the training took.

    Args:
        corpus: in place of the newswire. settings: of `Config`, in place of the study's.
    """
    corpus = corpus or newswire()
    config = replace(SETTINGS, alpha=alpha, seed=seed, **settings)
    tagger = new_tagger(corpus.tags, seed=seed)
    training = Training(tagger, tagger.encode(corpus.train).examples, config, lambda: evaluate(tagger, corpus.dev))
    training.lazy = True
    steps = read(list(training))
    scores = evaluate(tagger, corpus.test)
    return {
        **{name: scores[name] for name in ("f1", "precision", "recall")},
        "dev_f1": training.best_score,
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "seconds": training.seconds,
        "pieces_per_second": sum(step.pieces for step in steps) / training.seconds,
        "device": training.accelerator.device.type,
        "computed_in": training.precision,
    }
