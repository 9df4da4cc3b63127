"""Exact metrics against seqeval called directly, scikit-learn, and examples counted by hand."""

import random

import numpy as np
import pytest
from seqeval import metrics as seqeval
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score

from rmlib.errors import RmlibValueError
from rmlib.text.metrics import (
    entity_scores,
    reliability,
    report_table,
    token_accuracy,
    type_confusion,
)

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def random_tags(seed):
    rng = random.Random(seed)
    gold = [[rng.choice(TAGS) for _ in range(rng.randint(1, 12))] for _ in range(20)]
    predicted = [[tag if rng.random() < 0.8 else rng.choice(TAGS) for tag in tags] for tags in gold]
    return gold, predicted


@pytest.mark.filterwarnings("ignore")
def test_against_seqeval():
    for seed in range(20):
        gold, predicted = random_tags(seed)
        scores = entity_scores(gold, predicted)
        strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
        for name in ("precision", "recall", "f1"):
            measure = getattr(seqeval, f"{name}_score")
            assert scores[name] == pytest.approx(measure(gold, predicted, **strict), abs=1e-12)
            each = measure(gold, predicted, average=None, **strict)  # types by alphabet
            assert [scores["per_type"][kind][name] for kind in ("LOC", "PER")] == pytest.approx(
                list(each), abs=1e-12
            )
        flat = [[tag for tags in side for tag in tags] for side in (gold, predicted)]
        assert scores["token_accuracy"] == token_accuracy(gold, predicted) == accuracy_score(*flat)


def test_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "B-LOC", "I-LOC", "O"], ["O", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "B-LOC", "O", "O"], ["B-LOC", "O"]]
    scores = entity_scores(gold, predicted)
    # 5 predicted, 2 of them right: the person, and the first location of sentence 2; 4 in gold
    assert (scores["precision"], scores["recall"], scores["support"]) == (2 / 5, 2 / 4, 4)
    assert scores["f1"] == pytest.approx(2 * 2 / (5 + 4))
    assert scores["token_accuracy"] == 7 / 10
    person, place = scores["per_type"]["PER"], scores["per_type"]["LOC"]
    assert (person["precision"], person["recall"], person["support"]) == (1 / 2, 1, 1)
    assert (place["precision"], place["recall"], place["support"]) == (1 / 3, 1 / 3, 3)


def test_strict_an_entity_without_b_is_none():
    scores = entity_scores([["B-PER", "I-PER"]], [["I-PER", "I-PER"]])
    assert (scores["f1"], scores["precision"], scores["recall"]) == (0, 0, 0)
    # seqeval's other, lenient mode
    assert seqeval.f1_score([["B-PER", "I-PER"]], [["I-PER", "I-PER"]]) == 1


def test_perfect_and_nothing_predicted():
    gold = [["B-PER", "O"], ["O"]]
    assert entity_scores(gold, gold)["f1"] == entity_scores(gold, gold)["token_accuracy"] == 1
    nothing = entity_scores(gold, [["O", "O"], ["O"]])
    assert (nothing["f1"], nothing["precision"], nothing["recall"]) == (0, 0, 0)
    assert nothing["support"] == 1
    nobody = entity_scores([["O", "O"]], [["O", "O"]])
    assert (nobody["f1"], nobody["support"], nobody["per_type"]) == (0, 0, {})
    assert entity_scores([("B-PER", "O")], [["B-PER", "O"]])["f1"] == 1  # tuples work too


def test_table():
    scores = entity_scores(*random_tags(1))
    table = report_table(scores)
    assert list(table.index) == ["LOC", "PER", "all"]
    assert list(table.columns) == ["precision", "recall", "f1", "support"]
    assert table.loc["PER", "f1"] == scores["per_type"]["PER"]["f1"]
    assert table.loc["all", "recall"] == scores["recall"]
    assert table.support.dtype.kind == "i"
    assert table.support["all"] == table.support[["LOC", "PER"]].sum()


def test_confusion_counts_words():
    gold, predicted = random_tags(3)
    table = type_confusion(gold, predicted)
    assert list(table.index) == list(table.columns) == ["LOC", "PER", "O"]
    for a in table.index:
        for b in table.columns:
            count = sum(
                x.split("-")[-1] == a and y.split("-")[-1] == b
                for left, right in zip(gold, predicted, strict=True)
                for x, y in zip(left, right, strict=True)
            )
            assert table.loc[a, b] == count


def test_a_type_with_a_hyphen_stays_whole():
    tags = [["B-creative-work", "I-creative-work", "O"]]
    assert entity_scores(tags, tags)["per_type"].keys() == {"creative-work"}
    assert type_confusion(tags, tags).loc["creative-work", "creative-work"] == 2


@pytest.mark.parametrize("measure", [entity_scores, type_confusion])
def test_lengths_that_do_not_fit_are_named(measure):
    with pytest.raises(RmlibValueError, match="2 gold and 1 predicted sentences"):
        measure([["O"], ["O"]], [["O"]])
    with pytest.raises(RmlibValueError, match="sentence 2: 2 gold and 1 predicted tags"):
        measure([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(RmlibValueError, match="0 gold and 0 predicted sentences"):
        measure([], [])


def test_calibration_against_scikit_learn():
    from sklearn.calibration import calibration_curve

    draw = np.random.default_rng(0)
    p = np.round(draw.uniform(0.001, 0.999, 3000), 4) + 1e-5  # on no edge, where the two differ
    right = draw.uniform(size=3000) < p**2
    result = reliability(p, right, bins=10)
    accuracy, confidence = calibration_curve(right, p, n_bins=10)
    assert np.allclose(result.table["accuracy"], accuracy) and np.allclose(
        result.table["confidence"], confidence
    )
    shares = np.histogram(p, np.arange(11) / 10)[0] / 3000
    assert result.error == pytest.approx((shares * np.abs(accuracy - confidence)).sum())
    assert reliability(p, draw.uniform(size=3000) < p).error < 0.03 < 0.1 < result.error


def test_calibration_by_hand():
    result = reliability([0.1, 0.9, 0.7, 1.0, 0.5], [False, True, True, True, False], bins=2)
    assert result.table["words"].tolist() == [1, 4] and result.table["accuracy"].tolist() == [
        0,
        0.75,
    ]
    assert result.table["confidence"].tolist() == pytest.approx([0.1, 3.1 / 4])
    assert result.error == pytest.approx(0.2 * 0.1 + 0.8 * 0.025)
    table = reliability([0.95], [True]).table
    assert table["words"].tolist() == [0] * 9 + [1] and table["accuracy"].isna().sum() == 9


@pytest.mark.parametrize(
    ("arguments", "say"),
    [
        (([], []), "at least 1"),
        (([0.5], [True, False]), "shape"),
        (([1.5], [True]), "run from 1.5"),
        (([float("nan")], [True]), "expected 0 to 1"),
        (([0.5], [True], 0), "bins is 0"),
    ],
)
def test_calibration_refuses_what_does_not_fit(arguments, say):
    with pytest.raises(RmlibValueError, match=say):
        reliability(*arguments)


@pytest.mark.parametrize("other", ["art-", "-art", "-art-", ".art", "art.", "-", "_", "ar-t"])
def test_types_that_differ_in_signs_are_different_types(other):
    gold = [["B-art", "O", f"B-{other}", "O"]]
    scores = entity_scores(gold, [["B-art", "O", "B-art", f"B-{other}"]])
    assert (scores["support"], scores["precision"], scores["recall"]) == (2, 1 / 3, 1 / 2)
    assert scores["per_type"].keys() == {"art", other}
    assert scores["per_type"][other]["recall"] == 0 and scores["per_type"]["art"]["recall"] == 1
    assert entity_scores(gold, gold)["f1"] == 1
