"""The checks of an interval and of a verdict, on answers that students give."""

import numpy as np
import pytest

from rmlib.exercises.sentiment import confidence_intervals, verdict
from rmlib.exercises.sentiment.exercises import check
from rmlib.studies.bootstrap import paired_bootstrap
from rmlib.studies.sentiment_data import make_split
from rmlib.studies.sentiment_study import effect, strongest_control
from rmlib.text.downloads import AssetError
from tests.exercises.common import accepted, depends_on_its_spec, rejected

# Exercise 3: bootstrap an interval


def _interval(a, b, draws=2000, seed=0, ends=(0.025, 0.975), size=None, paired=True):
    """A bootstrap interval; `size`: items per draw; `paired`: both methods on the same draw."""
    rng, n = np.random.default_rng(seed), len(a)
    drawn_a = rng.integers(n, size=(draws, size or n))
    drawn_b = drawn_a if paired else rng.integers(n, size=(draws, size or n))
    return tuple(np.quantile(b[drawn_b].mean(1) - a[drawn_a].mean(1), ends))


def _only_b_drawn(a, b, draws, seed):
    drawn = np.random.default_rng(seed).integers(len(a), size=(draws, len(a)))
    return tuple(np.quantile(b[drawn].mean(1) - a.mean(), (0.025, 0.975)))


def test_intervals_other_ways_to_write_it():
    def at_once(hits_a, hits_b, draws=2000, seed=0):
        kept = np.random.default_rng(seed + 7).integers(len(hits_a), size=(draws, len(hits_a)))
        low, high = np.percentile((hits_b - hits_a)[kept].mean(1), [2.5, 97.5])
        return low, high

    def with_the_kit(hits_a, hits_b, draws=2000, seed=0):
        found = paired_bootstrap(
            lambda y, p: float(p.mean()), np.ones(len(hits_a)), hits_a, hits_b, draws
        )
        return found.low, found.high

    def by_multinomial(hits_a, hits_b, draws=2000, seed=0):
        n = len(hits_a)
        often = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
        found = np.sort(often @ (hits_b - hits_a) / n)
        return [found[int(0.025 * draws)], found[int(0.975 * draws)]]

    for right in (at_once, with_the_kit, by_multinomial):
        accepted(check.q3, right)


def test_intervals_chance_does_not_decide():
    """Right and wrong answers get the same outcome with every seed."""
    for seed in range(10):
        accepted(check.q3, lambda a, b, draws, _, seed=seed: _interval(a, b, draws, 100 + seed))
    for seed in range(3):

        def unpaired(a, b, draws, _, seed=seed):
            return _interval(a, b, draws, seed, paired=False)

        def narrow(a, b, draws, _, seed=seed):
            return _interval(a, b, draws, seed, ends=(0.05, 0.95))

        rejected(check.q3, unpaired, "unpaired")
        rejected(check.q3, narrow, "wrong-interval")


def test_intervals_wrong_ways():
    def wrong(misconception, **options):
        rejected(
            check.q3,
            lambda a, b, draws=2000, seed=0: _interval(a, b, draws, seed, **options),
            misconception,
        )

    wrong("unpaired", paired=False)
    rejected(check.q3, _only_b_drawn, "one-method-drawn")
    wrong("wrong-interval", ends=(0.05, 0.95))
    wrong("wrong-interval", ends=(0.005, 0.995))
    wrong("wrong-interval", ends=(0.0, 0.95))
    wrong("wrong-interval", size=100)
    wrong("ends-swapped", ends=(0.975, 0.025))
    rejected(check.q3, lambda a, b, draws, seed: _interval(b, a, draws, seed), "a-minus-b")
    rejected(
        check.q3,
        lambda a, b, draws, seed: np.array(_interval(a, b, draws, seed)),
        "array-for-tuple",
    )
    rejected(check.q3, lambda a, b, draws, seed: b.mean() - a.mean(), "one-number")
    rejected(check.q3, lambda a, b, draws, seed: _interval(0 * a, b, draws, seed), "b-alone")
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

    rejected(check.q3, ends_subtracted, "ends-subtracted")
    rejected(check.q3, without_replacement, "no-width")
    rejected(check.q3, divided_twice, "divided-by-draws")
    rejected(check.q3, same_seed_in_the_loop, "no-width")
    rejected(
        check.q3,
        lambda a, b, draws, seed: _interval(a, b) if a.std() == 0 else (np.nan, np.nan),
        "wrong-form",
    )


def test_intervals_depend_on_the_spec():
    spec = confidence_intervals.spec
    depends_on_its_spec(
        check.q3,
        confidence_intervals.interval,
        lambda *args: tuple(end + 0.1 for end in spec(*args)),
    )

    def wider(a, b, draws, seed):  # right where nothing is drawn, wrong where something is
        low, high = spec(a, b, draws, seed)
        return low - 0.2 * (high - low), high + 0.2 * (high - low)

    depends_on_its_spec(check.q3, confidence_intervals.interval, wider)


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
    means = {
        name: rows.loc[rows["method"] == name, "accuracy"].mean()
        for name in [*controls, "accuracy"]
    }
    assert right["control"] == max(controls, key=means.get)
    assert right["difference"] == pytest.approx(
        means["accuracy"] - means[right["control"]], abs=2e-6
    )
    assert right["low"] < right["difference"] < right["high"]
    assert right["stands"] == (right["low"] * right["high"] > 0)


def test_the_verdict_right_ways(right):
    names = {"table": verdict.table(), "strongest_control": strongest_control, "effect": effect}
    exec(verdict.SOLUTION, names)
    accepted(check.q4, names["answer"])
    rounded = right | {name: round(right[name], 3) for name in ("difference", "low", "high")}
    accepted(check.q4, rounded)
    accepted(
        check.q4,
        right
        | {"difference": np.float64(right["difference"]), "stands": np.bool_(right["stands"])},
    )


def test_the_verdict_wrong_ways(right):
    table = verdict.table()

    def wrong(misconception, **fields):
        rejected(check.q4, right | fields, misconception)

    def of(control, method, *rest):
        found = effect(table, "symmetric 30 %", control, method, *rest)
        return {"difference": found.mean, "low": found.low, "high": found.high}

    control = right["control"]
    wrong("plain-cross-entropy", control="ce")
    wrong("reward-for-control", control="soft_mcc")
    wrong("unknown-control", control="cross-entropy")
    wrong("best-on-validation", control="ce, tuned threshold")
    wrong("weaker-control", control="gce alone")
    wrong("difference-from-plain-cross-entropy", **of("ce", "accuracy"))
    wrong("exact-for-sampled", **of(control, "expected_accuracy"))
    wrong("wrong-sign", difference=-right["difference"])
    wrong("percent", difference=100 * right["difference"])
    wrong(
        "score-for-difference",
        difference=table[table["condition"] == "symmetric 30 %"]
        .groupby("method")["accuracy"]
        .mean()["accuracy"],
    )
    wrong("wrong-form", difference="+0.002")
    wrong("incomplete", low=None, high="?")
    wrong(
        "simultaneous-interval",
        **{k: v for k, v in of(control, "accuracy", 1 - 0.05 / 14).items() if k != "difference"},
    )
    wrong("interval-of-control-minus-method", low=-right["high"], high=-right["low"])
    wrong("ends-swapped", low=right["high"], high=right["low"])
    wrong("wrong-interval", low=right["low"] - 0.01)
    wrong("wrong-stands", stands=not right["stands"])
    wrong("wrong-form", stands="no")
    rejected(check.q4, "it is undecided", "wrong-form")
    score = table[table["condition"] == "symmetric 30 %"].pivot(
        index="seed", columns="method", values="accuracy"
    )
    d = score["accuracy"] - score[control]
    half = 2.2622 * d.std() / np.sqrt(len(d))  # Student, 9 degrees of freedom
    wrong("interval-over-seeds-alone", low=d.mean() - half, high=d.mean() + half)


def test_the_verdict_depends_on_the_spec(right):
    for broken in (
        {"control": "gce alone"},
        {"difference": -right["difference"]},
        {"low": right["low"] - 0.01},
        {"high": right["high"] + 0.01},
        {"stands": not right["stands"]},
    ):
        depends_on_its_spec(check.q4, right, lambda broken=broken: right | broken)
