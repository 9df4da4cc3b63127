"""Make data/newswire from the bracketed text it was written in, and count what is in it.

    python data/convert_newswire.py FOLDER      # FOLDER/*.txt -> data/newswire/*.conll
    python data/convert_newswire.py --counts    # the numbers in data/README.md

A line of a source file is one sentence, its words separated by single spaces, an entity written as
[TYPE word word ]. Any mistake in a source file stops the script, and no file is written.
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
    """Return the words and IOB2 tags of a bracketed line.

    Raises:
        ValueError: the line has a mistake; the message says which.
    """
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


def read_source(file: Path, seen: set[str]) -> list[Sentence]:
    """Return the sentences of a source file.

    Args:
        file: the bracketed text.
        seen: the sentences of the files before, in lower case; those of this file are added.
    """
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
    return sentences


def write_split(file: Path, documents: list[list[Sentence]]) -> None:
    """Write the documents in CoNLL columns and check that they read back."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for sentences in documents:
            out.write("-DOCSTART- O\n\n")
            for words, tags in sentences:
                out.writelines(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True))
                out.write("\n")
    written = [sentence for sentences in documents for sentence in sentences]
    if read_conll(file, scheme="iob2", types=CONLL_TYPES) != written:
        raise SystemExit(f"{file} does not read back as it was written")


def convert(source: Path, out: Path) -> None:
    """Write the three splits: 70 % of every source file to train, 10 % to dev, 20 % to test."""
    files = sorted(source.glob("*.txt"))
    if not files:
        raise SystemExit(f"{source} holds no .txt file")
    splits: dict[str, list[list[Sentence]]] = {split: [] for split in SHARES}
    seen: set[str] = set()
    for file in files:
        sentences = read_source(file, seen)
        n = len(sentences)
        for split, (start, end) in SHARES.items():
            splits[split].append(sentences[round(start * n) : round(end * n)])
    out.mkdir(exist_ok=True)
    for split, documents in splits.items():
        write_split(out / f"{split}.conll", documents)


def leak(train, test, kind=None, whole=True) -> float:
    """The share of the names in test that a tagger could have memorised.

    Args:
        train, test: sentences.
        kind: of one type of entity only.
        whole: count a name that is an entity of train, letter for letter; else a name that shares
            a capitalised word with one.
    """
    names = [s.words[start:end] for s in train for _, start, end in entities(s.tags)]
    tested = [s.words[a:b] for s in test for k, a, b in entities(s.tags) if kind in (None, k)]
    if whole:
        known = set(names)
        return sum(name in known for name in tested) / len(tested)
    words = {word.lower() for name in names for word in name if word[0].isupper()}
    shared = [any(w[0].isupper() and w.lower() in words for w in name) for name in tested]
    return sum(shared) / len(tested)


def random_leaks(corpus, seeds=range(20), **options) -> list[float]:
    """The `leak` of random splits of the same sizes, one number per seed."""
    sentences = [*corpus.train, *corpus.dev, *corpus.test]
    shares = []
    for seed in seeds:
        shuffled = random.Random(seed).sample(sentences, len(sentences))
        train, test = shuffled[: len(corpus.train)], shuffled[-len(corpus.test) :]
        shares.append(leak(train, test, **options))
    return shares


LEAKS = {
    "the whole name is a name in train": {},
    "a word of it is in a name in train": {"whole": False},
    "the same, persons only": {"whole": False, "kind": "PER"},
}


def row(label: str, sentences) -> str:
    """One line of the table of counts."""
    names = [entities(s.tags) for s in sentences]
    kinds = Counter(kind for spans in names for kind, _, _ in spans)
    cells = [label, len(sentences), sum(len(s.words) for s in sentences), kinds.total()]
    cells += [kinds[kind] for kind in CONLL_TYPES]
    cells.append(f"{sum(not spans for spans in names) / len(names):.1%}")
    return "| " + " | ".join(f"{c:,}" if isinstance(c, int) else c for c in cells) + " |"


def counts(corpus) -> str:
    """The two tables of the data sheet."""
    lines = [
        "| split | sentences | words | entities | PER | ORG | LOC | MISC | no entity |",
        "|---" * 9 + "|",
    ]
    lines += [row(split, getattr(corpus, split)) for split in SHARES]
    lines += [row("all", [*corpus.train, *corpus.dev, *corpus.test]), ""]
    lines += [
        "| test entities | this split | random split: mean (lowest to highest of 20) |",
        "|---" * 3 + "|",
    ]
    for label, options in LEAKS.items():
        shares = random_leaks(corpus, **options)
        mean, low, high = sum(shares) / len(shares), min(shares), max(shares)
        here = leak(corpus.train, corpus.test, **options)
        lines.append(f"| {label} | {here:.1%} | {mean:.1%} ({low:.1%} to {high:.1%}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
