"""The sweep over α: MiniLM is fine-tuned to find names at each of eight values of α.

    rmlib study sweep

On a GPU the sweep takes minutes; elsewhere the lesson reads the stored table.

The columns `seconds` and `tokens_per_second` cover training alone, without evaluation, and depend
on the machine. The other columns depend on the seed, the device and its precision; the last two are
columns, too.
"""

import math
from dataclasses import replace

from rmlib.models.encoder import new_tagger
from rmlib.text.corpora import Corpus, newswire
from rmlib.training.config import Config
from rmlib.training.loop import Training, to_floats
from rmlib.training.runs import evaluate

from .table import Study

SEEDS = 3
ALPHAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, math.inf)
SETTINGS = Config(reward="soft_f1", epochs=3, patience=0)


def sweep_study(seeds: int = SEEDS) -> Study:
    """Return the study: soft F1 at each α of `ALPHAS`, on all sentences of the newswire."""
    runs = [{"seed": seed, "alpha": alpha} for alpha in ALPHAS for seed in range(seeds)]
    return Study("sweep", f"rmlib study sweep --seeds {seeds}", runs, one_run)


def one_run(seed: int, alpha: float, corpus: Corpus | None = None, **settings) -> dict:
    """Train once and return the rest of the row.

    Args:
        seed: of the new weights, the order of the batches and dropout.
        alpha: the weight of the reward loss.
        corpus: used in place of the newswire.
        settings: of `Config`, in place of the study's.

    Returns:
        test scores in [0, 1] of the epoch that is best on dev, that epoch and its dev F1, the
        number of steps, and how fast and on what the training ran.
    """
    corpus = corpus or newswire()
    config = replace(SETTINGS, alpha=alpha, seed=seed, **settings)
    tagger = new_tagger(corpus.tags, seed=seed)
    training = Training(
        tagger, tagger.encode(corpus.train).examples, config, lambda: evaluate(tagger, corpus.dev)
    )
    training.lazy = True
    steps = to_floats(list(training))
    scores = evaluate(tagger, corpus.test)
    return {
        **{name: scores[name] for name in ("f1", "precision", "recall")},
        "dev_f1": training.best_score,
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "seconds": training.seconds,
        "tokens_per_second": sum(step.tokens for step in steps) / training.seconds,
        "device": training.accelerator.device.type,
        "computed_in": training.precision,
    }
