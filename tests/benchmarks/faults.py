"""Measure what each fault of the article's training code costs in entity F1.

    python -m tests.benchmarks.faults [--seeds 3]

trains MiniLM on short sentences of the newswire with the article's loop (batches of 16 at a fixed
length, AdamW at a constant learning rate, plain cross-entropy) and writes data/results/faults.csv,
one row per run. The runs of one seed share the sentences, the order of the batches and the start;
they differ only in these settings:

- labels: "on first tokens", or "from [CLS] on": one per word, laid on the tokens one by one from
  the first position on, then O.
- padding: "ignored" (label -100), or "labelled O" and in the loss.
- MISC: "yes", or "no": the tag set lacks it, and a word in such a name is labelled O. (As printed,
  the code raises KeyError at the first of them.)
- alpha: 0 is the article's plain cross-entropy; otherwise the weight of soft F1.
- epochs: with the first seed, one run with labels from [CLS] on trains four times as long.

Test scores are strict entity F1 on all 580 test sentences, MISC included, after the last epoch.
Each tagger is read as it was trained: the tag of word number i is predicted at its first token
("f1"), or at position i where the labels were laid from [CLS] on; "f1 at first tokens" reads every
tagger in the former way. `gold`, `right` and `found` hold two hexadecimal digits per test sentence:
its numbers of gold, of right and of predicted entities.

Padding that is ignored is not computed beyond the longest sentence of a batch, which changes the
time and what dropout draws. Finished runs are kept: a second call adds what is missing.
"""

import argparse
import csv
import random
import sys
from pathlib import Path
from time import perf_counter

import torch

from rmlib import RewardObjective
from rmlib.determinism import seed_for
from rmlib.models.encoder import Tagger, freeze, new_tagger
from rmlib.text.conll import Sentence, entities
from rmlib.text.corpora import data_dir, newswire
from rmlib.text.encoding import IGNORE, Example
from rmlib.text.metrics import entity_scores
from rmlib.training.runs import versions

OUT = data_dir() / "results" / "faults.csv"
SENTENCES, LONGEST = 400, 24  # training sentences, and most tokens of each
LENGTH = 48  # fixed length of a batch, as far as padding counts
BATCH, LR = 16, 3e-4
FIRST, FROM_CLS = "on first tokens", "from [CLS] on"
IGNORED, AS_O = "ignored", "labelled O"
SETTINGS = ["labels", "padding", "MISC", "alpha", "epochs"]
RUNS = [
    (FIRST, IGNORED, "yes", 0.0, 3),  # all faults repaired
    (FIRST, IGNORED, "yes", 1.0, 3),
    (FROM_CLS, IGNORED, "yes", 0.0, 3),  # one fault alone
    (FIRST, IGNORED, "no", 0.0, 3),
    (FIRST, AS_O, "yes", 0.0, 3),
    (FROM_CLS, AS_O, "no", 0.0, 3),  # as printed
]
LONGER = (FROM_CLS, IGNORED, "yes", 0.0, 12)  # with seed 0
SCORES = ["f1", "precision", "recall"]
COUNTS = ["gold", "right", "found"]  # as `ner_analysis.sentence_counts` reads them
COLUMNS = ["seed", *SETTINGS, *SCORES, "f1 at first tokens", "last loss", *COUNTS]


def labels_of(sentence: Sentence, example: Example, tags: list[str], layout: str, misc: str):
    """One label per token of the sentence, padding excluded."""
    if layout == FIRST:
        labels = list(example.labels)
    else:
        labels = [tags.index(tag) for tag in sentence.tags]
        labels += [tags.index("O")] * (len(example) - len(labels))
    missing = [tags.index("B-MISC"), tags.index("I-MISC")] if misc == "no" else []
    return [tags.index("O") if label in missing else label for label in labels]


def batch_of(examples: list[Example], labels: list[list[int]], padding: str):
    """Inputs and labels (sentences, tokens) of a batch."""
    length = LENGTH if padding == AS_O else max(map(len, examples))
    fill = 0 if padding == AS_O else IGNORE

    def pad(rows, value):
        return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])

    inputs = {
        "input_ids": pad([e.input_ids for e in examples], 0),
        "attention_mask": pad([[1] * len(e) for e in examples], 0),
        "token_type_ids": pad([e.case for e in examples], 0),
    }
    return inputs, pad(labels, fill)


def train(sentences: list[Sentence], settings: tuple, seed: int) -> tuple[Tagger, float]:
    """A tagger trained with some of the faults, and its loss in the last epoch."""
    layout, padding, misc, alpha, epochs = settings
    tagger = new_tagger(newswire().tags, seed=seed)
    freeze(tagger.model, "embeddings")
    examples = tagger.encode(sentences).examples
    labels = [
        labels_of(s, e, tagger.labels, layout, misc)
        for s, e in zip(sentences, examples, strict=True)
    ]
    trainable = [p for p in tagger.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=LR)
    objective = RewardObjective(alpha)
    tagger.model.train()
    for epoch in range(epochs):
        order = random.Random(f"{seed} {epoch}").sample(range(len(examples)), len(examples))
        losses = []
        for start in range(0, len(order), BATCH):
            group = order[start : start + BATCH]
            inputs, y = batch_of([examples[i] for i in group], [labels[i] for i in group], padding)
            seed_for(seed, epoch, start)
            loss = objective(tagger.model(**inputs).logits, y).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return tagger, sum(losses) / len(losses)


@torch.no_grad()
def predictions(tagger: Tagger, sentences: list[Sentence]) -> dict[str, list[list[str]]]:
    """The likeliest tag of each word, read at its first token and read at its own number."""
    tagger.model.eval()
    examples = tagger.encode(sentences).examples
    found: dict[str, list] = {FIRST: [[]] * len(examples), FROM_CLS: [[]] * len(examples)}
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]))
    for start in range(0, len(order), 32):
        group = order[start : start + 32]
        own = [examples[i] for i in group]
        inputs, labels = batch_of(own, [e.labels for e in own], IGNORED)
        best = tagger.model(**inputs).logits.argmax(-1)
        for i, row, y in zip(group, best, labels, strict=True):
            found[FIRST][i] = [tagger.labels[k] for k in row[y != IGNORE]]
            words = len(sentences[i].words)
            found[FROM_CLS][i] = [tagger.labels[k] for k in row[:words]]
    return found


def run(sentences: list[Sentence], settings: tuple, seed: int) -> dict:
    """One row of the table."""
    tagger, loss = train(sentences, settings, seed)
    test = newswire().test
    found = predictions(tagger, test)
    scores = {how: entity_scores([s.tags for s in test], tags) for how, tags in found.items()}
    own = scores[settings[0]]
    return {
        "seed": seed,
        **dict(zip(SETTINGS, settings, strict=True)),
        **{name: round(own[name], 6) for name in SCORES},
        "f1 at first tokens": round(scores[FIRST]["f1"], 6),
        "last loss": round(loss, 6),
        **counts(test, found[settings[0]]),
    }


def counts(test: list[Sentence], predicted: list[list[str]]) -> dict[str, str]:
    """Entities of each sentence: gold, right and predicted."""
    pairs = [
        (set(entities(s.tags)), set(entities(tags)))
        for s, tags in zip(test, predicted, strict=True)
    ]
    numbers = [(len(gold), len(gold & own), len(own)) for gold, own in pairs]
    columns = zip(*numbers, strict=True)
    return {name: bytes(column).hex() for name, column in zip(COUNTS, columns, strict=True)}


def training_sentences() -> list[Sentence]:
    """Short sentences of all documents, in a fixed random order."""
    corpus = newswire()
    lengths = new_tagger(corpus.tags).encode(corpus.train).lengths
    short = [s for s, n in zip(corpus.train, lengths, strict=True) if n <= LONGEST]
    return random.Random(0).sample(short, SENTENCES)


def stored(path: Path, about: str) -> list[dict]:
    """The rows of finished runs; the file is begun if there is none."""
    if not path.exists():
        path.write_text(f"# {about}\n{','.join(COLUMNS)}\n", encoding="utf8")
    lines = path.read_text(encoding="utf8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.faults", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    sentences = training_sentences()
    tokens = sum(new_tagger(newswire().tags).encode(sentences).lengths)
    about = f"{parser.prog} --seeds {chosen.seeds}; {SENTENCES} sentences of at most {LONGEST} "
    about += f"tokens, {-(-SENTENCES // BATCH)} batches per epoch, learning rate {LR:g}; "
    about += f"fixed length {LENGTH}: {1 - tokens / (SENTENCES * LENGTH):.1%} padding; "
    about += ", ".join(f"{package} {number}" for package, number in versions().items())
    done = {tuple(row[name] for name in ["seed", *SETTINGS]) for row in stored(chosen.out, about)}
    plan = [(seed, settings) for seed in range(chosen.seeds) for settings in RUNS]
    for seed, settings in [*plan, (0, LONGER)]:
        if (str(seed), *map(str, settings)) in done:
            continue
        start = perf_counter()
        row = run(sentences, settings, seed)
        with open(chosen.out, "a", newline="", encoding="utf8") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        numbers = [row[name] for name in COLUMNS if name not in COUNTS]
        print(*numbers, f"{perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
