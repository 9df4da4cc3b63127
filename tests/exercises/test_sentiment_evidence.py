"""The checks of lesson 06 that judge an interval and a verdict, against the answers that students give."""

from dataclasses import replace

import numpy as np
import pytest

from rmlib.exercises.framework.exercise import judge
from rmlib.exercises.sentiment import confidence_intervals, verdict
from rmlib.exercises.sentiment.exercises import check
from rmlib.studies.bootstrap import paired_bootstrap
from rmlib.studies.sentiment_data import make_split
from rmlib.studies.sentiment_study import effect, strongest_control
from rmlib.text.downloads import AssetError
from tests.exercises.common import accepted, hangs_on_its_spec, not_attempted, rejected

# Exercise 3: bootstrap an interval


def _interval(a, b, draws=2000, seed=0, ends=(0.025, 0.975), size=None, torn=False, only_b=False):
    rng, n = np.random.default_rng(seed), len(a)
    kept = rng.integers(n, size=(draws, size or n))
    other = rng.integers(n, size=(draws, size or n)) if torn else kept
    found = b[other].mean(1) - (a.mean() if only_b else a[kept].mean(1))
    return tuple(np.quantile(found, ends))


def test_intervals_other_ways_to_write_it():
    def at_once(hits_a, hits_b, draws=2000, seed=0):
        kept = np.random.default_rng(seed + 7).integers(len(hits_a), size=(draws, len(hits_a)))
        low, high = np.percentile((hits_b - hits_a)[kept].mean(1), [2.5, 97.5])
        return low, high

    def with_the_kit(hits_a, hits_b, draws=2000, seed=0):
        found = paired_bootstrap(lambda y, p: float(p.mean()), np.ones(len(hits_a)), hits_a, hits_b, draws)
        return found.low, found.high

    def by_multinomial(hits_a, hits_b, draws=2000, seed=0):
        n = len(hits_a)
        often = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
        found = np.sort(often @ (hits_b - hits_a) / n)
        return [found[int(0.025 * draws)], found[int(0.975 * draws)]]

    for right in (at_once, with_the_kit, by_multinomial):
        accepted(check.q3, right)


def test_intervals_chance_does_not_decide():
    """Right and wrong answers get the same words with every seed."""
    for seed in range(10):
        accepted(check.q3, lambda a, b, draws, _, seed=seed: _interval(a, b, draws, 100 + seed))
    for seed in range(3):
        torn = check.q3(lambda a, b, draws, _, seed=seed: _interval(a, b, draws, seed, torn=True))
        narrow = check.q3(lambda a, b, draws, _, seed=seed: _interval(a, b, draws, seed, ends=(0.05, 0.95)))
        assert torn.outcome == narrow.outcome == "not yet"
        assert "the pairs are torn" in torn.message and "times as wide" in narrow.message


def test_intervals_wrong_ways():
    def wrong(fragment, **options):
        rejected(check.q3, lambda a, b, draws=2000, seed=0: _interval(a, b, draws, seed, **options), fragment)

    wrong("the pairs are torn", torn=True)
    wrong("as wide as for one method alone", only_b=True)
    wrong("its middle is right", ends=(0.05, 0.95))
    wrong("its middle is right", ends=(0.005, 0.995))
    wrong("its middle lies", ends=(0.0, 0.95))
    wrong("as many items as there are", size=100)
    wrong("first of the two numbers is above", ends=(0.975, 0.025))
    rejected(check.q3, lambda a, b, draws, seed: _interval(b, a, draws, seed), "a minus b")
    rejected(check.q3, lambda a, b, draws, seed: np.array(_interval(a, b, draws, seed)), "as a tuple")
    rejected(check.q3, lambda a, b, draws, seed: b.mean() - a.mean(), "This is one number")
    rejected(check.q3, lambda a, b, draws, seed: _interval(0 * a, b, draws, seed), "for b alone")
    rejected(check.q3, lambda a, b, draws, seed: tuple(np.array(_interval(a, b)) * 100), "percent")

    def divided_twice(a, b, draws, seed):
        d = b - a
        error = d.std() / np.sqrt(len(d)) / np.sqrt(draws)
        return d.mean() - 1.96 * error, d.mean() + 1.96 * error

    def same_seed_in_the_loop(a, b, draws, seed):
        found = []
        for _ in range(draws):
            kept = np.random.default_rng(seed).integers(len(a), size=len(a))
            found.append(b[kept].mean() - a[kept].mean())
        return np.min(found), np.max(found)

    def without_replacement(a, b, draws, seed):
        rng, found = np.random.default_rng(seed), []
        for _ in range(draws):
            kept = rng.permutation(len(a))
            found.append(b[kept].mean() - a[kept].mean())
        return tuple(np.quantile(found, [0.025, 0.975]))

    def ends_subtracted(a, b, draws, seed):
        one, other = _interval(0 * a, a, draws, seed), _interval(0 * a, b, draws, seed + 1)
        return other[0] - one[1], other[1] - one[0]

    rejected(check.q3, ends_subtracted, "the ends of two intervals")
    rejected(check.q3, without_replacement, "with replacement")
    rejected(check.q3, divided_twice, "far too narrow")
    rejected(check.q3, same_seed_in_the_loop, "drawn anew")
    rejected(check.q3, lambda a, b, draws, seed: _interval(a, b) if a.std() == 0 else (np.nan, np.nan), "two finite")


def test_intervals_not_attempted_and_hanging_on_the_spec():
    def stub(hits_a, hits_b, draws=2000, seed=0):
        rng = np.random.default_rng(seed)  # noqa: F841
        # YOUR CODE HERE
        ...

    not_attempted(check.q3, stub)
    spec = confidence_intervals.spec
    hangs_on_its_spec(check.q3, confidence_intervals.interval, lambda *args: tuple(end + 0.1 for end in spec(*args)))

    def wider(a, b, draws, seed):  # right where nothing is drawn, wrong where something is
        low, high = spec(a, b, draws, seed)
        return low - 0.2 * (high - low), high + 0.2 * (high - low)

    hangs_on_its_spec(check.q3, confidence_intervals.interval, wider)


def test_the_slow_interval_is_that_of_the_normal_law():
    """On many items the ends lie 1.96 standard errors from the difference."""
    a, b = confidence_intervals.cases()[0]
    low, high = confidence_intervals.spec(a, b, 2000, 3)
    error = (b - a).std() / np.sqrt(len(a))
    assert [low, high] == pytest.approx(
        [(b - a).mean() - 1.96 * error, (b - a).mean() + 1.96 * error], abs=0.25 * error
    )


# Exercise 4: write the verdict


@pytest.fixture(scope="module")
def right():
    try:
        make_split("clean", 0)
    except AssetError as error:
        pytest.skip(f"the tweets cannot be had: {error}")
    return verdict.spec()


def test_the_verdict_is_that_of_the_table(right):
    """Worked out from the scores in the table, by other means than the packed answers."""
    table = verdict.table()
    rows = table[table["condition"] == "symmetric 30 %"]
    controls = ["ce", "ce, stopped early", "ce, tuned threshold", "ce, weighted", "gce alone"]
    means = {name: rows.loc[rows["method"] == name, "accuracy"].mean() for name in [*controls, "accuracy"]}
    assert right["control"] == max(controls, key=means.get)
    assert right["difference"] == pytest.approx(means["accuracy"] - means[right["control"]], abs=2e-6)
    assert right["low"] < right["difference"] < right["high"]
    assert right["stands"] == (right["low"] * right["high"] > 0)


def test_the_verdict_right_ways(right):
    names = {"table": verdict.table(), "strongest_control": strongest_control, "effect": effect}
    exec(verdict.SOLUTION, names)
    accepted(check.q4, names["answer"])
    rounded = right | {name: round(right[name], 3) for name in ("difference", "low", "high")}
    accepted(check.q4, rounded)
    accepted(check.q4, right | {"difference": np.float64(right["difference"]), "stands": np.bool_(right["stands"])})


def test_the_verdict_wrong_ways(right):
    table = verdict.table()

    def wrong(fragment, **fields):
        rejected(check.q4, right | fields, fragment)

    def of(control, method, *rest):
        found = effect(table, "symmetric 30 %", control, method, *rest)
        return {"difference": found.mean, "low": found.low, "high": found.high}

    control = right["control"]
    wrong("colleague's own opponent", control="ce")
    wrong("is a reward", control="soft_mcc")
    wrong("no method", control="cross-entropy")
    wrong("best on the noisy validation labels", control="ce, tuned threshold")
    wrong("another control is harder to beat", control="gce alone")
    wrong("from plain cross-entropy", **of("ce", "accuracy"))
    wrong("The colleague writes of sampled accuracy", **of(control, "expected_accuracy"))
    wrong("the sign", difference=-right["difference"])
    wrong("percent points", difference=100 * right["difference"])
    wrong(
        "the score of the method",
        difference=table[table["condition"] == "symmetric 30 %"].groupby("method")["accuracy"].mean()["accuracy"],
    )
    wrong("expected a number", difference="+0.002")
    wrong("still empty: low, high", low=None, high="?")
    wrong("the wide interval", **{k: v for k, v in of(control, "accuracy", 1 - 0.05 / 14).items() if k != "difference"})
    wrong("change places and signs", low=-right["high"], high=-right["low"])
    wrong("`low` is above `high`", low=right["high"], high=right["low"])
    wrong("the interval is not", low=right["low"] - 0.01)
    wrong("On which sides of 0", stands=not right["stands"])
    wrong("True or False", stands="no")
    rejected(check.q4, "it is undecided", "has to stay a dictionary")
    score = table[table["condition"] == "symmetric 30 %"].pivot(index="seed", columns="method", values="accuracy")
    d = score["accuracy"] - score[control]
    half = 2.2622 * d.std() / np.sqrt(len(d))  # Student, 9 degrees of freedom
    wrong("knows of the seeds alone", low=d.mean() - half, high=d.mean() + half)


def test_the_verdict_not_attempted_and_hanging_on_the_spec(right):
    not_attempted(check.q4, dict.fromkeys(verdict.FIELDS))
    not_attempted(check.q4, None)
    for broken in (
        {"control": "gce alone"},
        {"difference": -right["difference"]},
        {"low": right["low"] - 0.01},
        {"high": right["high"] + 0.01},
        {"stands": not right["stands"]},
    ):
        exercise = replace(check.q4.exercise, spec=lambda broken=broken: right | broken)
        assert judge(exercise, right).outcome == "not yet", broken
