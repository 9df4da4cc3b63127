"""One run of the NER study on a few sentences, and what can be read back from its row."""

import math

import numpy as np
import pandas as pd
import pytest

from rmlib import ner_study
from rmlib.bootstrap import f1
from rmlib.corpora import Corpus, newswire

SMALL = {"epochs": 1, "budget": 256}


@pytest.fixture(scope="module")
def corpus():
    whole = newswire()
    return Corpus("newswire", whole.train[:60], whole.dev[:20], whole.test)


@pytest.fixture(scope="module")
def table(corpus):
    rows = [("none", 0.0, 0), ("none", 0.0, 1), ("entity_f1", math.inf, 0), ("soft_f1", 10.0, 1)]
    return pd.DataFrame(
        {"seed": seed, "reward": reward, "alpha": alpha} | ner_study.one_run(seed, reward, alpha, corpus, **SMALL)
        for reward, alpha, seed in rows
    )


def test_a_row_holds_its_scores_and_they_agree(table):
    gold = ner_study.gold_names()
    for _, row in table.iterrows():
        right, found = (np.array(list(bytes.fromhex(row[name]))) for name in ("right", "found"))
        assert len(right) == len(found) == len(gold)
        assert row["f1"] == pytest.approx(2 * right.sum() / max(found.sum() + gold.sum(), 1))
        verdicts = right.sum() + row["type"] + row["boundary"] + row["invented"]
        assert verdicts == found.sum() and 0 <= row["calibration_error"] <= 1 and row["seconds_per_step"] > 0


def test_the_same_seed_gives_the_same_row(table, corpus):
    again = ner_study.one_run(0, "none", 0.0, corpus, **SMALL)
    assert {name: table[name][0] for name in again if name != "seconds_per_step"} == {
        name: value for name, value in again.items() if name != "seconds_per_step"
    }


def test_an_effect_is_the_difference_on_the_seeds_that_both_have(table):
    (pair,) = ner_study.pairs(table, ("none", 0.0), ("soft_f1", 10.0))
    assert f1(pair.method.sum(0)) == pytest.approx(table["f1"][3])
    assert f1(pair.control.sum(0)) == pytest.approx(table["f1"][1])
    effect = ner_study.effect(table, ("none", 0.0), ("soft_f1", 10.0))
    assert effect.mean == pytest.approx(table["f1"][3] - table["f1"][1]) and effect.low <= effect.mean <= effect.high
