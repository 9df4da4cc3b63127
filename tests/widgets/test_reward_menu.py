"""The reward menu: it holds all of the registry, and shows the properties that it has there."""

import html

import pytest

from rmlib.errors import RmlibValueError
from rmlib.loss.rewards import REWARDS
from rmlib.widgets import RewardMenu


def test_every_reward_is_in_the_menu_and_described():
    menu = RewardMenu()
    dropdown, page = menu.widget.children
    assert dropdown.options == tuple(REWARDS) and menu.reward == dropdown.value == "soft_f1"
    for name, reward in REWARDS.items():
        dropdown.value = name  # as a reader moves it
        assert menu.reward == name
        for text in (
            reward.formula,
            reward.reference,
            f"range: {reward.lowest:.3g} to 1",
            ", ".join(reward.levels),
        ):
            assert text in menu.text
        assert html.escape(f"${reward.formula}$") in page.value
        assert ("samples" in menu.text) == reward.sampled
    menu.reward = "gce"
    assert dropdown.value == "gce" and "q = 0.7" in menu.text


def test_a_reward_that_is_not_there_is_refused():
    with pytest.raises(
        RmlibValueError, match="reward 'soft_f2' is not in the menu; did you mean 'soft_f1'"
    ):
        RewardMenu("soft_f2")
