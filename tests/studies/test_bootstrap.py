"""Intervals against textbook formulas and brute force, and their coverage."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from rmlib.errors import RmlibValueError
from rmlib.studies.bootstrap import (
    MEASURES,
    Effect,
    Pair,
    counts,
    over_seeds,
    over_seeds_and_items,
    paired_bootstrap,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("accuracy", accuracy_score),
        ("balanced_accuracy", balanced_accuracy_score),
        ("f1", f1_score),
    ],
)
def test_measures_are_scikit_learns(name, theirs):
    for _ in range(20):
        y, predictions = RNG.integers(2, size=(2, 30))
        assert MEASURES[name](counts(y, predictions)) == pytest.approx(theirs(y, predictions))


def test_measures_of_nothing_are_0():
    nothing = counts([0, 0], [0, 0])
    assert MEASURES["f1"](nothing) == 0 and MEASURES["accuracy"](nothing) == 1


def test_counts_of_each_item_add_up():
    y, predictions = RNG.integers(2, size=(2, 50))
    assert (counts(y[:, None], predictions[:, None]).sum(0) == counts(y, predictions)).all()


def share_right(y, predictions) -> float:
    return float((y == predictions).mean())


def test_the_paired_bootstrap_has_the_width_of_the_normal_theory():
    y, a, b = RNG.integers(2, size=(3, 400))
    effect = paired_bootstrap(share_right, y, a, b)
    d = (y == b).astype(float) - (y == a)
    assert effect.mean == pytest.approx(d.mean())
    assert effect.high - effect.low == pytest.approx(2 * 1.96 * d.std() / 20, rel=0.1)
    assert effect == paired_bootstrap(share_right, y, a, b)  # the same seed


def test_pairs_that_agree_have_no_interval():
    y, a = RNG.integers(2, size=(2, 30))
    assert paired_bootstrap(share_right, y, a, a, resamples=50) == Effect(0, 0, 0)


def test_over_seeds_is_students():
    d = np.array([0.02, 0.05, 0.01, 0.04, 0.03])
    margin = stats.t.ppf(0.975, 4) * d.std(ddof=1) / np.sqrt(5)
    assert over_seeds(d) == pytest.approx((0.03, 0.03 - margin, 0.03 + margin))
    assert over_seeds([0.1, 0.1]) == Effect(0.1, 0.1, 0.1)
    assert over_seeds(d, 0.99).low < over_seeds(d).low


def simulated_pairs(seeds, items=150, share=0.06):
    """Test sets drawn from one set of items; the gain varies over seeds with deviation 0.02."""
    truth = RNG.integers(2, size=items * 2)
    difficult = RNG.random(items * 2) < 0.3
    pairs = []
    for _ in range(seeds):
        drawn = RNG.permutation(items * 2)[:items]
        y = truth[drawn]
        gain = share + RNG.normal(0, 0.02)
        a = np.where(difficult[drawn] | (RNG.random(items) < 0.1), 1 - y, y)
        b = np.where((a != y) & (RNG.random(items) < gain / 0.37), y, a)
        pairs.append(Pair(drawn, counts(y[:, None], a[:, None]), counts(y[:, None], b[:, None])))
    return pairs


def test_the_interval_over_seeds_and_items_has_its_nominal_coverage():
    inside = 0
    for number in range(60):
        pairs = simulated_pairs(8)
        effect = over_seeds_and_items(MEASURES["accuracy"], pairs, resamples=300, seed=number)
        inside += effect.low <= 0.06 <= effect.high
    assert inside >= 50  # 57 are expected at 95 %; 50 or fewer happen once in a thousand


def test_the_mean_is_that_of_the_seeds_and_more_confidence_is_wider():
    pairs = simulated_pairs(5)
    effect = over_seeds_and_items(MEASURES["f1"], pairs)
    f1 = [MEASURES["f1"](p.method.sum(0)) - MEASURES["f1"](p.control.sum(0)) for p in pairs]
    assert effect.mean == pytest.approx(np.mean(f1))
    wide = over_seeds_and_items(MEASURES["f1"], pairs, confidence=0.99)
    assert wide.low < effect.low < effect.mean < effect.high < wide.high


def test_an_effect_in_words_and_whether_its_interval_excludes_0():
    assert str(Effect(0.0204, -0.001, 0.04)) == "+0.020 (-0.001 to +0.040)"
    assert not Effect(0.02, -0.001, 0.04).stands
    assert Effect(0.02, 0.001, 0.04).stands
    assert Effect(-1, -2, -0.1).stands


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: paired_bootstrap(None, [1, 0], [1], [1, 0]), "2 labels, 1 and 2 predictions"),
        (lambda: over_seeds([0.1]), "shape (1,)"),
        (lambda: over_seeds_and_items(None, []), "0 pairs"),
        (
            lambda: over_seeds_and_items(
                None, [Pair(np.arange(2), np.ones((3, 4)), np.ones((2, 4)))]
            ),
            "1 pairs",
        ),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(RmlibValueError) as caught:
        call()
    assert words in str(caught.value)
