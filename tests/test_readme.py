"""The README's Python blocks run as they stand, and its commands exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from rmlib.cli import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf8")
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
    assert {name for name, _ in lines} >= {"train", "predict"}
    for name, rest in lines:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known, name


def test_no_placeholder_is_left():
    assert not re.findall(r"\b[A-Z]+_TABLE\b|\bTODO\b", README)
