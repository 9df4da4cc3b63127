"""The README's Python blocks run as they stand, and its commands, links and folders exist."""

import importlib.util
import re
from pathlib import Path

import pytest
from typer.main import get_command

from rmlib.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_python_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    if "trainer" in names:
        assert names["trainer"].state.global_step == 4
    else:
        assert float(names["loss"].total) > 0


def test_commands_and_options_exist():
    commands = get_command(app).commands
    lines = re.findall(r"^    rmlib (\w+)(.*)$", README, re.MULTILINE)
    lines += re.findall(r"`rmlib (\w+)([^`|]*)`", README)
    assert {name for name, _ in lines} >= {"train", "predict", "study", "fetch", "workbook"}
    for name, rest in lines:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        known.add("--help")
        assert set(re.findall(r"--[\w-]+", rest)) <= known, name


def test_the_front_page_is_short():
    assert len(README.splitlines()) <= 200


def test_what_it_names_is_there():
    """Its pictures, links, anchors, and the modules that its commands run."""
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", README)
    assert len([target for target in targets if target.endswith(".png")]) == 1
    for target in targets:
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        if anchor:
            text = (ROOT / path).read_text(encoding="utf8")
            headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            anchors = [re.sub(r"[^\w\s-]", "", one).lower().replace(" ", "-") for one in headings]
            assert anchor in anchors, target
    for module in re.findall(r"`python -m (tests\.[\w.]+)", README):
        assert importlib.util.find_spec(module), module


def test_the_tree_is_that_of_the_disk():
    """What it names exists, and nothing of rmlib's first level is missing."""
    (tree,) = re.findall(r"```\n(notebooks/.*?)```", README, re.DOTALL)
    path: list[str] = []
    shown = set()
    for line in tree.splitlines():
        marks, names = re.match(r"([│├└─ ]*)([^\s,]+(?:, [^\s,]+)*)", line).groups()
        depth = len(marks) // 4
        for name in names.split(", "):
            path = [*path[:depth], name.strip("/")]
            assert name == "workbook/" or ROOT.joinpath(*path).exists(), line
            if path[0] == "rmlib" and depth == 1:
                shown.add(name.strip("/"))
    packages = {one.parent.name for one in (ROOT / "rmlib").glob("*/__init__.py")}
    modules = {one.name for one in (ROOT / "rmlib").glob("*.py") if not one.name.startswith("__")}
    assert shown == packages | modules
