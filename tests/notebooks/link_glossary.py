"""Link every term of the glossary from its first use in the lesson that introduces it.

    python -m tests.notebooks.link_glossary

Gives each entry of notebooks/GLOSSARY.md an anchor, and makes a link of the first place in the
lesson's text where the term stands. Code, formulas, headings and what is a link already are passed
over. A term that stands nowhere in the text, but in the code or in other words, is listed under the
take-aways. Run again, it changes nothing.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ENTRY = re.compile(
    r'^(?:<a id="[^"]*"></a>)?\*\*(?P<names>[^*]+)\*\* \((?P<lesson>\d\d)[^)]*\)\.', re.M
)
# What no link may be put into: code blocks and code, formulas, links, headings, HTML, tables of
# contents.
KEPT = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|!?\[[^\]]*\]\([^)]*\)|^#.*?$|<[^>]+>|https?://\S+",
    re.M | re.S,
)

MORE = "**More terms of this lesson:**"


class Term(NamedTuple):
    """An entry of the glossary: its names, its lesson and its anchor."""

    names: tuple[str, ...]
    lesson: str
    anchor: str


def terms(glossary: str) -> list[Term]:
    """The entries of the glossary."""
    found = []
    for entry in ENTRY.finditer(glossary):
        names = tuple(name.strip() for name in re.split(r",\s*", entry["names"]))
        plain = [
            re.sub(r"\s*\([^)]*\)", "", name) for name in names
        ]  # "α (alpha)" is looked for as "α"
        found.append(Term(tuple(plain), entry["lesson"], slug(entry["names"])))
    return found


def slug(names: str) -> str:
    """The anchor of an entry: its first name, small, with hyphens."""
    first = names.split(",")[0].lower()
    return re.sub(r"[^\w]+", "-", first).strip("-")


def with_anchors(glossary: str) -> str:
    """The glossary with an anchor before each entry."""
    return ENTRY.sub(
        lambda e: (
            f'<a id="{slug(e["names"])}"></a>'
            + e[0].removeprefix(f'<a id="{slug(e["names"])}"></a>')
        ),
        glossary,
    )


def linked(texts: list[str], term: Term) -> bool:
    """Whether one of the texts links to the term."""
    return any(f"(GLOSSARY.md#{term.anchor})" in text for text in texts)


def place(text: str, term: Term) -> tuple[int, int] | None:
    """The first occurrence of the term, or of its plural, in a text outside of `KEPT`."""
    holes = [match.span() for match in KEPT.finditer(text)]
    best = None
    for name in term.names:
        if len(name) < 2:
            continue  # a symbol: the table of symbols has it
        for found in re.finditer(rf"(?<![\w-]){re.escape(name)}(?:s|es)?(?![\w-])", text, re.I):
            if not any(a < found.end() and found.start() < b for a, b in holes):
                best = min(best, found.span()) if best else found.span()
                break
    return best


def link(texts: list[str], term: Term) -> bool:
    """Make a link of the term's first use, in place; False where it stands nowhere."""
    for number, text in enumerate(texts):
        if number == 0:
            continue  # the title cell links the whole glossary
        if where := place(text, term):
            a, b = where
            texts[number] = f"{text[:a]}[{text[a:b]}](GLOSSARY.md#{term.anchor}){text[b:]}"
            return True
    return False


def list_under_take_aways(texts: list[str], rest: list[Term]) -> None:
    """Name the terms that stand nowhere in the text, at the end of the take-aways, or else of the
    last text.
    """
    last = next(
        (i for i, text in enumerate(texts) if text.startswith("## Take-aways")), len(texts) - 1
    )
    links = ", ".join(f"[{term.names[0]}](GLOSSARY.md#{term.anchor})" for term in rest)
    if MORE in texts[last]:
        texts[last] = texts[last].replace(MORE, f"{MORE} {links},")
    else:
        texts[last] = f"{texts[last].rstrip()}\n\n{MORE} {links}."


def main(folder: Path = NOTEBOOKS) -> list[str]:
    """Link everything; returns the names of the files that have changed."""
    page = folder / "GLOSSARY.md"
    before = page.read_text(encoding="utf8")
    glossary, changed = with_anchors(before), []
    if glossary != before:
        page.write_text(glossary, encoding="utf8")
        changed.append(page.name)
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        before = ["".join(cell["source"]) for cell in cells]
        texts = list(before)
        own = [term for term in terms(glossary) if path.name.startswith(term.lesson)]
        rest = [term for term in own if not linked(texts, term) and not link(texts, term)]
        if rest:
            list_under_take_aways(texts, rest)
        if texts != before:
            for cell, text in zip(cells, texts, strict=True):
                cell["source"] = text.splitlines(keepends=True)
            path.write_text(
                json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf8"
            )
            changed.append(path.name)
    return changed


if __name__ == "__main__":
    print("changed:", ", ".join(main()) or "nothing")
