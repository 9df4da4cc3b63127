"""The reward menu: every type of the registry, and the properties of the chosen one."""

import html
import inspect

import ipywidgets

from rmlib.loss.rewards import REWARDS, Reward
from rmlib.widgets.framework.explorer import allowed, menu


def describe(reward: Reward) -> list[tuple[str, str]]:
    """The properties of a reward as (term, text); the formula is LaTeX."""
    gradient = "estimated from samples of the model's answers" if reward.sampled else "exact"
    if reward.splits:
        parts = "may be averaged"
    else:
        parts = "must be put together first: it is a ratio over the whole batch"
    parameters = list(inspect.signature(reward.function).parameters.values())[3:]
    return [
        ("R", f"${reward.formula}$"),
        ("in words", inspect.getdoc(reward.function).splitlines()[0]),
        ("range", f"{reward.lowest:.3g} to 1"),
        ("gradient", gradient),
        ("parts of a batch", parts),
        ("parameters", ", ".join(f"{p.name} = {p.default}" for p in parameters) or "none"),
        ("applies to", ", ".join(reward.levels)),
        ("from", reward.reference),
    ]


class RewardMenu:
    """A menu of the reward types; `reward_menu.reward` is the chosen name.

    Show `reward_menu.widget`.

    Args:
        reward: a name in `REWARDS`.

    Raises:
        RmlibValueError: a name that is not in the menu; the same when `reward` is set.
    """

    def __init__(self, reward: str = "soft_f1"):
        self._menu = menu("reward", list(REWARDS))
        self._page = ipywidgets.HTMLMath(layout={"max_width": "100%"})
        self._menu.observe(self._show, "value")
        self.reward = reward
        self._show()
        self.widget = ipywidgets.VBox([self._menu, self._page])

    @property
    def reward(self) -> str:
        """The name of the chosen reward type; setting it moves the menu."""
        return self._menu.value

    @reward.setter
    def reward(self, name: str) -> None:
        self._menu.value = allowed("reward", list(REWARDS), name)

    @property
    def text(self) -> str:
        """What the widget shows, as plain text."""
        return "\n".join(f"{term}: {text}" for term, text in describe(REWARDS[self.reward]))

    def _show(self, change=None) -> None:
        facts = describe(REWARDS[self.reward])
        rows = "".join(
            f"<dt><strong>{html.escape(term)}</strong></dt><dd>{html.escape(text)}</dd>"
            for term, text in facts
        )
        self._page.value = f'<dl role="status" aria-live="polite">{rows}</dl>'
