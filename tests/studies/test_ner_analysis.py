"""The analysis of the NER study, on made-up tables with known effects."""

import math

import numpy as np
import pandas as pd
import pytest

from rmlib.errors import RmlibValueError
from rmlib.studies import ner_analysis

SENTENCES = 400


def packed(values) -> str:
    return "".join(f"{int(n):02x}" for n in values)


def made_up(
    skills: dict[tuple[str, float], float], seeds: int = 5, gain: float = 0.0
) -> pd.DataFrame:
    """One row per seed and (method, α); `skills` are the recalls, `gain` is added by a moved "O".

    The sentences are the same for all seeds, and the methods share the random numbers, so that they
    miss the same entities.
    """
    rows = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        gold = np.random.default_rng(99).integers(0, 4, SENTENCES)
        difficulty = random.random((SENTENCES, 4))
        for (method, alpha), skill in skills.items():
            row = {"seed": seed, "method": method, "alpha": alpha, "gold": packed(gold)}
            for tail, chance in (("", skill), ("_moved", skill + gain)):
                right = [(difficulty[i, : gold[i]] < chance).sum() for i in range(SENTENCES)]
                # As many entities are predicted as there are.
                row |= {"right" + tail: packed(right), "found" + tail: packed(gold)}
                row |= {
                    "f1" + tail: sum(right) / gold.sum(),
                    "dev_f1" + tail: chance + 1e-3 * random.random(),
                }
            row |= {name: row["f1"] for name in ("precision", "recall")} | {
                "calibration_error": 0.1 * skill
            }
            row |= {f"f1_{t}": row["f1"] for t in ner_analysis.TYPES} | dict.fromkeys(
                ner_analysis.ERROR_TYPES, 3
            )
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def table():
    return made_up(
        {
            ("ce", 0.0): 0.7,
            ("ce, half lr", 0.0): 0.66,
            ("soft_f1", 1.0): 0.705,
            ("soft_f1", math.inf): 0.5,
        },
        gain=0.01,
    )


def test_counts_give_the_f1_of_the_row(table):
    for _, row in table.iterrows():
        tp, fp, fn, _ = ner_analysis.sentence_counts(row).sum(0)
        assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(row["f1"])
        tp, fp, fn, _ = ner_analysis.sentence_counts(row, moved=True).sum(0)
        assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(row["f1_moved"])


def test_a_difference_is_that_of_the_means_and_its_interval_detects_a_large_one(table):
    ce, alone = ner_analysis.setting(table, "ce"), ner_analysis.setting(table, "soft_f1", math.inf)
    effect = ner_analysis.compare(ce, alone)
    assert effect.mean == pytest.approx((alone["f1"] - ce["f1"]).mean()) and effect.high < -0.1
    same = ner_analysis.compare(ce, ce)
    assert same == (0, 0, 0)
    moved = ner_analysis.compare(ce, ce, moved=True)
    assert moved.mean == pytest.approx((ce["f1_moved"] - ce["f1"]).mean()) and moved.mean > 0


def test_dev_selects_seed_by_seed_without_the_test_scores(table):
    chosen = ner_analysis.by_dev(table, ["soft_f1"])
    assert chosen["alpha"].tolist() == [1.0] * 5
    worse_test = table.assign(f1=1 - table["f1"], f1_moved=0.0)
    assert ner_analysis.by_dev(worse_test, ["soft_f1"])["alpha"].tolist() == [1.0] * 5
    swapped = table.assign(dev_f1=1 - table["dev_f1"])
    assert ner_analysis.by_dev(swapped, ["soft_f1"])["alpha"].tolist() == [math.inf] * 5


def test_the_strongest_control_is_the_best_on_test(table):
    name, rows, moved = ner_analysis.strongest_control(table)
    ce = table[table["method"] == "ce"]
    assert name == "ce, O moved" and moved
    assert rows["f1_moved"].mean() == pytest.approx(ce["f1_moved"].mean())


def test_against_the_control(table):
    comparisons = ner_analysis.against_control(table, "made up")
    assert comparisons["method"].tolist() == ["soft_f1", "soft_f1, O moved"]
    assert set(comparisons["control"]) == {"ce, O moved"}
    for row in comparisons.itertuples():
        assert row.all_low <= row.low <= row.difference <= row.high <= row.all_high
    plain, moved = comparisons["difference"]
    assert moved == pytest.approx(plain + 0.01, abs=0.006)


def test_changes_are_means_with_intervals_over_the_seeds(table):
    ce, alone = ner_analysis.setting(table, "ce"), ner_analysis.setting(table, "soft_f1", math.inf)
    found = ner_analysis.changes(ce, alone)
    assert found.loc["calibration_error", "difference"] == pytest.approx(0.1 * (0.5 - 0.7))
    assert found.loc["f1", "difference"] == pytest.approx((alone["f1"] - ce["f1"]).mean())
    assert (found["low"] <= found["difference"]).all() and found.loc["missing", "difference"] == 0


def test_settings_that_cannot_be_distinguished_share_ranks(table):
    found = ner_analysis.ranks(table)
    ranks = {row.method + f"{row.alpha:g}": (row.best, row.worst) for row in found.itertuples()}
    assert ranks["soft_f1inf"] == (4, 4)  # far below all others
    assert ranks["ce0"][0] == 1 and ranks["soft_f11"][0] == 1  # half a point apart: tied
    assert found["f1"].is_monotonic_decreasing
    tied = ner_analysis.ranks(made_up({("ce", 0.0): 0.7, ("soft_f1", 1.0): 0.702}))
    assert tied["best"].tolist() == [1, 1] and tied["worst"].tolist() == [2, 2]


def test_a_missing_setting_is_named(table):
    with pytest.raises(RmlibValueError, match="no run of 'soft_f1' with α = 2"):
        ner_analysis.setting(table, "soft_f1", 2.0)
    with pytest.raises(RmlibValueError, match="no seed in common"):
        ner_analysis.compare(
            ner_analysis.setting(table, "ce"), ner_analysis.setting(table, "ce").iloc[:0]
        )
