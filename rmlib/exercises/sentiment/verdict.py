"""The exercise on a verdict: what the table says of sampled accuracy under 30 % wrong labels."""

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
answer = {"control": control, "difference": found.mean, "low": found.low, "high": found.high}
answer["stands"] = found.stands
"""


@lru_cache(maxsize=1)
def table() -> pd.DataFrame:
    """The study's results that are stored with the kit."""
    return read(data_dir() / "results" / "sentiment.csv")


@lru_cache(maxsize=16)
def _effect(control: str, method: str, confidence: float = 0.95) -> Effect:
    return effect(table(), CONDITION, control, method, confidence)


def spec() -> dict:
    """What the table supports."""
    control = strongest_control(table(), CONDITION)
    right = _effect(control, METHOD)
    return {
        "control": control,
        "difference": right.mean,
        "low": right.low,
        "high": right.high,
        "stands": right.stands,
    }


def judge_verdict(answer, spec) -> None:
    """Judge the form, then field by field; numbers may be rounded to three digits."""
    if not isinstance(answer, dict) or set(answer) != set(FIELDS):
        raise NotYet(
            "wrong-form", f"`answer` must remain a dictionary with the fields {', '.join(FIELDS)}"
        )
    if empty := [name for name in FIELDS if blank(answer[name])]:
        raise NotYet("incomplete", f"still empty: {', '.join(empty)}")
    right = spec()
    rows = table()
    rows = rows[rows["condition"] == CONDITION]
    _judge_control(answer["control"], right["control"], rows)
    for name in ("difference", "low", "high"):
        if not isinstance(answer[name], Number | np.number) or isinstance(answer[name], bool):
            raise NotYet(
                "wrong-form", f"`{name}` is {answer[name]!r:.40}; expected a number, such as 0.012"
            )
    _judge_difference(float(answer["difference"]), right, rows)
    _judge_interval(float(answer["low"]), float(answer["high"]), right, rows)
    if not isinstance(answer["stands"], bool | np.bool_):
        raise NotYet("wrong-form", "`stands` is True or False: does the interval leave out 0?")
    if bool(answer["stands"]) != right["stands"]:
        raise NotYet(
            "wrong-stands",
            "a difference stands if its interval leaves out 0. On which sides of 0 are your two "
            "ends?",
        )


def _judge_control(name, right: str, rows: pd.DataFrame) -> None:
    """Raise `NotYet` unless it is the right one."""
    if name == right:
        return
    if name not in METHODS:
        raise NotYet(
            "unknown-control",
            f"the table has no method {str(name)!r:.40}; the controls are {', '.join(CONTROLS)}",
        )
    if name not in CONTROLS:
        raise NotYet(
            "reward-for-control",
            f"{name} is a reward. What a reward is compared with is one of the controls",
        )
    if name == "ce":
        raise NotYet(
            "plain-cross-entropy",
            "that is plain cross-entropy, with which the colleague compares. Which control is the "
            "hardest to beat here?",
        )
    controls = rows[rows["method"].isin(list(CONTROLS))]
    if name == controls.groupby("method")["validation"].mean().idxmax():
        raise NotYet(
            "best-on-validation",
            "that control is the best on the noisy validation labels. Which has the best mean test "
            "score?",
        )
    raise NotYet(
        "weaker-control",
        "another control is harder to beat under this noise: compare the mean test scores of the "
        "controls",
    )


def _judge_difference(difference: float, right: dict, rows: pd.DataFrame) -> None:
    """Raise `NotYet` unless it is the right one."""

    def near(other: float) -> bool:
        return abs(difference - other) < 6e-4  # rounded to three digits

    mean = rows.groupby("method")[MEASURE].mean()
    if near(right["difference"]):
        return
    if abs(difference - 100 * right["difference"]) < 0.06:
        raise NotYet(
            "percent",
            "the difference is in percentage points: write the difference of the two scores, which "
            "lie in [0, 1]",
        )
    if near(-right["difference"]):
        raise NotYet(
            "wrong-sign",
            "the sign: the difference is the method minus the control, above 0 where the method is "
            "better",
        )
    if near(mean[METHOD] - mean["ce"]):
        raise NotYet(
            "difference-from-plain-cross-entropy",
            "that is the difference from plain cross-entropy, and not from the control that you "
            "name",
        )
    if near(mean[EXACT] - mean[right["control"]]):
        raise NotYet(
            "exact-for-sampled",
            f"that is {EXACT}. The colleague writes about sampled accuracy, `{METHOD}`",
        )
    if near(mean[METHOD]):
        raise NotYet(
            "score-for-difference",
            "that is the score of the method. How far is it from that of the control?",
        )
    raise NotYet(
        "wrong-difference",
        f"the mean difference is not {difference:+.3f}: compare on the accuracy on test, with "
        f"`{METHOD}` as the method",
    )


def _judge_interval(low: float, high: float, right: dict, rows: pd.DataFrame) -> None:
    """Raise `NotYet` unless it is the right one."""

    def near(ends) -> bool:
        return abs(low - ends[0]) < 2e-3 and abs(high - ends[1]) < 2e-3

    if near((right["low"], right["high"])):
        return
    if low > high:
        raise NotYet("ends-swapped", "`low` is above `high`")
    if near((-right["high"], -right["low"])):
        raise NotYet(
            "interval-of-control-minus-method",
            "the interval is that of the control minus the method: swap the ends and flip their "
            "signs",
        )
    if near((100 * right["low"], 100 * right["high"])):
        raise NotYet(
            "interval-in-percent",
            "the interval is in percentage points: write differences of scores, which lie in "
            "[0, 1]",
        )
    control = right["control"]
    if near(_effect(control, METHOD, 1 - 0.05 / 14)[1:]):
        raise NotYet(
            "simultaneous-interval",
            "that is the wide interval, which holds together with 13 others. Give the one at 95 %",
        )
    if near(_effect("ce", METHOD)[1:]):
        raise NotYet(
            "interval-from-plain-cross-entropy",
            "that is the interval of the difference from plain cross-entropy",
        )
    if near(_effect(control, EXACT)[1:]):
        raise NotYet(
            "interval-of-exact-for-sampled",
            f"that is the interval of {EXACT}. The colleague writes about sampled accuracy, "
            f"`{METHOD}`",
        )
    scores = rows.pivot(index="seed", columns="method", values=MEASURE)
    seeds = over_seeds(scores[METHOD] - scores[control])
    if near((seeds.low, seeds.high)):
        raise NotYet(
            "interval-over-seeds-alone",
            "that interval accounts for the seeds alone. The test tweets are a sample, too: "
            "`effect` resamples both",
        )
    raise NotYet(
        "wrong-interval",
        f"the interval is not ({low:+.3f} to {high:+.3f}): an effect has its ends as `.low` and "
        "`.high`",
    )


VERDICT = Exercise(
    id="sentiment.verdict",
    title="write the verdict",
    spec=spec,
    more=judge_verdict,
    hints=(
        "`strongest_control(table, condition)` names the control, and `effect(table, condition, "
        "control, method)` is the difference with its interval.",
        'The condition is `"symmetric 30 %"` and the method `"accuracy"`, the sampled one. An '
        "effect has `.mean`, `.low`, `.high` and `.stands`.",
    ),
    solution=SOLUTION,
)
