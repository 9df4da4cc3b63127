"""Checks of lesson 07: which differences stand, a choice on dev, counts before ratios, a verdict."""

import math
from functools import lru_cache

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, Lesson, NotYet
from rmlib.studies.ner_analysis import by_dev, compare, strongest_control
from rmlib.studies.table import read
from rmlib.text.corpora import data_dir

# Student's t at 97.5 % for 1 to 11 degrees of freedom (Student 1908; any table of it).
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201)


# q1: which differences stand?


def some_differences(seed: int) -> tuple:
    """A dict of methods, each with one difference a seed of the study."""
    random, size = np.random.default_rng(seed), 3 + seed % 4
    centres = (0.0, 0.004, -0.02, 0.03, 0.012)
    return ({f"method {i}": [float(d) for d in random.normal(c, 0.01, size)] for i, c in enumerate(centres)},)


def _stands(d: list[float], t: float, root: bool = True, spread: int = 1) -> bool:
    mean = sum(d) / len(d)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in d) / (len(d) - spread))
    half = t * deviation / (math.sqrt(len(d)) if root else 1)
    return mean - half > 0 or mean + half < 0


def stand_spec(differences):
    names = set()
    for name, d in differences.items():
        if _stands(d, T[len(d) - 2]):
            names.add(name)
    return names


def which_stand(differences):
    """The names whose 95 % interval over the seeds leaves out 0; differences: name -> one difference a seed."""
    from scipy import stats

    standing = set()
    for name, d in differences.items():
        low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
        if low > 0 or high < 0:
            standing.add(name)
    return standing


STAND = Exercise(
    "which differences stand?",
    spec=stand_spec,
    inputs=some_differences,
    mistakes={
        "all with a mean above 0 are named: the mean alone says nothing of its interval": lambda ds: {
            n for n, d in ds.items() if sum(d) > 0
        },
        "only gains are named: a difference below 0 can stand, too": lambda ds: {
            n for n in stand_spec(ds) if sum(ds[n]) > 0
        },
        "the interval is that of single seeds: the mean of n seeds is surer, by √n": lambda ds: {
            n for n, d in ds.items() if _stands(d, T[len(d) - 2], root=False)
        },
        "1.96 is for many seeds; with few the interval is wider (Student's t)": lambda ds: {
            n for n, d in ds.items() if _stands(d, 1.96)
        },
        "those that do not stand are named": lambda ds: set(ds) - stand_spec(ds),
    },
    hints=(
        "`scipy.stats.ttest_1samp(d, 0).confidence_interval(0.95)` gives the two ends.",
        "A difference stands when both ends are on the same side of 0: `low > 0 or high < 0`.",
    ),
    solution=which_stand,
)


# q2: the α by dev, the score by test


def some_runs(seed: int) -> tuple:
    """Rows of a table, and a method."""
    random = np.random.default_rng(100 + seed)
    rows = [
        {"method": m, "alpha": a, "seed": s, "dev_f1": float(random.uniform(0.6, 0.8)), "f1": float(random.random())}
        for m in ("soft_f1", "gce")
        for a in (1.0, 10.0, math.inf)
        for s in range(4)
    ]
    random.shuffle(rows)
    return rows, ("soft_f1", "gce")[seed % 2]


def _chosen(rows, method, by: str, told: str):
    scores = []
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["method"] == method and row["seed"] == seed]
        best = own[0]
        for row in own:
            if row[by] > best[by]:
                best = row
        scores.append(best[told])
    return sum(scores) / len(scores)


def tuned_spec(rows, method):
    return _chosen(rows, method, "dev_f1", "f1")


def _one_alpha(rows, method):
    means = {}
    for row in rows:
        if row["method"] == method:
            means.setdefault(row["alpha"], []).append((row["dev_f1"], row["f1"]))
    best = max(means.values(), key=lambda two: sum(dev for dev, _ in two))
    return sum(f1 for _, f1 in best) / len(best)


def tuned_f1(rows, method):
    """The mean test F1 over the seeds, α chosen on dev for each seed; rows: dicts as in the table."""
    own = [row for row in rows if row["method"] == method]
    seeds = {row["seed"] for row in own}
    best = [max((row for row in own if row["seed"] == seed), key=lambda row: row["dev_f1"]) for seed in seeds]
    return sum(row["f1"] for row in best) / len(best)


TUNED = Exercise(
    "a fair score",
    spec=tuned_spec,
    inputs=some_runs,
    mistakes={
        "α is chosen by the test F1: a choice must not see the test set": lambda r, m: _chosen(r, m, "f1", "f1"),
        "this is the dev F1 of the chosen runs: report the test F1": lambda r, m: _chosen(r, m, "dev_f1", "dev_f1"),
        "one α for all seeds: each seed is a practitioner of its own, who sees one dev set": _one_alpha,
        "the mean over every α: nobody uses all of them": lambda r, m: float(
            np.mean([row["f1"] for row in r if row["method"] == m])
        ),
        "the rows of the other method take part in the choice": lambda r, m: float(
            np.mean(
                [
                    max((row for row in r if row["seed"] == s), key=lambda row: row["dev_f1"])["f1"]
                    for s in {row["seed"] for row in r}
                ]
            )
        ),
    },
    hints=(
        "For one seed: of the rows of this method and seed, take the one with the largest `dev_f1`; note its `f1`.",
        "`max(rows_of_the_seed, key=lambda row: row['dev_f1'])['f1']`, for every seed; then the mean.",
    ),
    solution=tuned_f1,
)


# q3: count first, divide once


def some_counts(seed: int) -> tuple:
    """Names found, claimed and there, in each of some sentences; some have none at all."""
    random = np.random.default_rng(200 + seed)
    gold, found = random.integers(0, 5, 12), random.integers(0, 5, 12)
    if seed == 0:
        gold[:] = 0
        found[:] = 0
    return np.minimum(random.integers(0, 5, 12), np.minimum(gold, found)), found, gold


def set_f1_spec(right, found, gold):
    total = [0, 0, 0]
    for counts in zip(right, found, gold, strict=True):
        total = [a + int(b) for a, b in zip(total, counts, strict=True)]
    return 2 * total[0] / (total[1] + total[2]) if total[1] + total[2] else 0.0


def _of_sentences(right, found, gold, empty):
    f1 = [2 * r / (f + g) if f + g else empty for r, f, g in zip(right, found, gold, strict=True)]
    kept = [value for value in f1 if value is not None]
    return float(np.mean(kept)) if kept else 0.0


def set_f1(right, found, gold):
    """The entity F1 of a test set from its counts, (sentences,) each; 0 where there is nothing at all."""
    under = found.sum() + gold.sum()
    return float(2 * right.sum() / under) if under else 0.0


COUNTS = Exercise(
    "find the bug: whose F1?",
    spec=set_f1_spec,
    inputs=some_counts,
    mistakes={
        "still a mean of the F1s of sentences: add the counts up first, divide once": lambda r, f, g: _of_sentences(
            r, f, g, 0.0
        ),
        "a mean over sentences in which empty ones count as perfect: add the counts up first": (
            lambda r, f, g: _of_sentences(r, f, g, 1.0)
        ),
        "a mean over the sentences with names: add the counts up first, then no sentence is special": (
            lambda r, f, g: _of_sentences(r, f, g, None)
        ),
        "this is the precision: right out of found": lambda r, f, g: float(r.sum() / f.sum()) if f.sum() else 0.0,
        "this is the recall: right out of gold": lambda r, f, g: float(r.sum() / g.sum()) if g.sum() else 0.0,
        "half of it: the formula has a 2 on top": lambda r, f, g: set_f1_spec(r, f, g) / 2,
    },
    hints=(
        "Which F1 does seqeval give for a whole test set? Look at lesson 04, or at E2 in lesson 01.",
        "The F1 of the set is 2·(all right) / (all found + all gold). Mind a set with no name at all.",
    ),
    solution=set_f1,
)


# q4: the verdict


@lru_cache(maxsize=1)
def verdict_spec() -> dict:
    """From the stored table: soft F1 with its α by dev, against the strongest control."""
    table = read(data_dir() / "results" / "ner.csv")
    name, rows, moved = strongest_control(table)
    effect = compare(rows, by_dev(table, ["soft_f1"]), control_moved=moved)
    return {"control": name, "difference": effect.mean, "low": effect.low, "high": effect.high, "stands": effect.stands}


def _judge_verdict(answer, spec) -> None:
    right = spec()
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise NotYet(f"expected a dict with {', '.join(right)}")
    missing = [name for name, value in answer.items() if value in (None, "?", "", ...)]
    if missing:
        raise NotYet(f"not filled in yet: {', '.join(missing)}")
    if answer["control"] != right["control"]:
        if answer["control"] == "ce" != right["control"]:
            raise NotYet("plain cross-entropy is not the control that is hardest to beat here")
        raise NotYet("another control is harder to beat: `strongest_control(table)` names it")
    for name in ("difference", "low", "high"):
        if not isinstance(answer[name], int | float):
            raise NotYet(f"{name} is {answer[name]!r}; expected a number")
    if abs(answer["difference"] + right["difference"]) < 1e-3 < abs(right["difference"]):
        raise NotYet("right size, wrong sign: method minus control")
    if abs(answer["difference"] - right["difference"]) > 1e-3:
        raise NotYet(
            "the difference is another one: is α chosen on dev, seed by seed, and the control's O moved or not?"
        )
    if answer["low"] > answer["high"]:
        raise NotYet("low and high have changed places")
    if abs(answer["low"] - right["low"]) > 3e-3 or abs(answer["high"] - right["high"]) > 3e-3:
        raise NotYet("the interval is another one: `compare` gives it with the difference")
    if bool(answer["stands"]) != right["stands"]:
        raise NotYet("an interval that holds 0 does not stand; one that leaves it out does")


VERDICT = Exercise(
    "write the verdict",
    spec=verdict_spec,
    more=_judge_verdict,
    hints=(
        "`strongest_control(table)` gives a name, rows, and whether its O is moved; `by_dev(table, ['soft_f1'])` the "
        "rows of the method.",
        "`compare(rows, method_rows, control_moved=moved)` gives `.mean`, `.low`, `.high` and `.stands`.",
    ),
    solution="""control, rows, moved = strongest_control(table)
effect = compare(rows, by_dev(table, ["soft_f1"]), control_moved=moved)
verdict_07 = {"control": control, "difference": effect.mean, "low": effect.low, "high": effect.high}
verdict_07["stands"] = effect.stands""",
)

check = Lesson(q1=STAND, q2=TUNED, q3=COUNTS, q4=VERDICT)
