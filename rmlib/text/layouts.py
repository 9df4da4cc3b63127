"""Which column of a corpus holds the words and which the tags, found over all its files together.

Read are column files (CoNLL, with tabs or spaces) and CSV. Tags may also be written PER-B, b-PER,
B_PER, or B alone (one type), or as the type alone (PER, without B- and I-).
"""

import csv
import re
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

from .plain_text import CorpusError, short
from .word_split import longest_run

WORD_NAMES = ("word", "words", "token", "tokens", "form")
TAG_NAMES = ("tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "bio", "iob", "entity")
SENTENCE_NAMES = ("sentence #", "sentence_idx", "sentence_id", "sent_id", "sentence id", "sentence")
ALIKE = 0.9  # the share of the words from which something is taken for part of the layout
CHUNKS = {"NP", "VP", "PP", "NC", "VC"}  # of syntax, the third column of CoNLL-2003
MARKS = "BIESLUM"
OUTSIDE = ("O", "o")
STYLES = {
    "B-PER": re.compile(rf"(?P<mark>[{MARKS}{MARKS.lower()}])-(?P<kind>\S+)"),
    "PER-B": re.compile(rf"(?P<kind>\S+)-(?P<mark>[{MARKS}{MARKS.lower()}])"),
    "B_PER": re.compile(rf"(?P<mark>[{MARKS}{MARKS.lower()}])[_/:](?P<kind>\S+)"),
    "B": re.compile(rf"(?P<mark>[{MARKS}])(?P<kind>)"),
    "PER": re.compile(r"(?P<mark>)(?P<kind>[^\W\d_][\w.&-]+)"),
}
NUMBER = re.compile(r"\d+([-.]\d+)?")
ELSEWHERE = {  # layouts that are not read, and how they begin
    "brackets of CoNLL-2012": r"(?:.*\s)?\([A-Z_]+\*",
    "WebAnno TSV": r"#FORMAT=WebAnno",
    "XML": r"\s*<[?!/a-zA-Z]",
    "brat": r"T\d+\t\S+ \d+ \d+",
    "one sentence per line, word|tag": r"\S+\|\S+( \S+\|\S+)+",
    "one sentence per line, word/tag": r"\S+/\S+( \S+/\S+)+$",
    "CSV without columns named word and tag": (
        r"(?i)(?!.*\b(word|token|form))(\S*\w,\w\S*$|([\w #]+,){2})"
    ),
}


class Row(NamedTuple):
    """A line of a table."""

    number: int
    cells: list[str]
    line: str


class Table(NamedTuple):
    """A file: its rows by sentence, and the names of its columns, if it begins with them."""

    path: Path
    blocks: list[list[Row]]
    names: list[str]


def read_columns(text: str) -> dict[str, str]:
    """The columns that a user names: "word=2,tag=3" is {"word": "2", "tag": "3"}.

    Raises:
        CorpusError: it is not of this form.
    """
    asked = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if set(asked) != {"word", "tag"} or not all(asked.values()):
        raise CorpusError(
            f"columns is {text!r}; expected numbers from 1, or names of the file's first line: "
            "word=2,tag=3"
        )
    return asked


def read_table(path, text: str, asked: dict[str, str] | None = None) -> Table:
    """The cells of a column file or a CSV file; `asked` as for `Columns`.

    Raises:
        CorpusError: a quote in a CSV file is not closed, or closed where it cannot be.
    """
    first = next((line for line in text.split("\n") if line.strip()), "").strip(" ")
    own = {name.lower() for name in (asked or {}).values() if not name.isdecimal()}
    header, delimiter, names = False, " ", []
    for delimiter in (",", ";", "\t", " "):
        cells = first.split() if delimiter == " " else first.split(delimiter)
        names = [name.strip(' "').lower() for name in cells]
        header = bool({*WORD_NAMES} & {*names} and {*TAG_NAMES} & {*names})
        header = header or bool(own) and own <= {*names}
        header = header and not first.startswith("#") and "-docstart-" not in names[:2]
        if header or (delimiter in ",;" and delimiter in first and Path(path).suffix == ".csv"):
            break
    quoted = delimiter in ",;" or (delimiter == "\t" and '""""' in text)
    rows = _csv_rows(path, text, delimiter) if quoted else _rows(text)
    blocks, block = [], []
    sentence = next((i for i, name in enumerate(names) if header and name in SENTENCE_NAMES), None)
    current = ""
    for row in rows:
        named = row.cells[sentence] if sentence is not None and sentence < len(row.cells) else ""
        document = row.line.startswith("-DOCSTART-") or "-DOCSTART-" in row.cells[:2]
        blank = document or not any(row.cells)
        if blank or (named and named != current):
            blocks.append(block)
            block = []
        current = named or current
        if not blank:
            block.append(row)
    blocks = [block for block in [*blocks, block] if block]
    if header:
        blocks[0].pop(0)
        blocks = [block for block in blocks if block]
    return Table(path, blocks, names if header else [])


def _rows(text: str):
    # Only "\n" ends a line and only spaces and tabs separate: U+0085 or U+00A0 may well be part of
    # a word.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" ")
        if "\t" in line:
            cells = [cell.strip(" ") for cell in line.split("\t")]
        else:
            cells = [cell for cell in line.split(" ") if cell]
        yield Row(number, cells, line)


def _csv_rows(path, text: str, delimiter: str):
    reader = csv.reader(
        (f"{line}\n" for line in text.split("\n")), delimiter=delimiter, strict=True
    )
    before = 0
    try:
        for cells in reader:
            if reader.line_num > before + 1:
                raise csv.Error("a quote is not closed on its line")
            before = reader.line_num
            yield Row(before, [cell.strip() for cell in cells], delimiter.join(cells))
    except csv.Error as error:
        raise CorpusError(
            f"{path}, line {before + 1}: {error}; expected CSV with a quote in a cell doubled"
        ) from None


class Columns:
    """Which columns of the tables are read, by index from 0, and what was left out.

    Args:
        tables: all files of a corpus.
        asked: what `read_columns` gives; None decides by what the columns hold.

    Raises:
        CorpusError: the files have different columns, or it cannot be told which column is which.
    """

    def __init__(self, tables: list[Table], asked: dict[str, str] | None = None):
        self.tables = tables
        self.widths = [_width(table) for table in tables]
        if len(set(self.widths)) > 1:
            counts = ", ".join(
                f"{t.path} has {w}" for t, w in zip(tables, self.widths, strict=True)
            )
            raise CorpusError(f"{counts} columns; expected as many in every file of a corpus")
        self.width = self.widths[0]
        rows = [row for table in tables for row in _certain(table) if self.fits(row)]
        self.counts = [Counter(row.cells[i] for row in rows) for i in range(self.width)]
        self.numeric = [bool(c) and all(map(NUMBER.fullmatch, c)) for c in self.counts]
        # UD gives a word of several tokens a row of its own, numbered 3-4
        self.ranges = self.numeric[0] and 0 < sum(map(str.isdecimal, self.counts[0])) < len(
            self.counts[0]
        )
        if self.ranges:
            rows = [row for row in rows if row.cells[0].isdecimal()]
            self.counts[1:] = [Counter(row.cells[i] for row in rows) for i in range(1, self.width)]
        self.note = ""
        self.comments = 0  # lines, counted by `read`
        if asked:
            self.word, self.tag = (self._asked(asked[key]) for key in ("word", "tag"))
            self.style = style_of(self.counts[self.tag]) or "B-PER"
        else:
            self.tag, self.style = self._tag_column(rows)
            self.word = self._word_column(rows)
        if self.word == self.tag:
            raise CorpusError(
                f"{tables[0].path}: column {self.tag + 1} is both word and tag; expected two"
            )

    def fits(self, row: Row) -> bool:
        """Whether a row has as many cells as the others, empty ones at its end apart."""
        count = len(row.cells)
        return count == self.width or (count > self.width and not any(row.cells[self.width :]))

    def _asked(self, name: str) -> int:
        names = self.tables[0].names
        index = int(name) - 1 if name.isdecimal() else -1
        index = names.index(name.lower()) if name.lower() in names else index
        if not 0 <= index < self.width:
            raise CorpusError(
                f"{self.tables[0].path} has no column {name!r}; expected 1 to {self.width}"
                + (f", or one of {', '.join(names)}" if names else "")
            )
        return index

    def _name(self, index: int) -> str:
        names = self.tables[0].names
        return names[index] if index < len(names) else ""

    def read(self, table: Table) -> list[list[tuple[int, str, str]]]:
        """The sentences of a table, as lists of (line, word, tag as it is written).

        Raises:
            CorpusError: a row has a wrong number of columns, or no word.
        """
        sentences = []
        for block in table.blocks:
            hashes = _hashes(block)
            sentence = []
            for i, row in enumerate(block):
                if i < hashes and not (self.fits(row) and self._holds_tag(row)):
                    self.comments += 1
                    continue
                if not self.fits(row):
                    expected = f"{self.width}, as on the other lines"
                    if not self.counts[0]:
                        expected = "two or more, word first, tag last"
                    raise CorpusError(
                        f"{table.path}, line {row.number}: {len(row.cells)} column(s) in "
                        f"{short(row.line)}; expected {expected}"
                    )
                if self.ranges and not row.cells[0].isdecimal():
                    continue
                if not row.cells[self.word]:
                    raise CorpusError(
                        f"{table.path}, line {row.number}: the word is empty in {short(row.line)}; "
                        f"expected a word in column {self.word + 1}"
                    )
                sentence.append((row.number, row.cells[self.word], row.cells[self.tag]))
            sentences.append(sentence)
        return [sentence for sentence in sentences if sentence]

    def _holds_tag(self, row: Row) -> bool:
        value = row.cells[self.tag]
        return value in self.counts[self.tag] or style_of(Counter([value])) == self.style

    def __str__(self) -> str:
        parts = [f"{self.width} columns, word {self.word + 1}, tag {self.tag + 1}", self.note]
        parts.append(f"comments skipped ({self.comments})" if self.comments else "")
        return ", ".join(filter(None, parts))

    def _tag_column(self, rows: list[Row]) -> tuple[int, str]:
        """The column whose values are all tags; of several, the one that can only be meant."""
        styles = {i: style for i, c in enumerate(self.counts) if (style := style_of(c))}
        for strict in (("B-PER", "PER-B"), ("B_PER",), ("B",), ("PER",)):
            found = [i for i, style in styles.items() if style in strict]
            found = found[1:] if len(found) == self.width else found
            kinds = {i: {_kind(v, styles[i]) for v in self.counts[i]} - {""} for i in found}
            for rejected in (
                [i for i in found if kinds[i] & CHUNKS],
                [i for i in found if not kinds[i]],
            ):
                found = [i for i in found if i not in rejected] or found
            named = [i for i in found if self._name(i) in TAG_NAMES]
            found = named if len(named) == 1 else found
            if len(found) > 1 and any(kinds[i] for i in found):
                found = [self._outer(found, rows)]
            if found:
                return found[-1], styles[found[-1]]
        return self._nearly_tags(), "B-PER"

    def _outer(self, found: list[int], rows: list[Row]) -> int:
        """Of nested entities in the columns of GermEval 2014, the column of the outer ones."""
        germeval = self.numeric[0] and self.width == 4 and found == [2, 3]
        inner = [row for row in rows if row.cells[-1] not in OUTSIDE]
        if germeval and all(row.cells[2] not in OUTSIDE for row in inner):
            self.note = "nested tags in 4 not read"
            return 2
        numbers = " and ".join(str(i + 1) for i in found)
        raise CorpusError(
            f"{self.tables[0].path}: columns {numbers} both hold tags; expected one, so say which: "
            f"--columns word=1,tag={found[0] + 1}"
        )

    def _nearly_tags(self) -> int:
        """The column with most tags, for an error that names the first wrong one."""

        def tags(i: int) -> int:
            marked = STYLES["B-PER"].fullmatch
            return sum(n for value, n in self.counts[i].items() if value == "O" or marked(value))

        return max(range(self.width), key=lambda i: (tags(i), i))

    def _word_column(self, rows: list[Row]) -> int:
        """The first column that holds neither numbers nor tags nor the name of the sentence."""
        other = [i for i in range(self.width) if i != self.tag]
        named = [i for i in other if self._name(i) in WORD_NAMES]
        text = [i for i in other if any(self.counts[i].keys() - {""}) and not self.numeric[i]]
        blocks = [[r for r in block if self.fits(r)] for t in self.tables for block in t.blocks]
        varied = [i for i in text if any(len({r.cells[i] for r in b}) > 1 for b in blocks)]
        plain = [i for i in varied if style_of(self.counts[i]) is None]
        word = (named or plain or varied or text or other or [0])[0]
        steps = [(a.cells[word], b.cells[word]) for rs in blocks for a, b in pairwise(rs)]
        if steps and all(a.isdecimal() and b == str(int(a) + 1) for a, b in steps):
            raise CorpusError(
                f"{self.tables[0].path}: column {word + 1} counts 1, 2, 3, and no other column "
                "holds words; expected a column of words beside one of tags"
            )
        return word


def _width(table: Table) -> int:
    """The number of columns that most rows have; empty cells at the end of all rows don't count."""
    rows = _certain(table)
    full = Counter(len(row.cells) for row in rows)
    most = full.most_common(1)[0][0] if full else 0
    while most > 2 and not any(row.cells[most - 1] for row in rows if len(row.cells) >= most):
        most -= 1
    return max(len(table.names), most, 2)


def _certain(table: Table) -> list[Row]:
    """The rows that are no comments: those after the "#" lines that open a sentence."""
    rows = [row for block in table.blocks for row in block[_hashes(block) :]]
    return rows or [row for block in table.blocks for row in block]


def _hashes(block: list[Row]) -> int:
    return next((i for i, row in enumerate(block) if not row.line.startswith("#")), len(block))


def style_of(values: Counter) -> str | None:
    """How all of these are written as tags: a key of `STYLES`, or None if they are not."""
    others = {value: n for value, n in values.items() if value not in OUTSIDE}
    if not others:
        return "B-PER" if values else None
    for name, style in STYLES.items():
        if name == "PER" and any(_is_marked(value) for value in others):
            return None  # a wrong tag among marked ones
        if all(map(style.fullmatch, others)):
            outside = values.total() - sum(others.values())
            needed = {"B": 1, "PER": values.total() / 2}.get(name, 0)
            return name if outside >= needed else None
    return None


def _is_marked(value: str) -> bool:
    return any(STYLES[name].fullmatch(value) for name in ("B-PER", "PER-B", "B_PER", "B"))


def _kind(value: str, style: str) -> str:
    match = STYLES[style].fullmatch(value)
    return (match["kind"] or "ENTITY") if match else ""


def plain_tag(tag: str, style: str, marks: str = MARKS) -> str | None:
    """A tag as O, B-PER, I-PER, ...; None if it is not written in the style.

    The M- of BMES is I-. A type alone gets I-, a mark alone the type ENTITY.
    """
    if tag in OUTSIDE:
        return "O"
    match = STYLES[style].fullmatch(tag)
    mark = (match["mark"] or "I").upper() if match else ""
    if not mark or mark not in marks:
        return None
    return f"{mark.replace('M', 'I')}-{_kind(tag, style)}"


def plain_words(paths: list, files: list[list]) -> str:
    """Take from all words what is no part of them, in place; returns a clause that says what.

    WikiANN (Pan et al., ACL 2017) writes the language before each word, en:Anna; Weibo (Peng and
    Dredze, EMNLP 2015) the position in its word after each character.

    Raises:
        CorpusError: most words look like that, but not all.
    """
    rows = [row for file in files for sentence in file for row in sentence]
    han = longest_run(row[1] for row in rows) > 0
    for pattern, clause in (
        (r"[a-z]{2,6}(?:-[a-z]+)*:(?P<word>.+)", "language prefix removed from each word"),
        (r"(?P<word>.)\d\d?", "digit removed from each character" if han else ""),
    ):
        match = re.compile(pattern).fullmatch
        like = [match(word) for _, word, _ in rows]
        share = 1 - like.count(None) / len(like)
        if not clause or len(rows) < 3 or share < ALIKE:
            continue
        if share < 1:
            number, word, _ = row = rows[like.index(None)]
            file = next(i for i, file in enumerate(files) if any(row in s for s in file))
            raise CorpusError(
                f"{paths[file]}, line {number}: {short(word)} is not written as most words, "
                f"such as {short(next(filter(None, like)).group())}; expected all words alike"
            )
        words = iter(found["word"] for found in like)
        for sentence in chain(*files):
            sentence[:] = [(number, next(words), tag) for number, _, tag in sentence]
        return clause
    return ""
