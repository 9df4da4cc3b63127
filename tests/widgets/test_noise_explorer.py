"""The noise explorer: what it shows is what a training by hand gives, and it is quick."""

import time

import pytest

from rmlib.loss.rewards import REWARDS
from rmlib.studies.sentiment_data import CONDITIONS, make_split
from rmlib.studies.sentiment_methods import Method, scores, train
from rmlib.text.downloads import AssetError
from rmlib.widgets import NoiseExplorer


@pytest.fixture(scope="module", autouse=True)
def data():
    try:
        make_split("clean", 0)
    except AssetError as error:
        pytest.skip(f"the tweets are not available: {error}")


def test_its_scores_are_those_of_the_two_heads():
    explorer, split = NoiseExplorer(alpha=10.0), make_split(CONDITIONS["symmetric 30 %"], 0)
    own = train(split, Method((REWARDS["expected_accuracy"],), (10.0,)))
    assert explorer.scores["with the reward"] == pytest.approx(scores(split.test.y, own))
    assert explorer.scores["cross-entropy"] == pytest.approx(
        scores(split.test.y, train(split, Method()))
    )
    found = {name: scores["accuracy"] for name, scores in explorer.scores.items()}
    assert (
        f"accuracy {found['cross-entropy']:.3f} → {found['with the reward']:.3f}" in explorer.text
    )


def test_at_alpha_0_the_two_heads_are_one():
    explorer = NoiseExplorer(alpha=0.0)
    first, second = explorer.scores.values()
    assert first == second


def test_a_move_trains_again_in_a_moment():
    explorer = NoiseExplorer()
    before = explorer.text
    explorer.share, explorer.reward = 0.1, "soft_f1"
    assert explorer.text != before and "10% negative" in explorer.text and explorer.png
    began = time.perf_counter()
    explorer.alpha = 1.0
    assert "α = 1, soft_f1" in explorer.text
    assert time.perf_counter() - began < 5  # .3 s on a quiet machine
