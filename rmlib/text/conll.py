"""Strict reader of CoNLL column files.

B- opens an entity, I- continues it, O is outside. The reader also takes IOB1 (B- only between two
touching entities of one type; Ramshaw and Marcus, 1995) and BIOES, also called BILOU (S- or U- for
a single word, E- or L- for the last; Ratinov and Roth, CoNLL 2009). Sentences are IOB2 always.
"""

import difflib
import re
from collections import Counter
from typing import NamedTuple

from rmlib.errors import nearest

from .annotations import is_json, read_json
from .layouts import (
    ELSEWHERE,
    MARKS,
    Columns,
    plain_tag,
    plain_words,
    read_columns,
    read_table,
    style_of,
)
from .plain_text import CorpusError, read_text, short

CONLL_TYPES = ("PER", "ORG", "LOC", "MISC")  # Tjong Kim Sang and De Meulder, CoNLL 2003
SCHEMES = {
    "auto": "auto",
    "iob1": "iob1",
    "iob2": "iob2",
    "bio": "iob2",
    "bioes": "bioes",
    "bilou": "bioes",
    "bmes": "bioes",
}


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


def read_conll(path, scheme="auto", types=None, columns=None) -> list[Sentence]:
    """`read_files` of one file, without the sentence."""
    return read_files([path], scheme, types, columns)[0][0]


def read_files(
    paths: list, scheme="auto", types=None, columns=None
) -> tuple[list[list[Sentence]], str]:
    """Read the files of a corpus, which have one layout: columns, CSV or JSON.

    A column file has one word per line and blank lines between sentences. Columns (two or more, as
    many on every line) are separated by tabs if the line has one, else by spaces. The tags are in
    the column that holds nothing else, the words in the first other one that is not a number.
    -DOCSTART- lines, and lines before a sentence that begin with "#" and hold no tag, are skipped.
    For CSV see `layouts`, for JSON `annotations`.

    Args:
        paths: the files, in UTF-8.
        scheme: "iob1", "iob2" (or "bio"), "bioes" (or "bilou", "bmes"), or "auto". "auto" reads
            BIOES if there is any S-, E-, L- or U- tag; else IOB1 if an I- tag continues nothing;
            else IOB2.
        types: the entity types that are allowed; None allows any.
        columns: which columns hold words and tags, as "word=2,tag=3"; None finds them.

    Returns:
        (sentences of each file, one clause on what was taken for what).

    Raises:
        CorpusError: the scheme is unknown, a file cannot be read, is empty or no text, it cannot be
            told which column is which, or a line has a wrong number of columns, an unknown tag, or
            a tag that may not follow the one before it.
    """
    if str(scheme).lower() not in SCHEMES:
        raise CorpusError(f"scheme {scheme!r} is not known; {nearest(scheme, SCHEMES)}")
    scheme = SCHEMES[str(scheme).lower()]
    asked = read_columns(columns) if columns else None
    texts = [read_text(path) for path in paths]
    try:
        files, style, clause = _rows(paths, texts, asked)
        removed = plain_words(paths, files)
        marks = "BI" if scheme.startswith("iob") else MARKS
        written = {tag for rows in files for sentence in rows for _, _, tag in sentence}
        known = {tag: plain_tag(tag, style, marks) for tag in written}
        plain = [
            _plain(path, rows, known, marks.replace("M", ""), types)
            for path, rows in zip(paths, files, strict=True)
        ]
    except CorpusError as error:
        likely = _elsewhere(texts)
        if likely is None:
            raise
        raise CorpusError(
            f"{error}; it looks like {likely}, which is not read: write one word per line, with a "
            "space and its tag"
        ) from None
    parts, schemes = [], set()
    for path, rows in zip(paths, plain, strict=True):
        own = scheme_of(path, rows) if scheme == "auto" else scheme
        parts.append(to_iob2(path, rows, own))
        schemes.add(own)
    clauses = [clause, removed, _name_of(schemes, written, style)]
    return parts, ", ".join(filter(None, clauses))


def _elsewhere(texts: list[str]) -> str | None:
    """The name of a layout that is not read, if the first lines look like it."""
    firsts = [next((line for line in text.split("\n") if line.strip()), "") for text in texts]
    for name, pattern in ELSEWHERE.items():
        if any(re.match(pattern, line) for line in firsts):
            return name
    return None


def _rows(paths: list, texts: list[str], asked) -> tuple[list, str, str]:
    """The sentences of each file as lists of (line, word, tag), tags as they are written.

    Returns them with the style of the tags and a clause on the layout.
    """
    kinds = [is_json(path, text) for path, text in zip(paths, texts, strict=True)]
    if len(set(kinds)) > 1:
        other = paths[kinds.index(not kinds[0])]
        raise CorpusError(f"{paths[0]} and {other}: one is JSON; expected one layout for all")
    if kinds[0]:
        read = [read_json(path, text, asked) for path, text in zip(paths, texts, strict=True)]
        files = [sentences for sentences, _ in read]
        tags = Counter(tag for file in files for rows in file for _, _, tag in rows)
        style = style_of(tags) or "B-PER"
        seen = sum((counts for _, counts in read), Counter())
        clause = "JSON: " + ", ".join(f"{kind} ({count})" for kind, count in seen.items())
    else:
        tables = [read_table(path, text, asked) for path, text in zip(paths, texts, strict=True)]
        _check_filled(paths, [table.blocks for table in tables])
        columns = Columns(tables, asked)
        files, style = [columns.read(table) for table in tables], columns.style
        clause = str(columns)
    _check_filled(paths, files)
    return files, style, clause


def _check_filled(paths: list, files: list[list]) -> None:
    for path, sentences in zip(paths, files, strict=True):
        if not sentences:
            raise CorpusError(
                f"{path} holds no sentence; expected lines of a word, a space or tab, and a tag"
            )


def _plain(path, rows, known: dict, marks: str, types) -> list[list[tuple[int, str, str]]]:
    """Rows with tags as `layouts.plain_tag` gives them in `known`.

    Raises:
        CorpusError: a tag is unknown, or its type is not one of `types`.
    """
    kinds = CONLL_TYPES if types is None else tuple(types)
    allowed = ["O", *(f"{mark}-{kind}" for mark in marks for kind in kinds)]
    plain = []
    for sentence in rows:
        for number, _, tag in sentence:
            if known[tag] is None or (types is not None and known[tag] not in allowed):
                type_ = "a type" if types is None else f"one of {', '.join(kinds)}"
                raise CorpusError(
                    f"{path}, line {number}: unknown tag {short(tag)}; expected O, or one of "
                    f"{'-, '.join(marks)}- and {type_}, such as {_closest(tag, allowed)!r}"
                    + ("" if any(known.values()) else "; or --columns word=1,tag=2")
                )
        plain.append([(number, word, known[tag]) for number, word, tag in sentence])
    return plain


def _name_of(schemes: set[str], written: set[str], style: str) -> str:
    """The name of the tagging scheme, and how its tags are written if not as B-PER."""
    marks = {(plain_tag(tag, style) or "O")[0] for tag in written}
    lower = any(tag[0] in "bi" and style == "B-PER" for tag in written)
    name = "IOB1" if "iob1" in schemes else "IOB2"
    if schemes == {"bioes"} or marks & set("ESLU"):
        middle = any(tag[:1] in "Mm" or tag[-2:] in ("-M", "-m") for tag in written)
        name = "BMES" if middle else "BILOU" if marks & set("LU") else "BIOES"
    elif "B" not in marks and "I" in marks:
        name = "IO"
    if style == "B-PER" and not lower:
        return name
    return f"{name} written as {'b-PER' if lower else style}"


def _closest(tag: str, known: list[str]) -> str:
    """The known tag most like a wrong one, ignoring case; the first of equals."""
    wrong = tag[:40].lower()
    return max(known, key=lambda k: difflib.SequenceMatcher(None, k.lower(), wrong).ratio())


def scheme_of(path, sentences) -> str:
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
