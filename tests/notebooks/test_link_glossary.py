"""Every term of the glossary is linked from the lesson that introduces it."""

import json
import shutil

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.notebooks.link_glossary import NOTEBOOKS, linked, main, place, slug, terms, with_anchors

GLOSSARY = """# Glossary

**reward, R** (01). What you want more of.

**average precision, AP** (01). A measure.

**F_β** (01). F1 with a weight.
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "GLOSSARY.md").write_text(GLOSSARY, encoding="utf8")
    cells = [
        new_markdown_cell("# A reward lesson: see the [glossary](GLOSSARY.md)."),
        new_markdown_cell(
            "## The reward\n\n`reward` and $reward$ and [a reward](x.md), "
            "then two **rewards** and a reward."
        ),
        new_code_cell("reward = 1"),
        new_markdown_cell("AP is a number; no average precision here."),
        new_markdown_cell("## Take-aways\n\n- One."),
    ]
    notebook = new_notebook(cells=cells)
    (tmp_path / "01_one.ipynb").write_text(json.dumps(notebook), encoding="utf8")
    return tmp_path


def texts(folder, name="01_one.ipynb") -> list[str]:
    cells = json.loads((folder / name).read_text(encoding="utf8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def test_the_first_use_outside_of_code_formulas_links_and_headings_is_linked(folder):
    assert main(folder) == ["GLOSSARY.md", "01_one.ipynb"]
    title, text, other, end = texts(folder)
    assert "#reward" not in title and "two **[rewards](GLOSSARY.md#reward)** and a reward." in text
    assert text.count("GLOSSARY.md") == 1 and text.startswith(
        "## The reward\n\n`reward` and $reward$ and [a reward](x.md)"
    )
    assert other.startswith("[AP](GLOSSARY.md#average-precision) is a number; no average")
    assert end.endswith("**More terms of this lesson:** [F_β](GLOSSARY.md#f_β).")
    assert '<a id="reward"></a>**reward, R** (01).' in (folder / "GLOSSARY.md").read_text(
        encoding="utf8"
    )


def test_run_again_it_changes_nothing(folder):
    main(folder)
    assert main(folder) == [] and with_anchors(with_anchors(GLOSSARY)) == with_anchors(GLOSSARY)


def test_a_word_inside_of_another_is_not_the_term():
    (term, *_) = terms(GLOSSARY)
    assert place("a rewarding pre-reward", term) is None and place("Rewards!", term) == (0, 7)
    assert slug("average precision, AP") == "average-precision"


def test_every_term_of_the_course_is_linked_and_the_command_has_been_run(tmp_path):
    for path in NOTEBOOKS.iterdir():
        if path.suffix in (".md", ".ipynb"):
            shutil.copy(path, tmp_path)
    assert main(tmp_path) == []
    names = [term.anchor for term in terms((NOTEBOOKS / "GLOSSARY.md").read_text(encoding="utf8"))]
    assert len(names) > 150 and len(set(names)) == len(names)
    for term in terms((NOTEBOOKS / "GLOSSARY.md").read_text(encoding="utf8")):
        lesson = next(NOTEBOOKS.glob(f"{term.lesson}_*.ipynb"))
        assert linked(texts(NOTEBOOKS, lesson.name), term), term
