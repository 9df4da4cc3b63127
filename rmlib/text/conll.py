"""CoNLL files: a word a line with its tag, read strictly, IOB2 inside.

B- opens an entity, I- continues it, O is outside. The reader also takes IOB1 (B- only between two touching entities
of one type; Ramshaw and Marcus, 1995) and BIOES, also called BILOU (S- or U- for a single word, E- or L- for the
last; Ratinov and Roth, CoNLL 2009), and turns them into IOB2.
"""

import difflib
import re
from pathlib import Path
from typing import NamedTuple

from rmlib.errors import RmlibValueError, nearest

CONLL_TYPES = ("PER", "ORG", "LOC", "MISC")  # Tjong Kim Sang and De Meulder, CoNLL 2003
SCHEMES = {"auto": "auto", "iob1": "iob1", "iob2": "iob2", "bio": "iob2", "bioes": "bioes", "bilou": "bioes"}


class CorpusError(RmlibValueError):
    """Labelled text that cannot be used; the message names file, line, value and what was expected."""


class Sentence(NamedTuple):
    """Words and their IOB2 tags, one for one."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def entities(tags) -> list[tuple[str, int, int]]:
    """The entities in a list of IOB2 tags, as (type, first word, one past the last word).

    Strict: only B- opens an entity. An I- tag that continues nothing is part of no entity, as in strict scoring.
    """
    found, kind, start = [], "", 0
    for i, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            found.append((kind, start, i))
            kind = ""
        if tag.startswith("B-"):
            kind, start = tag[2:], i
    return found


def read_conll(path, scheme="auto", types=None) -> list[Sentence]:
    """Reads a column file: a word a line, the word in the first column and its tag in the last, blank lines between.

    Columns (two or more, as many on every line) are separated by tabs where the line has one, else by spaces.
    -DOCSTART- lines are skipped; Windows line ends and a byte-order mark are accepted.

    Args:
        path: the file, in UTF-8.
        scheme: "iob1", "iob2" (or "bio"), "bioes" (or "bilou"), or "auto". "auto" reads BIOES if any S-, E-, L- or U-
            tag is there; else IOB1 if an I- tag continues nothing; else IOB2.
        types: the entity types that are allowed; None allows any.

    Raises:
        CorpusError: the file cannot be read, is empty or no text, or a line has a wrong number of columns, an
            unknown tag, or a tag that may not follow the one before it.
    """
    if str(scheme).lower() not in SCHEMES:
        raise CorpusError(f"scheme {scheme!r} is not known; {nearest(scheme, SCHEMES)}")
    scheme = SCHEMES[str(scheme).lower()]
    sentences = _rows(path, "BI" if scheme.startswith("iob") else "BIESLU", types)
    return finish(path, sentences, scheme)


def short(value) -> str:
    """A value for an error message, cut where it is long."""
    return repr(value if len(value) <= 40 else value[:40] + "...")


def _closest(tag: str, known: list[str]) -> str:
    """The known tag most like a wrong one, small letters or not; the first of equals."""
    return max(known, key=lambda k: difflib.SequenceMatcher(None, k.lower(), tag[:40].lower()).ratio())


def read_text(path) -> str:
    """A whole file as text, line ends as "\\n". Raises CorpusError where there is none, or it is no UTF-8 text."""
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
        raise CorpusError(f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; expected text") from None
    text = text.replace("\r\n", "\n")
    if junk := re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        line = text.count("\n", 0, junk.start()) + 1
        raise CorpusError(f"{path}, line {line}: control character {junk.group()!r}; expected text, not a binary file")
    return text


def _rows(path, marks: str, types) -> list[list[tuple[int, str, str]]]:
    """The sentences of a file as lists of (line number, word, tag as it stands), each tag of a known form."""
    sentences, sentence, columns = [], [], None
    tag_form = re.compile(rf"O|[{marks}]-\S+")
    kinds = CONLL_TYPES if types is None else tuple(types)
    known = ["O", *(f"{mark}-{kind}" for mark in marks for kind in kinds)]
    # Only "\n" ends a line and only spaces and tabs separate: U+0085 or U+00A0 may well be part of a word.
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
            first = not (sentence or sentences)
            wanted = "two or more, word first, tag last" if first else f"{columns}, as on the lines before"
            raise CorpusError(f"{path}, line {number}: {len(cells)} column(s) in {short(line)}; expected {wanted}")
        word, tag = cells[0], cells[-1]
        if not word:
            raise CorpusError(f"{path}, line {number}: the word is empty in {short(line)}; expected a word first")
        if not tag_form.fullmatch(tag) or (types is not None and tag not in known):
            wanted = (
                f"O, or one of {'-, '.join(marks)}- and {'a type' if types is None else 'one of ' + ', '.join(kinds)}"
            )
            like = _closest(tag, known)
            raise CorpusError(f"{path}, line {number}: unknown tag {short(tag)}; expected {wanted}, such as {like!r}")
        sentence.append((number, word, tag))
    if sentence:
        sentences.append(sentence)
    if not sentences:
        raise CorpusError(f"{path} holds no sentence; expected lines of a word, a space or tab, and a tag")
    return sentences


def _scheme_of(path, sentences) -> str:
    """Which of the three schemes a file is written in."""
    orphan = opened = None  # the first I- that continues nothing; the first B- that IOB1 would not have
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
            f"{path}, line {orphan[0]}: {short(orphan[1])} continues nothing; expected {short('B' + orphan[1][1:])}, "
            f"for line {opened[0]} opens its entity with {short(opened[1])}, as IOB2 does and IOB1 does not"
        )
    return "iob1" if orphan else "iob2"


def finish(path, sentences, scheme: str) -> list[Sentence]:
    """Turns rows into sentences in IOB2."""
    scheme = _scheme_of(path, sentences) if scheme == "auto" else scheme
    return [Sentence(tuple(w for _, w, _ in rows), _to_iob2(path, rows, scheme)) for rows in sentences]


def _to_iob2(path, rows, scheme: str) -> tuple[str, ...]:
    def fail(expected):
        raise CorpusError(f"{path}, line {number}: {short(tag)} may not stand here ({scheme.upper()}); {expected}")

    tags, before, waiting = [], "", ""  # waiting: the type of a BIOES entity that has not ended yet
    for number, _, tag in rows:  # noqa: B007, fail() reads them
        mark, kind = {"L": "E", "U": "S"}.get(tag[0], tag[0]), tag[2:]
        if scheme == "bioes":
            if waiting and (mark not in "IE" or kind != waiting):
                fail(f"expected {short('I-' + waiting)} or {short('E-' + waiting)}, the entity before it is not ended")
            if not waiting and mark in "IE":
                fail(f"it continues nothing, expected {short('B-' + kind)} or {short('S-' + kind)}")
            waiting = kind if mark in "BI" else ""
        elif scheme == "iob2" and mark == "I" and kind != before:
            fail(f"it continues nothing, expected {short('B-' + kind)}")
        elif scheme == "iob1" and mark == "B" and kind != before:
            fail(f"B- only parts two touching entities of one type, expected {short('I-' + kind)}")
        opens = mark in "BS" or (scheme == "iob1" and kind != before)
        tags.append(("B-" if opens else "I-") + kind if kind else "O")
        before = kind
    if waiting:
        fail(f"the sentence ends, expected {short('E-' + waiting)} or {short('S-' + waiting)}")
    return tuple(tags)
