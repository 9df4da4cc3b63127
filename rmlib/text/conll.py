"""Strict reader of CoNLL column files.

B- opens an entity, I- continues it, O is outside. The reader also takes IOB1 (B- only between two
touching entities of one type; Ramshaw and Marcus, 1995) and BIOES, also called BILOU (S- or U- for
a single word, E- or L- for the last; Ratinov and Roth, CoNLL 2009). Sentences are IOB2 always.
"""

import difflib
import re
from pathlib import Path
from typing import NamedTuple

from rmlib.errors import RmlibValueError, nearest

CONLL_TYPES = ("PER", "ORG", "LOC", "MISC")  # Tjong Kim Sang and De Meulder, CoNLL 2003
SCHEMES = {
    "auto": "auto",
    "iob1": "iob1",
    "iob2": "iob2",
    "bio": "iob2",
    "bioes": "bioes",
    "bilou": "bioes",
}


class CorpusError(RmlibValueError):
    """Labelled text that cannot be used; the message says where and what was expected."""


class Sentence(NamedTuple):
    """The words of a sentence with their IOB2 tags."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def entities(tags) -> list[tuple[str, int, int]]:
    """The entities in a list of IOB2 tags, as (type, start, end); `end` is excluded.

    Only B- opens an entity. An I- tag that continues nothing is part of no entity, as in strict
    scoring.
    """
    spans, kind, start = [], "", 0
    for i, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            spans.append((kind, start, i))
            kind = ""
        if tag.startswith("B-"):
            kind, start = tag[2:], i
    return spans


def read_conll(path, scheme="auto", types=None) -> list[Sentence]:
    """Read a column file: one word per line, blank lines between sentences.

    The word stands in the first column and its tag in the last. Columns (two or more, as many on
    every line) are separated by tabs if the line has one, else by spaces. -DOCSTART- lines are
    skipped; Windows line ends and a byte-order mark are accepted.

    Args:
        path: the file, in UTF-8.
        scheme: "iob1", "iob2" (or "bio"), "bioes" (or "bilou"), or "auto". "auto" reads BIOES if
            there is any S-, E-, L- or U- tag; else IOB1 if an I- tag continues nothing; else IOB2.
        types: the entity types that are allowed; None allows any.

    Raises:
        CorpusError: the scheme is unknown, the file cannot be read, is empty or no text, or a line
            has a wrong number of columns, an unknown tag, or a tag that may not follow the one
            before it.
    """
    if str(scheme).lower() not in SCHEMES:
        raise CorpusError(f"scheme {scheme!r} is not known; {nearest(scheme, SCHEMES)}")
    scheme = SCHEMES[str(scheme).lower()]
    sentences = _rows(path, "BI" if scheme.startswith("iob") else "BIESLU", types)
    return to_iob2(path, sentences, scheme)


def short(value) -> str:
    """A value for an error message, at most 40 characters of it."""
    return repr(value if len(value) <= 40 else value[:40] + "...")


def _closest(tag: str, known: list[str]) -> str:
    """The known tag most like a wrong one, ignoring case; the first of equals."""
    wrong = tag[:40].lower()
    return max(known, key=lambda k: difflib.SequenceMatcher(None, k.lower(), wrong).ratio())


def read_text(path) -> str:
    """A whole file as text, with line ends "\\n".

    Raises:
        CorpusError: there is no such file, it cannot be read, or it is not UTF-8 text.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; expected a CoNLL file") from None
    except IsADirectoryError:
        raise CorpusError(f"{path} is a folder; expected a CoNLL file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character in it
        raise CorpusError(f"{str(path)!r} cannot be read: {error}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; expected text"
        ) from None
    text = text.replace("\r\n", "\n")
    if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        line = text.count("\n", 0, control.start()) + 1
        raise CorpusError(
            f"{path}, line {line}: control character {control.group()!r}; "
            "expected text, not a binary file"
        )
    return text


def _rows(path, marks: str, types) -> list[list[tuple[int, str, str]]]:
    """The sentences of a file as lists of (line number, word, tag), tags as they stand."""
    sentences, sentence, columns = [], [], None
    tag_form = re.compile(rf"O|[{marks}]-\S+")
    kinds = CONLL_TYPES if types is None else tuple(types)
    known = ["O", *(f"{mark}-{kind}" for mark in marks for kind in kinds)]
    # Only "\n" ends a line and only spaces and tabs separate: U+0085 or U+00A0 may well be part of
    # a word.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        line = line.strip(" ") if "\t" in line else line.strip(" \t")
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            if sentence:
                sentences.append(sentence)
            sentence = []
            continue
        cells = [c.strip(" ") for c in line.split("\t")] if "\t" in line else re.split(" +", line)
        columns = columns or max(len(cells), 2)
        if len(cells) != columns:
            expected = f"{columns}, as on the lines before"
            if not (sentence or sentences):
                expected = "two or more, word first, tag last"
            raise CorpusError(
                f"{path}, line {number}: {len(cells)} column(s) in {short(line)}; "
                f"expected {expected}"
            )
        word, tag = cells[0], cells[-1]
        if not word:
            raise CorpusError(
                f"{path}, line {number}: the word is empty in {short(line)}; expected a word first"
            )
        if not tag_form.fullmatch(tag) or (types is not None and tag not in known):
            type_ = "a type" if types is None else f"one of {', '.join(kinds)}"
            raise CorpusError(
                f"{path}, line {number}: unknown tag {short(tag)}; expected O, or one of "
                f"{'-, '.join(marks)}- and {type_}, such as {_closest(tag, known)!r}"
            )
        sentence.append((number, word, tag))
    if sentence:
        sentences.append(sentence)
    if not sentences:
        raise CorpusError(
            f"{path} holds no sentence; expected lines of a word, a space or tab, and a tag"
        )
    return sentences


def _scheme_of(path, sentences) -> str:
    """The one of the three schemes that a file is written in."""
    orphan = None  # the first I- that continues nothing
    opened = None  # the first B- that IOB1 would not have
    for sentence in sentences:
        before = ""
        for number, _, tag in sentence:
            if tag[0] in "ESLU":
                return "bioes"
            if tag[0] == "I" and tag[2:] != before:
                orphan = orphan or (number, tag)
            elif tag[0] == "B" and tag[2:] != before:
                opened = opened or (number, tag)
            before = tag[2:]
    if orphan and opened:
        raise CorpusError(
            f"{path}, line {orphan[0]}: {short(orphan[1])} continues nothing; "
            f"expected {short('B' + orphan[1][1:])}, because line {opened[0]} opens its entity "
            f"with {short(opened[1])}, as IOB2 does and IOB1 does not"
        )
    return "iob1" if orphan else "iob2"


def to_iob2(path, sentences, scheme: str) -> list[Sentence]:
    """Turn rows of (line number, word, tag) into sentences with IOB2 tags.

    Raises:
        CorpusError: a tag may not follow the one before it; the message names `path` and the line.
    """
    scheme = _scheme_of(path, sentences) if scheme == "auto" else scheme
    return [
        Sentence(tuple(word for _, word, _ in rows), _iob2_tags(path, rows, scheme))
        for rows in sentences
    ]


def _iob2_tags(path, rows, scheme: str) -> tuple[str, ...]:
    tags, before = [], ""
    unfinished = ""  # the type of a BIOES entity that has not ended yet
    for number, _, tag in rows:
        mark, kind = {"L": "E", "U": "S"}.get(tag[0], tag[0]), tag[2:]
        problem = _problem(scheme, mark, kind, before, unfinished)
        if problem:
            raise _misplaced(path, number, tag, scheme, problem)
        if scheme == "bioes":
            unfinished = kind if mark in "BI" else ""
        opens = mark in "BS" or (scheme == "iob1" and kind != before)
        tags.append(("B-" if opens else "I-") + kind if kind else "O")
        before = kind
    if unfinished:
        expected = f"expected {short('E-' + unfinished)} or {short('S-' + unfinished)}"
        raise _misplaced(path, number, tag, scheme, f"the sentence ends, {expected}")
    return tuple(tags)


def _problem(scheme: str, mark: str, kind: str, before: str, unfinished: str) -> str:
    """Why a tag may not follow the one before it; empty if it may."""
    if scheme == "bioes" and unfinished and (mark not in "IE" or kind != unfinished):
        expected = f"expected {short('I-' + unfinished)} or {short('E-' + unfinished)}"
        return f"{expected}, the entity before it is not ended"
    if scheme == "bioes" and not unfinished and mark in "IE":
        return f"it continues nothing, expected {short('B-' + kind)} or {short('S-' + kind)}"
    if scheme == "iob2" and mark == "I" and kind != before:
        return f"it continues nothing, expected {short('B-' + kind)}"
    if scheme == "iob1" and mark == "B" and kind != before:
        expected = f"expected {short('I-' + kind)}"
        return f"B- only separates two touching entities of one type, {expected}"
    return ""


def _misplaced(path, number: int, tag: str, scheme: str, problem: str) -> CorpusError:
    place = f"{path}, line {number}"
    return CorpusError(f"{place}: {short(tag)} may not stand here ({scheme.upper()}); {problem}")
