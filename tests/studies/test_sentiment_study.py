"""The table of the sentiment study: reproducible rows, and effects computed from them."""

import numpy as np
import pandas as pd
import pytest

from rmlib.studies.sentiment_data import make_split
from rmlib.studies.sentiment_methods import CONTROLS, METHODS
from rmlib.studies.sentiment_study import (
    against_controls,
    effect,
    one_run,
    sentiment_study,
    strongest_control,
    unpack,
    verdict,
)
from rmlib.text.downloads import AssetError


@pytest.fixture(scope="module")
def table():
    try:
        make_split("clean", 0)
    except AssetError as error:
        pytest.skip(f"the tweets cannot be had: {error}")
    methods = ("ce", "ce, tuned threshold", "soft_f1")
    runs = [
        {"condition": "10 % negative", "seed": seed, "method": method}
        for seed in (0, 1, 2)
        for method in methods
    ]
    return pd.DataFrame(run | one_run(**run) for run in runs)


def test_the_study_crosses_conditions_seeds_and_methods():
    runs = sentiment_study(2).runs
    assert len(runs) == 10 * 2 * len(METHODS) and runs[0] == {
        "condition": "clean",
        "seed": 0,
        "method": "ce",
    }


def test_the_predictions_in_a_row_give_its_scores(table):
    for _, row in table.iterrows():
        items, y, predictions = unpack(row["condition"], row["seed"], row["predicted"])
        assert (predictions == y).mean() == pytest.approx(row["accuracy"])
        assert len(items) == len(predictions)


def test_a_run_is_reproducible(table):
    again = one_run("10 % negative", 1, "soft_f1")
    assert again == {name: table.iloc[5][name] for name in again}


def test_the_effect_is_the_mean_difference_of_the_measure(table):
    f1 = table.pivot(index="seed", columns="method", values="f1")
    single = effect(table, "10 % negative", "ce", "ce, tuned threshold")
    assert single.mean == pytest.approx(np.mean(f1["ce, tuned threshold"] - f1["ce"]))
    assert single.low <= single.mean <= single.high
    wide = effect(table, "10 % negative", "ce", "ce, tuned threshold", confidence=0.999)
    assert wide.low <= single.low and wide.high >= single.high


def test_the_strongest_control_is_the_one_that_is_hardest_to_beat(table):
    best = table[table["method"].isin(list(CONTROLS))].groupby("method")["f1"].mean().idxmax()
    assert strongest_control(table, "10 % negative") == best


def test_against_controls_and_its_verdict(table):
    one = against_controls(table, ["10 % negative"], ["soft_f1"])
    assert len(one) == 1
    row = one.iloc[0]
    assert row["all_low"] == row["low"] <= row["difference"] <= row["high"] == row["all_high"]
    assert verdict(one).startswith("1 comparisons with the strongest control: ")
    assert "soft_f1" in verdict(one)
    three = pd.concat([one, one, one], ignore_index=True)
    three["all_low"] = [0.1, -0.2, -0.1]
    three["all_high"] = [0.3, -0.1, 0.1]
    assert "1 won, 1 lost, 1 undecided" in verdict(three)
