"""The sweep over α: its runs, and that a row describes the weights of its best epoch."""

import math
from functools import partial

import pytest

from rmlib.models.encoder import new_tagger
from rmlib.studies.alpha_sweep import ALPHAS, one_run, sweep_study
from rmlib.studies.registry import find_study
from rmlib.studies.table import Study, fill
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import evaluate

SETTINGS = {"epochs": 2, "max_tokens": 512, "lr": 1e-3, "precision": "fp32"}


def test_the_runs_are_eight_alphas_times_the_seeds():
    study = find_study("sweep", 2)
    assert len(ALPHAS) == 8 and sorted(ALPHAS) == list(ALPHAS)
    assert ALPHAS[0] == 0 and ALPHAS[-1] == math.inf
    assert [(run["alpha"], run["seed"]) for run in study.runs] == [
        (alpha, seed) for alpha in ALPHAS for seed in (0, 1)
    ]
    assert "--seeds 2" in study.command


@pytest.mark.long
@pytest.mark.parametrize("alpha", [0.0, math.inf])
def test_a_row_equals_a_run_of_the_training_loop(small, alpha):
    row = one_run(3, alpha, small, **SETTINGS)
    tagger = new_tagger(small.tags, seed=3)
    config = Config(alpha=alpha, reward="soft_f1", seed=3, patience=0, **SETTINGS)
    training = Training(
        tagger, tagger.encode(small.train).examples, config, lambda: evaluate(tagger, small.dev)
    )
    tokens = sum(step.tokens for step in training)
    scores = evaluate(tagger, small.test)
    assert {name: row[name] for name in ("f1", "precision", "recall")} == {
        name: scores[name] for name in ("f1", "precision", "recall")
    }
    assert (row["dev_f1"], row["best_epoch"], row["steps"]) == (
        training.best_score,
        training.best_epoch,
        training.step,
    )
    assert (row["device"], row["computed_in"]) == ("cpu", "fp32")
    assert row["tokens_per_second"] == pytest.approx(tokens / row["seconds"])


def test_the_table_is_filled(small, tmp_path):
    study = sweep_study(1)
    one = partial(one_run, corpus=small, **SETTINGS | {"epochs": 1})
    short = Study(study.name, study.command, study.runs[::7], one)
    table = fill(short, tmp_path / "sweep.csv", progress=False)
    assert table["alpha"].tolist() == [0.0, math.inf] and table["seconds"].gt(0).all()
