"""The exercises on a study: which differences stand, a choice on dev, an F1, a verdict."""

import math
from functools import lru_cache
from numbers import Real

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception, NotYet, blank
from rmlib.studies.ner_analysis import by_dev, compare, strongest_control
from rmlib.studies.table import read
from rmlib.text.corpora import data_dir

# Student's t at 97.5 % for 1 to 11 degrees of freedom (Student 1908; any table of it).
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201)


# --- Which differences stand ----------------------------------------------------------------------


def some_differences(seed: int) -> tuple:
    """A dict of methods, each with one difference per seed of the study."""
    random = np.random.default_rng(seed)
    size = 3 + seed % 4
    differences = {
        f"method {i}": [float(d) for d in random.normal(centre, 0.01, size)]
        for i, centre in enumerate((0.0, 0.004, -0.02, 0.03, 0.012))
    }
    return (differences,)


def _stands(d: list[float], t: float, of_the_mean: bool = True) -> bool:
    """Whether mean ± t standard errors (or deviations) leaves out 0."""
    mean = sum(d) / len(d)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in d) / (len(d) - 1))
    half_width = t * deviation / (math.sqrt(len(d)) if of_the_mean else 1)
    return mean - half_width > 0 or mean + half_width < 0


def stand_spec(differences):
    names = set()
    for name, d in differences.items():
        if _stands(d, T[len(d) - 2]):
            names.add(name)
    return names


def which_stand(differences):
    """The names whose 95 % interval over the seeds leaves out 0.

    differences: name -> one difference per seed.
    """
    from scipy import stats

    standing = set()
    for name, d in differences.items():
        low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
        if low > 0 or high < 0:
            standing.add(name)
    return standing


def _single_seeds(differences):
    return {name for name, d in differences.items() if _stands(d, T[len(d) - 2], of_the_mean=False)}


WHICH_STAND = Exercise(
    id="study.which_differences_stand",
    title="which differences stand?",
    spec=stand_spec,
    inputs=some_differences,
    misconceptions=(
        Misconception(
            "mean-above-0",
            "all with a mean above 0 are named: the mean alone says nothing about its interval",
            lambda ds: {name for name, d in ds.items() if sum(d) > 0},
        ),
        Misconception(
            "gains-only",
            "only gains are named: a difference below 0 can stand, too",
            lambda ds: {name for name in stand_spec(ds) if sum(ds[name]) > 0},
        ),
        Misconception(
            "interval-of-single-seeds",
            "the interval is that of single seeds: the mean of n seeds is more certain, by √n",
            _single_seeds,
        ),
        Misconception(
            "normal-quantile",
            "1.96 is for many seeds; with few the interval is wider (Student's t)",
            lambda ds: {name for name, d in ds.items() if _stands(d, 1.96)},
        ),
        Misconception(
            "complement",
            "those that do not stand are named",
            lambda ds: set(ds) - stand_spec(ds),
        ),
    ),
    hints=(
        "`scipy.stats.ttest_1samp(d, 0).confidence_interval(0.95)` gives the two ends.",
        "A difference stands when both ends are on the same side of 0: `low > 0 or high < 0`.",
    ),
    solution=which_stand,
)


# --- The α by dev, the score by test --------------------------------------------------------------


def some_runs(seed: int) -> tuple:
    """Rows of a table, and a method."""
    random = np.random.default_rng(100 + seed)
    rows = [
        {
            "method": method,
            "alpha": alpha,
            "seed": run_seed,
            "dev_f1": float(random.uniform(0.6, 0.8)),
            "f1": float(random.random()),
        }
        for method in ("soft_f1", "gce")
        for alpha in (1.0, 10.0, math.inf)
        for run_seed in range(4)
    ]
    random.shuffle(rows)
    return rows, ("soft_f1", "gce")[seed % 2]


def _chosen(rows, method, by: str, score: str):
    """The mean over the seeds of one score of the run that another score chooses."""
    scores = []
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["method"] == method and row["seed"] == seed]
        best = own[0]
        for row in own:
            if row[by] > best[by]:
                best = row
        scores.append(best[score])
    return sum(scores) / len(scores)


def tuned_spec(rows, method):
    return _chosen(rows, method, "dev_f1", "f1")


def _one_alpha(rows, method):
    scores = {}
    for row in rows:
        if row["method"] == method:
            scores.setdefault(row["alpha"], []).append((row["dev_f1"], row["f1"]))
    best = max(scores.values(), key=lambda pairs: sum(dev for dev, _ in pairs))
    return sum(f1 for _, f1 in best) / len(best)


def _every_alpha(rows, method):
    return float(np.mean([row["f1"] for row in rows if row["method"] == method]))


def _any_method(rows, method):
    scores = []
    for seed in {row["seed"] for row in rows}:
        own = (row for row in rows if row["seed"] == seed)
        scores.append(max(own, key=lambda row: row["dev_f1"])["f1"])
    return float(np.mean(scores))


def tuned_f1(rows, method):
    """The mean test F1 over the seeds, α chosen on dev for each seed.

    rows: dicts as in the table.
    """
    own = [row for row in rows if row["method"] == method]
    seeds = {row["seed"] for row in own}
    best = [
        max((row for row in own if row["seed"] == seed), key=lambda row: row["dev_f1"])
        for seed in seeds
    ]
    return sum(row["f1"] for row in best) / len(best)


TUNED_ON_DEV = Exercise(
    id="study.tuned_on_dev",
    title="a fair score",
    spec=tuned_spec,
    inputs=some_runs,
    misconceptions=(
        Misconception(
            "chosen-on-test",
            "α is chosen by the test F1: a choice must not see the test set",
            lambda rows, method: _chosen(rows, method, "f1", "f1"),
        ),
        Misconception(
            "reports-dev",
            "this is the dev F1 of the chosen runs: report the test F1",
            lambda rows, method: _chosen(rows, method, "dev_f1", "dev_f1"),
        ),
        Misconception(
            "one-alpha-for-all-seeds",
            "one α for all seeds: each seed is a practitioner of its own, who sees one dev set",
            _one_alpha,
        ),
        Misconception(
            "mean-over-alphas",
            "the mean over every α: nobody uses all of them",
            _every_alpha,
        ),
        Misconception(
            "other-methods-too",
            "the choice includes the rows of the other method",
            _any_method,
        ),
    ),
    hints=(
        "For one seed: of the rows of this method and seed, take the one with the largest "
        "`dev_f1`; note its `f1`.",
        "`max(rows_of_the_seed, key=lambda row: row['dev_f1'])['f1']`, for every seed; then the "
        "mean.",
    ),
    solution=tuned_f1,
)


# --- Count first, divide once ---------------------------------------------------------------------


def some_counts(seed: int) -> tuple:
    """Names right, found and in gold per sentence; some sentences have none at all."""
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


def _mean_of_sentences(empty):
    """The mean of the sentences' F1; `empty` for a sentence without names, None to skip it."""

    def wrong(right, found, gold):
        f1 = [
            2 * r / (f + g) if f + g else empty for r, f, g in zip(right, found, gold, strict=True)
        ]
        kept = [value for value in f1 if value is not None]
        return float(np.mean(kept)) if kept else 0.0

    return wrong


def _ratio(part, whole) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else 0.0


def set_f1(right, found, gold):
    """The entity F1 of a test set from its counts per sentence; 0 where there are no names."""
    denominator = found.sum() + gold.sum()
    return float(2 * right.sum() / denominator) if denominator else 0.0


F1_OF_THE_SET = Exercise(
    id="study.f1_of_the_set",
    title="find the bug: whose F1?",
    spec=set_f1_spec,
    inputs=some_counts,
    misconceptions=(
        Misconception(
            "mean-of-sentences",
            "still a mean of the F1s of sentences: add the counts up first, divide once",
            _mean_of_sentences(0.0),
        ),
        Misconception(
            "mean-of-sentences-undefined-as-1",
            "a mean over sentences in which empty ones count as perfect: add the counts up first",
            _mean_of_sentences(1.0),
        ),
        Misconception(
            "mean-of-sentences-with-names",
            "a mean over the sentences with names: add the counts up first, then no sentence is "
            "special",
            _mean_of_sentences(None),
        ),
        Misconception(
            "precision",
            "this is the precision: right out of found",
            lambda right, found, gold: _ratio(right, found),
        ),
        Misconception(
            "recall",
            "this is the recall: right out of gold",
            lambda right, found, gold: _ratio(right, gold),
        ),
        Misconception(
            "half",
            "half of it: the formula has a 2 in the numerator",
            lambda right, found, gold: set_f1_spec(right, found, gold) / 2,
        ),
    ),
    hints=(
        "Which F1 does seqeval give for a whole test set? Look at the lesson on BERT, or at E2.",
        "The F1 of the set is 2·(all right) / (all found + all gold). Mind a set without names.",
    ),
    solution=set_f1,
)


# --- The verdict ----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def verdict_spec() -> dict:
    """From the stored table: soft F1 with its α by dev, against the strongest control."""
    table = read(data_dir() / "results" / "ner.csv")
    name, rows, moved = strongest_control(table)
    effect = compare(rows, by_dev(table, ["soft_f1"]), control_moved=moved)
    return {
        "control": name,
        "difference": effect.mean,
        "low": effect.low,
        "high": effect.high,
        "stands": effect.stands,
    }


def _judge_verdict(answer, spec) -> None:
    """Judge the form, then one field after the other."""
    right = spec()
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise NotYet("wrong-form", f"expected a dict with {', '.join(right)}")
    if missing := [name for name, value in answer.items() if blank(value)]:
        raise NotYet("incomplete", f"not filled in yet: {', '.join(missing)}")
    _judge_control(answer["control"], right["control"])
    for name in ("difference", "low", "high"):
        if not isinstance(answer[name], Real) or isinstance(answer[name], bool):
            raise NotYet("wrong-form", f"{name} is {answer[name]!r}; expected a number")
    _judge_difference(answer["difference"], right["difference"])
    _judge_interval(answer["low"], answer["high"], right)
    if not isinstance(answer["stands"], bool | np.bool_):
        raise NotYet("wrong-form", f"stands is {answer['stands']!r}; expected True or False")
    if bool(answer["stands"]) != right["stands"]:
        raise NotYet(
            "wrong-stands",
            "an interval that contains 0 does not stand; one that leaves it out does",
        )


def _judge_control(name, right: str) -> None:
    if name == right:
        return
    if name == "ce":
        raise NotYet(
            "plain-cross-entropy",
            "plain cross-entropy is not the control that is hardest to beat here",
        )
    raise NotYet(
        "weaker-control",
        "another control is harder to beat: `strongest_control(table)` names it",
    )


def _judge_difference(difference: float, right: float) -> None:
    if abs(difference - right) <= 1e-3:
        return
    if abs(difference + right) < 1e-3:
        raise NotYet("wrong-sign", "right size, wrong sign: method minus control")
    raise NotYet(
        "wrong-difference",
        "the difference is another one: is α chosen on dev, seed by seed, and the control's O "
        "moved or not?",
    )


def _judge_interval(low: float, high: float, right: dict) -> None:
    if low > high:
        raise NotYet("ends-swapped", "low and high are swapped")
    if not (abs(low - right["low"]) <= 3e-3 and abs(high - right["high"]) <= 3e-3):
        raise NotYet(
            "wrong-interval",
            "the interval is another one: `compare` gives it with the difference",
        )


VERDICT = Exercise(
    id="study.verdict",
    title="write the verdict",
    spec=verdict_spec,
    more=_judge_verdict,
    hints=(
        "`strongest_control(table)` gives a name, rows, and whether its O is moved; "
        "`by_dev(table, ['soft_f1'])` the rows of the method.",
        "`compare(rows, method_rows, control_moved=moved)` gives `.mean`, `.low`, `.high` and "
        "`.stands`.",
    ),
    solution="""control, rows, moved = strongest_control(table)
effect = compare(rows, by_dev(table, ["soft_f1"]), control_moved=moved)
verdict_07 = {"control": control, "difference": effect.mean, "low": effect.low, "high": effect.high}
verdict_07["stands"] = effect.stands""",
)

check = Lesson(q1=WHICH_STAND, q2=TUNED_ON_DEV, q3=F1_OF_THE_SET, q4=VERDICT)
