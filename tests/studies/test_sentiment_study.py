"""The table of the sentiment study: its rows can be made again, and its effects are those of the answers in it."""

import numpy as np
import pandas as pd
import pytest

from rmlib.studies.sentiment_data import make_split
from rmlib.studies.sentiment_methods import CONTROLS, METHODS
from rmlib.studies.sentiment_study import (
    against_controls,
    answers,
    effect,
    one_run,
    sentiment_study,
    strongest_control,
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
    runs = [{"condition": "10 % negative", "seed": seed, "method": method} for seed in (0, 1, 2) for method in methods]
    return pd.DataFrame(run | one_run(**run) for run in runs)


def test_the_study_crosses_conditions_seeds_and_methods():
    runs = sentiment_study(2).runs
    assert len(runs) == 10 * 2 * len(METHODS) and runs[0] == {"condition": "clean", "seed": 0, "method": "ce"}


def test_what_is_packed_in_a_row_gives_its_scores(table):
    for _, row in table.iterrows():
        items, y, found = answers(row["condition"], row["seed"], row["predicted"])
        assert (found == y).mean() == pytest.approx(row["accuracy"]) and len(items) == len(found)


def test_a_run_is_the_same_when_it_is_made_again(table):
    again = one_run("10 % negative", 1, "soft_f1")
    assert again == {name: table.iloc[5][name] for name in again}


def test_the_effect_is_the_mean_difference_of_the_measure(table):
    f1 = table.pivot(index="seed", columns="method", values="f1")
    found = effect(table, "10 % negative", "ce", "ce, tuned threshold")
    assert found.mean == pytest.approx(np.mean(f1["ce, tuned threshold"] - f1["ce"]))
    assert found.low <= found.mean <= found.high
    wide = effect(table, "10 % negative", "ce", "ce, tuned threshold", confidence=0.999)
    assert wide.low <= found.low and wide.high >= found.high


def test_the_strongest_control_is_the_one_that_is_hardest_to_beat(table):
    best = table[table["method"].isin(list(CONTROLS))].groupby("method")["f1"].mean().idxmax()
    assert strongest_control(table, "10 % negative") == best


def test_against_controls_and_its_verdict(table):
    found = against_controls(table, ["10 % negative"], ["soft_f1"])
    row = found.iloc[0]
    assert len(found) == 1 and row["all_low"] == row["low"] <= row["difference"] <= row["high"] == row["all_high"]
    assert verdict(found).startswith("1 comparisons with the strongest control: ") and "soft_f1" in verdict(found)
    found = pd.concat([found, found, found], ignore_index=True)
    found["all_low"], found["all_high"] = [0.1, -0.2, -0.1], [0.3, -0.1, 0.1]
    assert "1 won, 1 lost, 1 undecided" in verdict(found)
