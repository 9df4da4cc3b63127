"""The project as a whole: what it depends on, what may import what, and the rules of the house."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
ROOMS = sorted((ROOT / "rmlib").rglob("*.py"))
EACH = pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
MATHS = {"objective", "rewards", "sampling", "derivatives", "printed"}
ORDER = ["assets", "corpora", "batches", "encoder", "objective", "training", "metrics", "plots", "explorers", "cli"]
WIDGETS = {"ipywidgets", "anywidget", "ipympl"}
CONNECTS = {
    "requests",
    "urllib",
    "urllib3",
    "http",
    "httpx",
    "aiohttp",
    "socket",
    "ftplib",
    "huggingface_hub",
    "datasets",
}


def imports(path: Path) -> set[str]:
    """Every module a file imports, inside functions too, relative ones as rmlib.…"""
    package = ["rmlib", *path.relative_to(ROOT / "rmlib").parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] + ([node.module] if node.module else [])
            found |= {".".join(base), *(".".join([*base, alias.name]) for alias in node.names)}
    return found


def outside(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} - {"rmlib"}


def rooms(path: Path) -> set[str]:
    """The rooms of the kit that a file imports."""
    known = {other.stem for other in ROOMS} | {"explorers", "exercises"}
    return {name.split(".")[1] for name in imports(path) if name.startswith("rmlib.")} & known


def test_the_checks_below_see_what_they_should():
    assert rooms(ROOT / "rmlib" / "objective.py") == {"rewards", "sampling"}
    assert {"assets", "batches", "corpora", "errors"} <= rooms(ROOT / "rmlib" / "encoder.py")
    assert "corpora" in rooms(ROOT / "rmlib" / "cli.py")  # imported inside a function
    assert "huggingface_hub" in outside(ROOT / "rmlib" / "assets.py")


@EACH
def test_a_file_is_readable_in_one_sitting(path):
    assert len(path.read_text(encoding="utf8").splitlines()) <= 300
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf8"))) or not path.read_text(encoding="utf8").strip()


@EACH
def test_widgets_live_in_explorers_only(path):
    if "explorers" not in path.parts:
        assert not outside(path) & WIDGETS


@EACH
def test_only_assets_opens_connections(path):
    if path.name == "assets.py":
        return
    assert not outside(path) & CONNECTS
    text = path.read_text(encoding="utf8")
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if "subprocess" in call and "pip" in call]
    for call in calls:  # transformers goes to the hub by itself unless it is told not to
        if ".from_pretrained(" in call.split("\n")[0] and "Embedding" not in call:
            assert "local_files_only=True" in call or "local_files_only=True" in text


def test_maths_rooms_can_be_lifted_out():
    for path in ROOMS:
        if path.stem in MATHS and path.parent.name == "rmlib":
            assert rooms(path) <= MATHS
            symbolic = {"sympy"} if path.stem == "derivatives" else set()
            assert outside(path) <= {"torch", *symbolic, *sys.stdlib_module_names}


def test_imports_run_downwards():
    """A room imports only rooms below it; rooms that the order does not name stand beside one that it names."""
    beside = {
        "errors": -1,
        "dice": -1,
        "threads": -1,
        "decoding": -1,
        "profiles": -0.5,
        "conll": 0.5,
        "dropout": -1,
        "attention": -0.5,
        "shelf": 2.5,
        "steps": -1,
        "rewards": 3.4,
        "sampling": 3.5,
        "derivatives": 4.2,
        "printed": 4.2,
        "checkpoints": 4.5,
        "config": 4.5,
        "lora": 4.7,
    }
    beside |= {
        "objective": 4,
        "sessions": 7.5,
        "live": 7.8,
        "runs": 8.5,
        "watch": 6.5,
        "features": 6.5,
        "heads": 6.5,
        "descent": 3.9,
        "ready": 6.5,
        "checkup": 8.5,
        "workbook": 8.5,
        "bootstrap": 0,
        "mistakes": 1,
        "sentiment": 7.2,
        "trials": 7.3,
        "handout": 8.4,
        "course": 8.6,
        "studies": 8.8,  # it looks up the studies, which are made of its `Study`
        "__main__": 10,
    }
    level = {name: number for number, name in enumerate(ORDER)} | beside
    for path in ROOMS:
        name = path.relative_to(ROOT / "rmlib").parts[0].removesuffix(".py")
        for other in rooms(path) - {name}:
            if name in level and other in level and name != "__init__":
                assert level[other] < level[name] or {name, other} <= {"checkpoints", "config"}, (
                    f"{name} imports {other}"
                )


def test_environment_and_pyproject_agree():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    assert environment["name"] == PROJECT["name"] == "rmlib" and environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-e .", *PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]}


def test_every_import_is_a_dependency():
    """Named in pyproject.toml, or required in turn by what is named there."""
    waiting, comes = [Requirement(text).name for text in PROJECT["dependencies"]], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in comes:
            comes.add(name)
            needs = [Requirement(text) for text in metadata.requires(name) or []]
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    packages = metadata.packages_distributions()
    for path in ROOMS:
        for name in outside(path) - set(sys.stdlib_module_names):
            assert {canonicalize_name(package) for package in packages[name]} & comes, f"{path.name} imports {name}"


def test_the_readme_names_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in notebooks if path.stem not in readme] == []
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", readme):  # and what it links to is there
        assert (ROOT / link).exists(), link


def test_one_test_file_a_module():
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    stands_elsewhere = {
        "conll": "corpora",
        "decoding": "encoder",
        "errors": "cli_train",
        "cli": "cli_train",
        "profiles": "workbook",
        "mistakes": "explorers",
    }
    missing = [
        path.stem
        for path in (ROOT / "rmlib").glob("*.py")
        if not path.stem.startswith("__") and f"test_{stands_elsewhere.get(path.stem, path.stem)}.py" not in tests
    ]
    assert missing == []


def test_no_path_of_a_machine_and_no_large_file():
    for folder in ("rmlib", "data", "notebooks"):
        for path in (ROOT / folder).rglob("*"):
            if (
                path.is_file()
                and "__pycache__" not in path.parts
                and not any(p.startswith(".") for p in path.parts[-2:])
            ):
                assert path.stat().st_size < 2_000_000, path
                if path.suffix in (".py", ".ipynb", ".md", ".conll"):
                    text = path.read_text(encoding="utf8")
                    assert not re.search(r"[\"'\s(](/home|/root|/work|/Users)/\w", text), path
