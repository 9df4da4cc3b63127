"""Makes data/newswire from the bracketed text it was written in, and counts what is in it.

    python data/convert_newswire.py FOLDER     # FOLDER/*.txt -> data/newswire/{train,dev,test}.conll
    python data/convert_newswire.py --counts   # the numbers in data/README.md

A line of a source file is one sentence, its words parted by single spaces, an entity written as [TYPE word word ].
Any mistake in a source file stops the script, and no file is written.
"""

import argparse
import random
import re
import sys
from collections import Counter
from pathlib import Path

from rmlib.text.conll import CONLL_TYPES, CorpusError, Sentence, entities, read_conll
from rmlib.text.corpora import newswire

OUT = Path(__file__).parent / "newswire"
SHARES = {"train": (0.0, 0.7), "dev": (0.7, 0.8), "test": (0.8, 1.0)}


def parse(line: str) -> Sentence:
    """A bracketed line as words and IOB2 tags. Raises ValueError with the mistake."""
    words, tags, inside, first = [], [], None, False
    for piece in line.split(" "):
        if piece.startswith("[") and piece[1:] in CONLL_TYPES:
            if inside:
                raise ValueError("an entity inside an entity")
            inside, first = piece[1:], True
        elif piece == "]":
            if not inside or first:
                raise ValueError("a ] with nothing to close")
            inside = None
        elif not piece or "[" in piece or "]" in piece:
            raise ValueError(f"{piece!r}: two spaces together, or a bracket in a word")
        elif re.search(r"[A-Za-z][,;:!?]$|\w['’]s$", piece):
            raise ValueError(f"{piece!r}: punctuation or 's is not split off")
        else:
            words.append(piece)
            tags.append("O" if not inside else f"B-{inside}" if first else f"I-{inside}")
            first = False
    if inside:
        raise ValueError("an entity that is not closed")
    if not 3 <= len(words) <= 50:
        raise ValueError(f"{len(words)} words; expected 3 to 50")
    return Sentence(tuple(words), tuple(tags))


def convert(source: Path, out: Path) -> None:
    """Writes the three files: of every source file the first 70 % to train, then 10 % to dev, 20 % to test."""
    files = sorted(source.glob("*.txt"))
    if not files:
        raise SystemExit(f"{source} holds no .txt file")
    splits, seen = {split: [] for split in SHARES}, set()
    for file in files:
        sentences = []
        for number, line in enumerate(file.read_text(encoding="utf-8").rstrip("\n").split("\n"), 1):
            try:
                sentence = parse(line)
                if (key := " ".join(sentence.words).lower()) in seen:
                    raise ValueError("this sentence is there already")
            except ValueError as mistake:
                raise SystemExit(f"{file}, line {number}: {mistake}") from None
            seen.add(key)
            sentences.append(sentence)
        n = len(sentences)
        for split, (start, end) in SHARES.items():
            splits[split].append(sentences[round(start * n) : round(end * n)])
    out.mkdir(exist_ok=True)
    for split, blocks in splits.items():
        with (out / f"{split}.conll").open("w", encoding="utf-8", newline="\n") as file:
            for block in blocks:
                file.write("-DOCSTART- O\n\n")
                for words, tags in block:
                    file.writelines(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True))
                    file.write("\n")
        written = [sentence for block in blocks for sentence in block]
        if read_conll(out / f"{split}.conll", scheme="iob2", types=CONLL_TYPES) != written:
            raise SystemExit(f"{out / split}.conll does not read back as it was written")


def leak(train, test, kind=None, whole=True) -> float:
    """How much of the names in test a tagger could know by heart.

    The share of the entities in test (of one type, or of all) whose whole name is an entity of train, letter for
    letter; with whole=False, whose name has a capitalised word in common with one.
    """
    names = [s.words[start:end] for s in train for _, start, end in entities(s.tags)]
    asked = [s.words[a:b] for s in test for k, a, b in entities(s.tags) if kind in (None, k)]
    if whole:
        known = set(names)
        return sum(name in known for name in asked) / len(asked)
    known = {word.lower() for name in names for word in name if word[0].isupper()}
    return sum(any(w[0].isupper() and w.lower() in known for w in name) for name in asked) / len(asked)


def random_leaks(corpus, seeds=range(20), **options) -> list[float]:
    """The leak when sentences are dealt out at random, whatever stands next to them; one number a seed."""
    sentences, shares = [*corpus.train, *corpus.dev, *corpus.test], []
    for seed in seeds:
        deck = random.Random(seed).sample(sentences, len(sentences))
        shares.append(leak(deck[: len(corpus.train)], deck[-len(corpus.test) :], **options))
    return shares


LEAKS = {
    "the whole name is a name in train": {},
    "a word of it is in a name in train": {"whole": False},
    "the same, persons only": {"whole": False, "kind": "PER"},
}


def row(label: str, sentences) -> str:
    found = [entities(s.tags) for s in sentences]
    kinds = Counter(kind for spans in found for kind, _, _ in spans)
    cells = [label, len(sentences), sum(len(s.words) for s in sentences), kinds.total()]
    cells += [kinds[kind] for kind in CONLL_TYPES] + [f"{sum(not spans for spans in found) / len(found):.1%}"]
    return "| " + " | ".join(f"{c:,}" if isinstance(c, int) else c for c in cells) + " |"


def counts(corpus) -> str:
    """The two tables of the data sheet."""
    lines = ["| split | sentences | words | entities | PER | ORG | LOC | MISC | no entity |", "|---" * 9 + "|"]
    lines += [row(split, getattr(corpus, split)) for split in SHARES]
    lines += [row("all", [*corpus.train, *corpus.dev, *corpus.test]), ""]
    lines += ["| test entities | this split | random split: mean (lowest to highest of 20) |", "|---" * 3 + "|"]
    for label, options in LEAKS.items():
        shares = random_leaks(corpus, **options)
        mean, low, high = sum(shares) / len(shares), min(shares), max(shares)
        here = leak(corpus.train, corpus.test, **options)
        lines.append(f"| {label} | {here:.1%} | {mean:.1%} ({low:.1%} to {high:.1%}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path, help="the folder with the bracketed files")
    parser.add_argument("--counts", action="store_true", help="print the numbers of the data sheet")
    chosen = parser.parse_args()
    if not (chosen.source or chosen.counts):
        parser.error("expected a source folder, or --counts")
    try:
        if chosen.source:
            convert(chosen.source, OUT)
        if chosen.counts:
            print(counts(newswire()))
    except CorpusError as mistake:
        sys.exit(str(mistake))
