"""What a plain `pytest` leaves out, what brings it back, and that .ci/run leaves nothing out."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.selection import GROUPS

ROOT = Path(__file__).parents[1]


def run_pytest(folder: Path, *arguments: str) -> str:
    """What pytest prints in a folder. Of the plugins only pytest-xdist is loaded, for speed."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    options = ["-p", "no:cacheprovider", "-p", "xdist", "-o", "addopts=--import-mode=importlib"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 5), done.stdout + done.stderr  # 5: nothing was left to run
    return done.stdout


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with one plain test, a folder of browser tests, and a file with one long test."""
    register = (
        "from tests import selection\n"
        "def pytest_addoption(parser, pluginmanager):\n"
        "    selection.register(pluginmanager)\n"
    )
    files = {
        "pytest.ini": f"[pytest]\ntestpaths = checks\npythonpath = {ROOT}\n",
        "checks/conftest.py": register,
        "checks/test_plain.py": "def test_plain(): pass\n",
        "checks/browser/test_page.py": "import pytest\npytestmark = pytest.mark.browser\n"
        "def test_one(): pass\ndef test_two(): pass\n",
        "checks/test_study.py": "import pytest\ndef test_short(): pass\n"
        "@pytest.mark.long\ndef test_long(): pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf8")
    return tmp_path


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_a_plain_run_leaves_the_groups_out_and_says_so_at_both_ends(project, processes):
    printed = run_pytest(project, *processes)
    assert "2 passed" in printed
    first, last = re.findall(r"^left out: .*", printed, re.M)
    assert all(group in first for group in GROUPS)
    assert "3 tests (2 browser, 1 long)" in last
    assert "pytest --all" in first and "pytest --all" in last


@pytest.mark.parametrize(
    ("arguments", "passed", "left_out"),
    [
        ("--all", 5, None),
        ("-m browser", 2, None),
        ("checks/browser", 2, None),
        ("checks/browser/test_page.py::test_two", 1, None),
        ("checks/test_study.py", 2, None),
        ("checks/test_plain.py checks/browser", 3, None),
        ("-k plain", 1, None),
        ("-k 'long or plain'", 1, "1 tests (1 long)"),
        ("checks", 2, "3 tests"),
    ],
)
def test_what_is_asked_for_by_name_is_run(project, arguments, passed, left_out):
    printed = run_pytest(project, *shlex.split(arguments))
    assert f"{passed} passed" in printed
    assert (left_out or "") in printed
    assert bool(re.search(r"left out: \d", printed)) == bool(left_out)


@pytest.mark.parametrize("place", ["tests/test_selection.py", "notebooks"])
def test_the_option_is_known_wherever_pytest_starts(place):
    assert "left out" not in run_pytest(ROOT, "--all", "--collect-only", place)


def test_ci_gives_the_readmes_command_and_then_runs_what_it_leaves_out():
    (command,) = re.findall(
        r"^ +(pip install .*pytest)$", (ROOT / "README.md").read_text("utf8"), re.M
    )
    lines = (ROOT / ".ci" / "run").read_text("utf8").replace("\\\n", " ").splitlines()
    install, test = command.split(" && ")
    assert lines.index(install) < lines.index(test)
    later = [shlex.split(line) for line in lines if line.startswith("pytest -m ")]
    words = [re.findall(r"\w+", options[options.index("-m") + 1]) for options in later]
    assert words[0] == ["processes", "or", "long", "or", "packaging"]
    assert words[1] == ["browser", "or", "kernels", "and", "not", "long"]
    assert set(GROUPS) == {"processes", "long", "packaging", "browser", "kernels"}
