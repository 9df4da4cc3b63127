"""Labelled corpora by name."""

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rmlib.errors import nearest

from . import downloads
from .conll import CONLL_TYPES, CorpusError, Sentence, read_files, scheme_of, to_iob2
from .plain_text import read_text, short

SPLITS = {
    "train": ["train"],
    "dev": ["dev", "valid", "validation", "val", "testa"],
    "test": ["test", "testb"],
}
SUFFIXES = (
    *("", ".conll", ".txt", ".tsv", ".csv", ".iob", ".iob2", ".bio", ".bmes", ".bioes"),
    *(".conllu", ".jsonl", ".json"),
)

MANY_WORDS = 200  # more than a sentence has


@dataclass(frozen=True)
class Corpus:
    """Sentences to train on, to choose settings on (dev) and to report on once (test).

    `layout` says what its files were taken for.
    """

    name: str
    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]
    layout: str = ""

    @cached_property
    def tags(self) -> list[str]:
        """The tag set of all splits: "O", then PER, ORG, LOC, MISC, then other types by alphabet.

        Computed at the first access.
        """
        present = {*_types(self.train), *_types(self.dev), *_types(self.test)}
        types = [t for t in CONLL_TYPES if t in present] + sorted(present - set(CONLL_TYPES))
        return ["O"] + [f"{mark}-{t}" for t in types for mark in "BI"]

    def check(self) -> list[str]:
        """Warnings, one sentence each, about types that cannot be learned or measured.

        Raises:
            CorpusError: train has no entity.
        """
        train = _types(self.train)
        if not train:
            raise CorpusError(
                f"{self.name}: no entity in {len(self.train)} training sentences; expected tags "
                f"such as B-PER (is this the right column? {self.layout or 'no file was read'})"
            )
        lengths = [len(sentence.words) for sentence in self.train]
        warnings = []
        if max(lengths) == 1 or (len(lengths) == 1 and lengths[0] > MANY_WORDS):
            warnings.append(
                f"train has {len(lengths)} sentences with {max(lengths)} words at most; expected "
                "a blank line after each sentence, and no other"
            )
        for name, part in (("dev", self.dev), ("test", self.test)):
            types = _types(part)
            if not types:
                warnings.append(f"{name} has no entity, so its F1 is 0 for any tagger")
            if new := sorted(types - train):
                warnings.append(f"{name} has types that train never has: {', '.join(new)}")
        spelled = {}
        for kind in sorted({tag[2:] for tag in self.tags if tag != "O"}):
            spelled.setdefault(kind.lower(), []).append(kind)
        for kinds in spelled.values():
            if len(kinds) > 1:
                warnings.append(f"{' and '.join(kinds)} are different types here")
        return warnings


def _types(sentences) -> set[str]:
    return {tag[2:] for sentence in sentences for tag in sentence.tags if tag != "O"}


def data_dir() -> Path:
    """The folder of the kit's data: `data` in a checkout, or the copy in an installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "data"
    return checkout if (checkout / "newswire").is_dir() else package / "data"


def newswire() -> Corpus:
    """The newswire written for this kit: 2,900 sentences, split 70/10/20 (see data/README.md)."""
    return _from_folder(data_dir() / "newswire", "newswire", types=CONLL_TYPES)


def conll2003(path=None, accept_licence=False, limit=None, hub=None) -> Corpus:
    """CoNLL-2003 English: 14,041 / 3,250 / 3,453 sentences.

    Tjong Kim Sang and De Meulder, CoNLL 2003. The Reuters text is licensed for research only.

    Args:
        path: a folder with your own copy; None takes the kit's asset.
        accept_licence: True accepts the licence, which fetching the text requires.
        limit: keep only the first `limit` (1 or more) training sentences.
        hub: a data set on the model hub in the T-NER layout, such as "tner/conll2003".

    Raises:
        CorpusError: both path and hub are given, limit is not 1 or more, or a file cannot be used.
        AssetError: the licence is not accepted, or the files cannot be had.
    """
    if path is not None and hub is not None:
        raise CorpusError(
            f"conll2003 got both path {str(path)!r} and hub {hub!r}; expected one of them"
        )
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise CorpusError(
            f"limit is {limit!r}; expected a number of sentences, 1 or more, or None for all"
        )
    if hub is not None:
        corpus = _from_hub(hub, "conll2003", accept_licence)
    else:
        if path is None:
            path = downloads.fetch("conll2003", accept_licence=accept_licence)
        corpus = _from_folder(path, "conll2003", types=CONLL_TYPES)
    return replace(corpus, train=corpus.train[:limit])


def load(name_or_folder, accept_licence=False, columns=None) -> Corpus:
    """A corpus by name.

    Args:
        name_or_folder: "newswire", "conll2003", "hub:owner/name", or a folder with train, dev and
            test files.
        accept_licence: as for `conll2003`.
        columns: of the files in a folder, as for `conll.read_files`.

    Raises:
        CorpusError: the name is not known, or a file is missing or cannot be used.
        AssetError: the files cannot be had.
    """
    name = str(name_or_folder)
    if not name:
        raise CorpusError(
            "the name of the corpus is empty; "
            "expected newswire, conll2003, hub:owner/name or a folder"
        )
    if columns and (name in ("newswire", "conll2003") or name.startswith("hub:")):
        raise CorpusError(f"columns is {columns!r}; expected none, {name} has columns of its own")
    if name == "newswire":
        return newswire()
    if name == "conll2003":
        return conll2003(accept_licence=accept_licence)
    if name.startswith("hub:"):
        return _from_hub(name.removeprefix("hub:"), name, accept_licence)
    return _from_folder(name_or_folder, Path(name).name or name, columns=columns)


def _from_folder(folder, name: str, types=None, columns=None) -> Corpus:
    try:
        files = {p.name for p in Path(folder).iterdir() if p.is_file()}
    except NotADirectoryError:
        raise CorpusError(
            f"{folder} is a file; expected a folder with train, dev and test files"
        ) from None
    except (OSError, ValueError):
        raise CorpusError(
            f"corpus {str(folder)!r} is neither a known name nor a folder that can be read; "
            f"{nearest(folder, ['newswire', 'conll2003'])}, hub:owner/name, or a folder with "
            "train, dev and test files"
        ) from None
    paths = [Path(folder) / _file_of(folder, files, split) for split in SPLITS]
    parts, layout = read_files(paths, types=types, columns=columns)
    return Corpus(name, *parts, layout=layout)


def _file_of(folder, files: set[str], split: str) -> str:
    """The name of the file of a split: train.txt, or one such as NER-de-train.tsv or eng.train.

    Raises:
        CorpusError: there is none, or more than one.
    """
    stems = "|".join(SPLITS[split])
    suffixes = "|".join(map(re.escape, SUFFIXES))
    for before in ("", r".+[-_.]"):
        present = sorted(
            f for f in files if re.fullmatch(f"{before}({stems})({suffixes})", f, re.IGNORECASE)
        )
        if len(present) == 1:
            return present[0]
        if present:
            break
    wanted = ", ".join(stem + suffix for stem in SPLITS[split] for suffix in (".conll", ".txt"))
    got = " and ".join(present) or "none of them"
    raise CorpusError(
        f"{folder}: the {split} split should be one of {wanted}; found {got} "
        "(.tsv, .csv, .json and .jsonl are read too)"
    )


def _from_hub(repo: str, name: str, accept_licence: bool) -> Corpus:
    """A data set of the hub in the T-NER layout.

    dataset/label.json maps tags to numbers; each split is a file with one JSON object per line,
    {"tokens": [...], "tags": [numbers]}.
    """
    if "conll2003" in repo.lower() and not accept_licence:
        raise CorpusError(
            f"{repo!r} holds Reuters text licensed for research only; expected accept_licence=True"
        )
    labels = downloads.hub_file(repo, "dataset/label.json", repo_type="dataset")
    try:
        tag_of = {int(number): str(tag) for tag, number in json.loads(read_text(labels)).items()}
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        raise CorpusError(
            f'{labels}: expected one JSON object of tags and their numbers, {{"O": 0, ...}}'
        ) from None
    parts = {}
    for split, files in {"train": ["train"], "dev": ["valid", "dev"], "test": ["test"]}.items():
        for file in files:
            try:
                path = downloads.hub_file(repo, f"dataset/{file}.json", repo_type="dataset")
                break
            except downloads.AssetError:
                if file == files[-1]:
                    raise
        parts[split] = _read_json_lines(path, tag_of)
    return Corpus(name, **parts, layout="lists of words with numbered tags")


def _read_json_lines(path, tag_of: dict[int, str]) -> list[Sentence]:
    sentences = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            words, tags = list(row["tokens"]), [tag_of[n] for n in row["tags"]]
            valid = len(words) == len(tags) > 0 and all(isinstance(w, str) and w for w in words)
            valid = valid and all(re.fullmatch(r"O|[BIESLU]-\S+", tag) for tag in tags)
        except (ValueError, KeyError, TypeError, RecursionError):
            valid = False
        if not valid:
            known = ", ".join(map(str, sorted(tag_of)[:12]))
            raise CorpusError(
                f"{path}, line {number}: {short(line)} is not "
                '{"tokens": [words], "tags": [numbers]} '
                f"with as many of both and numbers from label.json ({known})"
            )
        sentences.append([(number, word, tag) for word, tag in zip(words, tags, strict=True)])
    if not sentences:
        raise CorpusError(f"{path} holds no sentence; expected one JSON object per line")
    return to_iob2(path, sentences, scheme_of(path, sentences))
