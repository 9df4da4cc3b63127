"""The README's tables say what stands in `data/results`."""

import re
from pathlib import Path

import pandas as pd
import pytest

from rmlib.studies.bootstrap import over_seeds
from rmlib.text.corpora import data_dir
from tests.benchmarks.quality import PLAIN, summary

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf8")


def results(name: str) -> pd.DataFrame:
    return pd.read_csv(data_dir() / "results" / name, comment="#", keep_default_na=False)


def table(*header: str) -> list[list[str]]:
    """The rows of the README's table whose first columns have these names."""
    start = README.index("| " + " | ".join(header))
    lines = README[start:].split("\n\n")[0].split("\n")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture(scope="module")
def speed():
    """The value of a (loop, precision, quantity) in a stored run of tests.benchmarks.speed."""

    def of(name):
        return results(name).set_index(["what", "precision", "quantity"]).value.astype(float).sort_index()

    return of


SIZES = (16, 32, 64)
GROUPED = [f"Trainer, batch {size}" for size in SIZES]
SHUFFLED = [f"{name}, shuffled" for name in GROUPED]
BOTH = ("fp32", "bf16")
RATIO = "kit in the same precision"


def test_speed(speed):
    found = speed("speed.csv")
    loops = ["the article's loop", *GROUPED, *SHUFFLED, "the kit, padded", "the kit"]
    shown = table("loop", "fp32", "bf16")
    assert len(shown) == len(loops)
    for loop, (name, fp32, bf16, same, comes, mfu) in zip(loops, shown, strict=True):
        assert set(re.findall(r"\d+", loop)) <= set(re.findall(r"\d+", name)), name
        both = [found[loop, precision] for precision in BOTH]
        assert [fp32, bf16] == [f"{one['pieces/s']:,.0f}" for one in both]
        assert mfu == " and ".join(f"{one['MFU (%)']:.0f} %" for one in both)
        if loop == "the kit":
            continue
        digits = 1 if "article" in loop else 2
        assert same == " and ".join(f"{one[RATIO]:.{digits}f}×" for one in both)
        # the CSV has two digits of which the README shows one: half of a last digit may be rounded either way
        assert abs(float(comes.rstrip("×")) - both[0]["kit as it comes"]) <= 0.051
        assert both[1]["kit as it comes"] == both[1][RATIO]


def test_what_the_speed_table_says(speed):
    found = speed("speed.csv")
    best = {p: max(SHUFFLED, key=lambda loop, p=p: found[loop, p, "pieces/s"]) for p in BOTH}
    times = [f"{found[best[p], p, RATIO]:.2f} times" for p in BOTH]
    assert f"{times[0].removesuffix(' times')} times as fast in fp32 and {times[1]} in bf16" in README
    assert f"take {found['matrix products', 'fp32', 'share (%)']:.0f} % of its step in fp32" in README
    shares = pd.Series(
        [found[r, p, "share (%)"] for r in ("expected_accuracy", "soft_f1", "soft_f1_macro") for p in BOTH]
    )
    assert f"takes {shares.min():.2f} to {shares.max():.2f} % of a step" in README


def series(found, loops, precision, quantity, form, unit=""):
    """As the README lists three values."""
    one, two, three = (format(found[loop, precision, quantity], form) + unit for loop in loops)
    return f"{one}, {two} and {three}"


def test_speed_of_padded_batches_on_other_machines(speed):
    """The numbers in the paragraphs below the table."""
    avx2, avx512 = speed("speed_avx2.csv"), speed("speed_avx512.csv")
    for said in (
        f"{series(avx2, GROUPED, 'fp32', RATIO, '.2f')} times as fast",
        f"MFU {avx2['the kit, padded', 'fp32', 'MFU (%)']:.0f} % against "
        + series(avx2, GROUPED, "fp32", "MFU (%)", ".0f", " %"),
        f"{series(avx512, GROUPED, 'fp32', RATIO, '.2f')} times in fp32",
        f"{series(avx512, GROUPED, 'bf16', RATIO, '.2f')} times in bf16",
        f"MFU {avx512['the kit, padded', 'fp32', 'MFU (%)']:.0f} % against "
        + series(avx512, GROUPED, "fp32", "MFU (%)", ".0f", " %"),
    ):
        assert said in README, said


def test_speed_of_a_larger_model(speed):
    base, best = speed("speed_base.csv"), GROUPED[0]
    assert {max(GROUPED, key=lambda loop, p=p: base[loop, p, "pieces/s"]) for p in BOTH} == {best}

    def pair(loop, quantity, form, between):
        return between.join(format(base[loop, p, quantity], form) for p in BOTH)

    for said in (
        pair("the kit, padded", "pieces/s", ".0f", " pieces a second in fp32 and "),
        pair(best, "pieces/s", ".0f", " and ") + ": " + pair(best, RATIO, ".2f", " and "),
        pair("the kit, padded", "MFU (%)", ".0f", " % and ") + " % against " + pair(best, "MFU (%)", ".0f", " % and "),
    ):
        assert said in README, said


def test_speed_of_packed_batches_on_another_machine(speed):
    found, kit = speed("speed_shuffled.csv"), "the kit"
    best = {"fp32": SHUFFLED[0], "bf16": SHUFFLED[1]}
    for precision, loop in best.items():
        loops = found[:, precision, "pieces/s"].drop(kit)
        assert loop == loops.idxmax()
    kits, trainers = (
        [f"{found[loop, p, 'pieces/s']:,.0f}" for p, loop in of]
        for of in ([(p, kit) for p in best], list(best.items()))
    )
    ratios = [f"{found[loop, p, RATIO]:.2f}" for p, loop in best.items()]
    percent = [f"{found[loop, 'fp32', 'MFU (%)']:.0f} %" for loop in (kit, best["fp32"])]
    for said in (
        f"{kits[0]} pieces a second in fp32 and {kits[1]} in bf16",
        f"at its best {trainers[0]} (batches of 16) and {trainers[1]} (of 32): {ratios[0]} and {ratios[1]} times",
        f"MFU {percent[0]} against {percent[1]} in fp32",
    ):
        assert said in README, said


def test_what_a_reward_costs():
    found = results("objective_cost.csv").set_index("reward")
    shown = table("`reward=`", "what it is")
    assert [row[0].strip("`") for row in shown] == list(found.index)
    for name, *_, cost in shown:
        row = found.loc[name.strip("`")]
        assert cost == f"{float(row['ratio']):.1f}×, {row['of a BERT step']} of a step of MiniLM"


def test_quality():
    """Means, ranges and intervals, as `python -m tests.benchmarks.quality --summary` prints them."""
    found = summary(results("quality.csv").astype({"f1": float}))
    found.columns = ["corpus", "loop", "f1", "span", "difference"]
    loops = {
        "`Trainer`, grouped by length": PLAIN,
        "`Trainer`, shuffled (its default)": f"{PLAIN}, shuffled",
        "**the kit**": "the kit",
        "the kit, padded": "the kit, padded",
        "the same, no attention dropout": "the kit, padded, no attention dropout",
    }
    corpora = {
        "newswire, 2,030 sentences": "newswire",
        "CoNLL-2003, first 3,000 sentences": "conll2003, 3000 sentences",
    }
    shown, corpus = table("corpus", "loop", "test F1"), ""
    assert len(shown) == len(found) == 10
    for name, loop, *said in shown:
        corpus = corpora[name] if name else corpus  # an empty cell: the same as above
        (row,) = found[(found.corpus == corpus) & (found.loop == loops[loop])].itertuples()
        stored = [re.sub(r"\b0\.", ".", text) for text in (row.f1, row.span, row.difference)]
        assert said == stored, (corpus, loop)


def test_what_the_quality_table_says():
    """Differences that are not in the table, with their intervals over the seeds."""
    scores = results("quality.csv").astype({"f1": float}).pivot(index=["corpus", "seed"], columns="loop", values="f1")

    def said(corpus, one, other):
        numbers = re.findall(r"[+-]0\.\d+", str(over_seeds((scores[one] - scores[other]).loc[corpus].to_numpy())))
        mean, low, high = (number.replace("0.", ".").replace("-", "\N{MINUS SIGN}") for number in numbers)
        return f"{mean}, from {low} to {high}"

    ours, shuffled, bare = "the kit", f"{PLAIN}, shuffled", "the kit, padded, no attention dropout"
    both = [said(corpus, ours, shuffled) for corpus in ("newswire", "conll2003, 3000 sentences")]
    assert f"level with `Trainer` shuffled ({both[0]}, and {both[1]})" in README
    assert f"clear on CoNLL-2003 alone ({said('conll2003, 3000 sentences', bare, ours)})" in README


def test_partial():
    found = results("partial.csv")
    shown = table("what trains", "trainable weights")
    assert len(shown) == len(found)
    for (name, weights, memory, epoch, f1), (_, row) in zip(shown, found.iterrows(), strict=True):
        assert weights == f"{int(row['trainable parameters']):,}", name
        assert memory == f"{int(row['peak MB']) - int(row['start MB'])} MB", name
        assert epoch == f"{float(row['seconds per epoch']):.1f} s", name
        said = [float(one) for one in re.findall(r"\.\d{3}", f1)]
        stored = [float(row[column]) for column in ("test F1", "lowest", "highest")]
        assert said == pytest.approx(stored, abs=0.00051), name  # four digits there, three here


def test_every_result_is_described():
    described = (data_dir() / "README.md").read_text(encoding="utf8")
    for file in (data_dir() / "results").iterdir():
        assert f"`{file.name}`" in described, file.name
        if file.suffix == ".csv":  # and says what made it
            assert re.match(r"# (python -m tests\.benchmarks\.\w+|rmlib study \w+)", file.read_text(encoding="utf8"))
