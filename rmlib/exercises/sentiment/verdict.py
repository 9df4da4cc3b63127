"""Lesson 06, "write the verdict": what the stored table says of sampled accuracy under 30 % wrong labels."""

from functools import lru_cache
from numbers import Number

import numpy as np
import pandas as pd

from rmlib.exercises.framework.exercise import Exercise, NotYet, blank
from rmlib.studies.bootstrap import Effect, over_seeds
from rmlib.studies.sentiment_data import CONDITIONS
from rmlib.studies.sentiment_methods import CONTROLS, METHODS
from rmlib.studies.sentiment_study import effect, strongest_control
from rmlib.studies.table import read
from rmlib.text.corpora import data_dir

CONDITION, METHOD, EXACT = "symmetric 30 %", "accuracy", "expected_accuracy"
FIELDS = ("control", "difference", "low", "high", "stands")
MEASURE = CONDITIONS[CONDITION].measure
SOLUTION = """
control = strongest_control(table, "symmetric 30 %")
found = effect(table, "symmetric 30 %", control, "accuracy")
answer = {"control": control, "difference": found.mean, "low": found.low, "high": found.high, "stands": found.stands}
"""


@lru_cache(maxsize=1)
def table() -> pd.DataFrame:
    """The study, as the kit brings it."""
    return read(data_dir() / "results" / "sentiment.csv")


@lru_cache(maxsize=16)
def _effect(control: str, method: str, confidence: float = 0.95) -> Effect:
    return effect(table(), CONDITION, control, method, confidence)


def spec() -> dict:
    """What the table supports."""
    control = strongest_control(table(), CONDITION)
    one = _effect(control, METHOD)
    return {"control": control, "difference": one.mean, "low": one.low, "high": one.high, "stands": one.stands}


def more(answer, spec) -> None:
    """Field by field: the answer is a dict, its numbers may be rounded to three digits."""
    if not isinstance(answer, dict) or set(answer) != set(FIELDS):
        raise NotYet(f"`answer` has to stay a dictionary with the fields {', '.join(FIELDS)}")
    if empty := [name for name in FIELDS if blank(answer[name])]:
        raise NotYet(f"still empty: {', '.join(empty)}")
    right, rows = spec(), table()
    _control(answer["control"], right["control"], rows)
    for name in ("difference", "low", "high"):
        if not isinstance(answer[name], Number | np.number) or isinstance(answer[name], bool):
            raise NotYet(f"`{name}` is {answer[name]!r:.40}; expected a number, such as 0.012")
    _difference(float(answer["difference"]), right, rows)
    _interval(float(answer["low"]), float(answer["high"]), right, rows)
    if not isinstance(answer["stands"], bool | np.bool_):
        raise NotYet("`stands` is True or False: does the interval leave out 0?")
    if bool(answer["stands"]) != right["stands"]:
        raise NotYet("a difference stands if its interval leaves out 0. On which sides of 0 are your two ends?")


def _control(name, right: str, rows: pd.DataFrame) -> None:
    if name == right:
        return
    if name not in METHODS:
        raise NotYet(f"the table has no method {str(name)!r:.40}; the controls are {', '.join(CONTROLS)}")
    if name not in CONTROLS:
        raise NotYet(f"{name} is a reward. What a reward is compared with is one of the controls")
    if name == "ce":
        raise NotYet(
            "that is plain cross-entropy, the colleague's own opponent. Which control is the hardest to beat here?"
        )
    rows = rows[(rows["condition"] == CONDITION) & rows["method"].isin(list(CONTROLS))]
    if name == rows.groupby("method")["validation"].mean().idxmax():
        raise NotYet("that control is the best on the noisy validation labels. Which has the best mean test score?")
    raise NotYet("another control is harder to beat under this noise: compare the mean test scores of the controls")


def _difference(found: float, right: dict, rows: pd.DataFrame) -> None:
    """Raises `NotYet` unless it is the right one."""

    def near(other: float) -> bool:
        return abs(found - other) < 6e-4  # rounded to three digits

    mean = rows[rows["condition"] == CONDITION].groupby("method")[MEASURE].mean()
    if near(right["difference"]):
        return
    if abs(found - 100 * right["difference"]) < 0.06:
        raise NotYet("the difference is in percent points: write the difference of the two scores, which lie in [0, 1]")
    if near(-right["difference"]):
        raise NotYet("the sign: asked is the method minus the control, above 0 where the method is better")
    if near(mean[METHOD] - mean["ce"]):
        raise NotYet("that is the difference from plain cross-entropy, and not from the control that you name")
    if near(mean[EXACT] - mean[right["control"]]):
        raise NotYet(f"that is {EXACT}. The colleague writes of sampled accuracy, `{METHOD}`")
    if near(mean[METHOD]):
        raise NotYet("that is the score of the method. How far is it from that of the control?")
    raise NotYet(
        f"the mean difference is not {found:+.3f}: compare on the accuracy on test, with `{METHOD}` as the method"
    )


def _interval(low: float, high: float, right: dict, rows: pd.DataFrame) -> None:
    """Raises `NotYet` unless it is the right one."""

    def near(ends) -> bool:
        return abs(low - ends[0]) < 2e-3 and abs(high - ends[1]) < 2e-3

    if near((right["low"], right["high"])):
        return
    if low > high:
        raise NotYet("`low` is above `high`")
    if near((-right["high"], -right["low"])):
        raise NotYet("the interval is that of the control minus the method. The ends change places and signs")
    if near((100 * right["low"], 100 * right["high"])):
        raise NotYet("the interval is in percent points: write differences of scores, which lie in [0, 1]")
    control = right["control"]
    if near(_effect(control, METHOD, 1 - 0.05 / 14)[1:]):
        raise NotYet("that is the wide interval, which holds together with 13 others. Asked is the one at 95 %")
    if near(_effect("ce", METHOD)[1:]):
        raise NotYet("that is the interval of the difference from plain cross-entropy")
    if near(_effect(control, EXACT)[1:]):
        raise NotYet(f"that is the interval of {EXACT}. The colleague writes of sampled accuracy, `{METHOD}`")
    score = rows[rows["condition"] == CONDITION].pivot(index="seed", columns="method", values=MEASURE)
    seeds = over_seeds(score[METHOD] - score[control])
    if near((seeds.low, seeds.high)):
        raise NotYet("that interval knows of the seeds alone. The test tweets are drawn, too: `effect` draws both")
    raise NotYet(f"the interval is not ({low:+.3f} to {high:+.3f}): an effect has its ends as `.low` and `.high`")


q4 = Exercise(
    title="write the verdict",
    spec=spec,
    more=more,
    hints=(
        "`strongest_control(table, condition)` names the control, and `effect(table, condition, control, method)` is "
        "the difference with its interval.",
        'The condition is `"symmetric 30 %"` and the method `"accuracy"`, the sampled one. An effect has '
        "`.mean`, `.low`, `.high` and `.stands`.",
    ),
    solution=SOLUTION,
)
