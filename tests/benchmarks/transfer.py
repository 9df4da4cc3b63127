"""Measure how a tagger transfers to another writer's text, with two ways to split the newswire.

    python -m tests.benchmarks.transfer [--seeds 3]

trains on one volume of the newswire and tests on both, with the split in whole blocks that the kit
ships and with a random split, and writes data/results/transfer.csv, one row per test. Batches are
padded. About a minute per training on two cores; there are four trainings per seed.
"""

import csv
import random
import sys
from pathlib import Path

from rmlib.text import corpora
from rmlib.training import runs
from rmlib.training.config import Config

# the documents, in the order of the files
VOLUMES = {"first volume": range(5), "second volume": range(5, 10)}
COLUMNS = [
    "split",
    "trained on",
    "tested on",
    "seed",
    "f1",
    "precision",
    "recall",
    "train sentences",
]


def documents(split: str) -> list[list]:
    """The sentences of one shipped split, one list per source file."""
    path = corpora.data_dir() / "newswire" / f"{split}.conll"
    sentences, sizes = corpora.read_conll(path), []
    for block in path.read_text(encoding="utf8").split("-DOCSTART- O")[1:]:
        sizes.append(sum(bool(part.strip()) for part in block.split("\n\n")))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    assert sum(sizes) == len(sentences)
    return [sentences[a : a + n] for a, n in zip(starts, sizes, strict=True)]


def split_documents(how: str, seed: int) -> dict[str, list[list]]:
    """The documents' parts: as shipped ("blocks"), or of the same sizes at random."""
    shipped = {name: documents(name) for name in ("train", "dev", "test")}
    if how == "blocks":
        return shipped
    drawn: dict[str, list[list]] = {name: [] for name in shipped}
    for parts in zip(*shipped.values(), strict=True):
        pool = [sentence for part in parts for sentence in part]
        random.Random(seed).shuffle(pool)
        for name, part in zip(drawn, parts, strict=True):
            drawn[name].append(pool[: len(part)])
            pool = pool[len(part) :]
    return drawn


def rows(seeds: int):
    """Train for each (seed, split, volume) and yield one row per volume tested on."""
    for seed in range(seeds):
        for how in ("blocks", "random"):
            parts = split_documents(how, seed)
            of = {
                volume: {
                    name: [s for i in numbers for s in documents[i]]
                    for name, documents in parts.items()
                }
                for volume, numbers in VOLUMES.items()
            }
            for trained, text in of.items():
                corpus = corpora.Corpus(trained, text["train"], text["dev"], text["test"])
                tagger, _, _ = runs.train_tagger(corpus, Config(alpha=1.0, seed=seed, packed="no"))
                for tested in VOLUMES:
                    scores = runs.evaluate(tagger, of[tested]["test"])
                    numbers = [round(scores[name], 4) for name in ("f1", "precision", "recall")]
                    yield [how, trained, tested, seed, *numbers, len(corpus.train)]


def main():
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 3
    path = Path(corpora.data_dir()) / "results" / "transfer.csv"
    path.parent.mkdir(exist_ok=True)
    versions = ", ".join(f"{name} {number}" for name, number in runs.versions().items())
    with open(path, "w", newline="", encoding="utf8") as file:
        file.write(f"# python -m tests.benchmarks.transfer --seeds {seeds}; {versions}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows(seeds):
            writer.writerow(row)
            file.flush()
            print(*row)


if __name__ == "__main__":
    main()
