"""Write the tables of the READMEs from data/results.

    python -m tests.benchmarks.tables            # rewrites what stands between the markers
    python -m tests.benchmarks.tables --check    # writes nothing; shows a diff and exits with 1

A block is `<!-- table: NAME -->`, the table, `<!-- /table -->`; a number in a sentence is
`<!-- value: NAME -->1.42<!-- /value -->`. NAME is a function below that is marked with `@table` or
`@value`. Nothing is measured here: every number comes from a CSV file that a benchmark or a study
has stored.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rmlib.studies.bootstrap import over_seeds

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"
FILES = ("README.md", "data/README.md", "tests/benchmarks/README.md")
BLOCK = re.compile(
    r"(?P<begin><!-- (?P<kind>table|value): (?P<name>\w+) -->).*?(?P<end><!-- /(?P=kind) -->)",
    re.DOTALL,
)
TABLES: dict[str, Callable[[], list[dict]]] = {}
VALUES: dict[str, Callable[[], str]] = {}

PRECISIONS = ("fp32", "bf16")
BATCHES = (16, 32, 64)
GROUPED = [f"Trainer, batch {size}" for size in BATCHES]
SHUFFLED = [f"{name}, shuffled" for name in GROUPED]
ARTICLE, PADDED, KIT = "the article's loop", "the kit, padded", "the kit"
SPEED, RATIO, MFU = "tokens/s", "kit in the same precision", "MFU (%)"
DEFAULTS = "kit with its defaults"
PLAIN = "plain (Trainer)"
QUALITY = {
    PLAIN: "`Trainer`, grouped by length",
    f"{PLAIN}, shuffled": "`Trainer`, shuffled (its default)",
    KIT: "**the kit**",
    PADDED: "the kit, padded (`--packed no`)",
    f"{PADDED}, no attention dropout": "the same, no attention dropout",
}


def table(rows: Callable[[], list[dict]]):
    """Mark a function that returns the rows of the table of its name; all rows share their keys."""
    TABLES[rows.__name__] = rows
    return rows


def value(text: Callable[[], str]):
    """Mark a function that returns a number of a sentence, as it is written there."""
    VALUES[text.__name__] = text
    return text


def results(name: str) -> pd.DataFrame:
    """A stored table; empty cells are empty strings."""
    return pd.read_csv(RESULTS / name, comment="#", keep_default_na=False)


def markdown(rows: list[dict]) -> str:
    """A markdown table of rows that share their keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


# Speed ----------------------------------------------------------------------------------------


def speed_of(name: str) -> pd.Series:
    """The values of a run of tests.benchmarks.speed, by (what, precision, quantity)."""
    stored = results(name).set_index(["what", "precision", "quantity"]).value
    return stored.astype(float).sort_index()


def fastest(stored: pd.Series, loops: list[str], precision: str) -> str:
    """The loop with the most tokens per second."""
    return max(loops, key=lambda loop: stored[loop, precision, SPEED])


def loop_name(loop: str) -> str:
    """A loop of a speed file, as the tables call it."""
    if not loop.startswith("Trainer"):
        return {ARTICLE: "the article's", KIT: "**the kit**"}.get(loop, f"{loop} (`--packed no`)")
    size = re.search(r"\d+", loop).group()
    order = "shuffled (its default)" if loop.endswith("shuffled") else "grouped by length"
    return f"`Trainer`, {order}, batches of {size}"


def times(ratio: float) -> str:
    return f"{ratio:.2f}×"


@table
def speed() -> list[dict]:
    """The loops in short: `Trainer` at the batch size that is fastest, with the F1 of each."""
    stored, f1 = speed_of("speed.csv"), mean_f1("newswire")
    choices = {
        "the article's (every sentence padded to 128)": ([ARTICLE], None),
        QUALITY[PLAIN]: (GROUPED, PLAIN),
        QUALITY[f"{PLAIN}, shuffled"]: (SHUFFLED, f"{PLAIN}, shuffled"),
        QUALITY[PADDED]: ([PADDED], PADDED),
        QUALITY[KIT]: ([KIT], KIT),
    }
    rows = []
    for name, (loops, quality) in choices.items():
        best = {p: fastest(stored, loops, p) for p in PRECISIONS}
        row = {"training loop": name}
        row |= {f"tokens/s, {p}": f"{stored[best[p], p, SPEED]:,.0f}" for p in PRECISIONS}
        ratios = {
            p: "" if loop == KIT else times(stored[loop, p, RATIO]) for p, loop in best.items()
        }
        row |= {f"the kit ÷ it, {p}": text for p, text in ratios.items()}
        rows.append(row | {"test F1, newswire": f1[quality] if quality else "not measured"})
    return rows


@table
def speed_loops() -> list[dict]:
    """Every loop and batch size of speed.csv."""
    stored = speed_of("speed.csv")
    rows = []
    for loop in (ARTICLE, *GROUPED, *SHUFFLED, PADDED, KIT):
        ratio = "" if loop == KIT else times(stored[loop, "fp32", DEFAULTS])
        rows.append(
            machine_row(stored, loop, PRECISIONS) | {"the kit's defaults ÷ it, fp32": ratio}
        )
    return rows


MACHINES = {
    "speed_avx512.csv": "AMD, AVX-512 and bf16",
    "speed_avx2.csv": "AMD, AVX2 only",
    "speed_shuffled.csv": "AMD, AVX-512 and bf16; 1,000 sentences",
    "speed_base.csv": "AMD, AVX-512 and bf16; BERT-base's shape, 300 sentences",
}


@table
def speed_machines() -> list[dict]:
    """The runs on other processors and with a larger model."""
    rows = []
    for file, machine in MACHINES.items():
        stored = speed_of(file)
        known = set(stored.index.get_level_values(0))
        computed = [p for p in PRECISIONS if p in stored.index.get_level_values(1)]
        loops = [loop for loop in (*GROUPED, *SHUFFLED, PADDED, KIT) if loop in known]
        for loop in loops:
            name = {"processor and run": machine if loop == loops[0] else ""}
            rows.append(name | machine_row(stored, loop, computed))
    return rows


def machine_row(stored: pd.Series, loop: str, computed) -> dict:
    """A loop's speed, the kit's beside it and the MFU, in the precisions that were computed."""
    measured = {p: stored[loop, p] for p in computed}
    ours = all(numbers[RATIO] == 1 for numbers in measured.values())

    def each(form: str, quantity: str) -> dict:
        return {p: form.format(measured[p][quantity]) if p in measured else "–" for p in PRECISIONS}

    return {
        "training loop": loop_name(loop),
        **{f"tokens/s, {p}": text for p, text in each("{:,.0f}", SPEED).items()},
        **{
            f"the kit ÷ it, {p}": "" if ours else text for p, text in each("{:.2f}×", RATIO).items()
        },
        **{f"MFU, {p}": text for p, text in each("{:.0f} %", MFU).items()},
    }


@table
def speed_profile() -> list[dict]:
    """Where the time of the kit's steps goes."""
    stored = results("speed.csv")
    kinds = stored[(stored.quantity == "share (%)") & (stored.precision != "")]
    kinds = kinds[~kinds.what.isin(results("objective_cost.csv").reward)]
    shares = speed_of("speed.csv")
    return [
        {"operation": kind} | {p: f"{shares[kind, p, 'share (%)']:.1f} %" for p in PRECISIONS}
        for kind in kinds.what.unique()
    ]


@table
def speed_epoch() -> list[dict]:
    """Where the time of one epoch of `rmlib train` goes."""
    stored = speed_of("speed.csv")
    return [
        {
            "part of an epoch": part,
            "seconds": f"{stored[part, '', 'seconds']:.2f}",
            "share": f"{stored[part, '', 'share (%)']:.1f} %",
        }
        for part in ("steps", "evaluation", "checkpoints")
    ]


@table
def speed_objective() -> list[dict]:
    """The objective's part of a training step."""
    stored = speed_of("speed.csv")
    rewards = ("expected_accuracy", "soft_f1", "soft_f1_macro")
    return [
        {"reward": f"`{reward}`"}
        | {f"{p}, ms": f"{stored[reward, p, 'objective (ms)']:.2f}" for p in PRECISIONS}
        | {f"{p}, of a step": f"{stored[reward, p, 'share (%)']:.2f} %" for p in PRECISIONS}
        for reward in rewards
    ]


def speed_up(precision: str) -> str:
    """How many times as fast as `Trainer` shuffled, at its fastest batch size, the kit is."""
    stored = speed_of("speed.csv")
    return f"{stored[fastest(stored, SHUFFLED, precision), precision, RATIO]:.2f}"


@value
def speed_up_fp32() -> str:
    return speed_up("fp32")


@value
def speed_up_bf16() -> str:
    return speed_up("bf16")


@value
def matrix_products() -> str:
    return f"{speed_of('speed.csv')['matrix products', 'fp32', 'share (%)']:.0f} %"


@table
def reward_cost() -> list[dict]:
    """What each reward costs, beside cross-entropy and in a training step."""
    return [
        {
            "`reward=`": f"`{row['reward']}`",
            "ms": f"{float(row['ms']):.2f}",
            "× plain cross-entropy": f"{float(row['ratio']):.1f}",
            "of a step of MiniLM": row["of a BERT step"],
        }
        for row in results("objective_cost.csv").to_dict("records")
    ]


# Quality --------------------------------------------------------------------------------------


def by_loop(stored: pd.DataFrame) -> pd.DataFrame:
    """The F1 of quality.csv, (corpus, seed) by loop."""
    scores = stored.astype({"f1": float})
    return scores.pivot(index=["corpus", "seed"], columns="loop", values="f1")


def mean_f1(corpus: str) -> dict[str, str]:
    """The mean F1 of each loop over the seeds."""
    means = by_loop(results("quality.csv")).loc[corpus].mean()
    return {loop: f"{f1:.3f}" for loop, f1 in means.items()}


CORPORA = {
    "newswire": "newswire, 2,030 sentences",
    "conll2003, 3000 sentences": "CoNLL-2003, first 3,000 sentences",
}


@table
def quality() -> list[dict]:
    """F1 of every loop on two corpora."""
    return quality_rows(results("quality.csv"))


def quality_rows(stored: pd.DataFrame) -> list[dict]:
    """F1 over the seeds, and the difference from `Trainer` grouped by length."""
    rows = []
    for corpus, title in CORPORA.items():
        scores = by_loop(stored).loc[corpus]
        for loop, name in QUALITY.items():
            f1 = scores[loop]
            difference = over_seeds((f1 - scores[PLAIN]).to_numpy())
            rows.append(
                {
                    "corpus": title if loop == PLAIN else "",
                    "training loop": name,
                    "test F1": f"{f1.mean():.3f}",
                    "seeds": f"{f1.min():.3f} to {f1.max():.3f}",
                    "difference (95 %)": "" if loop == PLAIN else str(difference),
                }
            )
    return rows


@table
def quality_pairs() -> list[dict]:
    """Differences that the table `quality` does not hold."""
    bare = f"{PADDED}, no attention dropout"
    pairs = {
        "the kit − `Trainer`, shuffled": (KIT, f"{PLAIN}, shuffled"),
        "the kit, padded − the kit": (PADDED, KIT),
        "no attention dropout − the kit, padded": (bare, PADDED),
        "padded, no attention dropout − the kit": (bare, KIT),
    }
    scores = by_loop(results("quality.csv"))
    rows = []
    for name, (one, other) in pairs.items():
        difference = scores[one] - scores[other]
        rows.append(
            {"difference in test F1 (95 %)": name}
            | {
                title: str(over_seeds(difference.loc[corpus].to_numpy()))
                for corpus, title in CORPORA.items()
            }
        )
    return rows


@table
def partial() -> list[dict]:
    """What it costs to train a part of the weights only."""
    settings = {
        "everything": "everything (`--freeze none`)",
        "frozen: word and position tables": "all but the word and position tables (the default)",
        "frozen: embeddings, 2 layers": "without the lowest 2 layers (`--freeze 2`)",
        "frozen: embeddings, 4 layers": "without the lowest 4 (`--freeze 4`)",
        "frozen: encoder": "the head alone (`--freeze encoder`)",
        "everything, layer_decay 0.9": "everything, `--layer-decay 0.9`",
        "lora 4": "adapters, `--lora 4`",
        "lora 16": "adapters, `--lora 16`",
    }
    stored = results("partial.csv").set_index("setting")
    rows = []
    for setting, name in settings.items():
        row = stored.loc[setting]
        numbers = [f"{float(row[column]):.4f}" for column in ("test F1", "lowest", "highest")]
        rows.append(
            {
                "what trains": name,
                "trainable weights": f"{int(row['trainable parameters']):,}",
                "memory for training": f"{int(row['peak MB']) - int(row['start MB'])} MB",
                "an epoch": f"{float(row['seconds per epoch']):.1f} s",
                "learning rate": f"{float(row['lr']):g}",
                "test F1 (the two seeds)": "{} ({}, {})".format(*numbers),
            }
        )
    return rows


@table
def transfer() -> list[dict]:
    """F1 across the volumes of the newswire: the mean over the seeds."""
    stored = results("transfer.csv").astype({"f1": float})
    means = stored.groupby(["split", "trained on", "tested on"]).f1.mean()
    volumes = ("first volume", "second volume")
    return [
        {
            "split": {"blocks": "in blocks (the kit's)"}.get(split, "at random"),
            "trained on": trained,
        }
        | {f"tested on the {tested}": f"{means[split, trained, tested]:.3f}" for tested in volumes}
        for split in ("blocks", "random")
        for trained in volumes
    ]


# The widgets ------------------------------------------------------------------------------------


@table
def explorers() -> list[dict]:
    """From a key to the new picture."""
    return [
        {
            "explorer": f"`{row['explorer']}`",
            "median": f"{row['median ms']} ms",
            "95 %": f"{row['95 % ms']} ms",
            "`interact` and pyplot, median": f"{row['usual median ms']} ms",
            "ratio of medians": row["ratio of medians"],
        }
        for row in results("explorer_latency.csv").to_dict("records")
    ]


@table
def live_lab() -> list[dict]:
    """The live lab while MiniLM trains."""
    (row,) = results("live_latency.csv").to_dict("records")
    return [
        {
            "key to picture, median": f"{row['median ms']} ms",
            "95 %": f"{row['95 % ms']} ms",
            "steps until α is active, at most": row["steps until heard, most"],
            "tokens/s, watched": f"{row['tokens/s watched']:,}",
            "not watched": f"{row['tokens/s unwatched']:,}",
            "ratio": f"{row['ratio']} ({row['lowest']} to {row['highest']})",
        }
    ]


@table
def instant_head() -> list[dict]:
    """From a move to a new head and its dev scores."""
    return [
        {
            "moves": row["moves"] if " " in row["moves"] else f"α, `{row['moves']}`",
            "median": f"{row['median ms']:.0f} ms",
            "95 %": f"{row['95 % ms']:.0f} ms",
            "converged": f"{100 * row['converged']:.0f} %",
            "scikit-learn's fit": f"{row['scikit-learn ms']:,.0f} ms",
        }
        for row in results("instant_head.csv").to_dict("records")
    ]


# Encoders ---------------------------------------------------------------------------------------


@table
def encoders() -> list[dict]:
    """What the kit makes of each family of encoders."""
    stored = results("encoders.csv")
    equal = stored.note.str.startswith("only texts of one length")
    groups = {
        "trains in packed batches": stored[stored.verdict == "works"],
        "trains in padded batches": stored[(stored.verdict == "padded only") & ~equal],
        "trains in batches of one length": stored[equal],
        "is refused": stored[stored.verdict == "refused"],
    }
    return [
        {"the encoder": name, "families": len(rows), "": ", ".join(f"`{f}`" for f in rows.family)}
        for name, rows in groups.items()
    ]


@table
def long_texts() -> list[dict]:
    """F1 of texts longer than the encoder reads, beside that of their sentences."""
    stored = results("long_texts.csv").astype({"f1": float})
    by = ["trained on", "tested on", "window"]
    f1 = stored.pivot(index="seed", columns=by, values="f1")
    forms = {
        ("sentences", 128): "sentences",
        ("texts", 128): "texts, in windows of 128 tokens",
        ("texts", 512): "texts, in windows of 512 tokens",
    }
    return [
        {"trained on": trained, "tested on": name}
        | {f"test F1, seed {seed}": f"{f1.loc[seed, (trained, *form)]:.3f}" for seed in f1.index}
        | {"mean": f"{f1[trained, *form].mean():.3f}"}
        for trained in ("sentences", "texts")
        for form, name in forms.items()
    ]


# Files ------------------------------------------------------------------------------------------


def render(text: str) -> str:
    """The text with every block written anew.

    Raises:
        KeyError: a block has an unknown name.
    """

    def block(match: re.Match) -> str:
        kind, name = match["kind"], match["name"]
        known = TABLES if kind == "table" else VALUES
        if name not in known:
            raise KeyError(
                f"{kind} {name!r} is unknown; expected one of {', '.join(sorted(known))}"
            )
        body = f"\n{markdown(known[name]())}" if kind == "table" else known[name]()
        return match["begin"] + body + match["end"]

    return BLOCK.sub(block, text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.tables", description=__doc__.split("\n")[0]
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=", ".join(FILES))
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 on a diff")
    chosen = parser.parse_args(arguments)
    stale = False
    for path in chosen.files or [ROOT / name for name in FILES]:
        old = path.read_text(encoding="utf8")
        new = render(old)
        if new == old:
            continue
        stale = True
        lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
        sys.stdout.writelines(difflib.unified_diff(*lines, str(path), "from data/results"))
        if not chosen.check:
            path.write_text(new, encoding="utf8")
    return int(stale and chosen.check)


if __name__ == "__main__":
    sys.exit(main())
