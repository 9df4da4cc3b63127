"""The project as a whole: what it depends on, what may import what, and the rules of the house."""

import ast
import re
import subprocess
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
MODULES = sorted((ROOT / "rmlib").rglob("*.py"))
EACH = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
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


def test_the_checks_below_see_what_they_should():
    assert "huggingface_hub" in outside(ROOT / "rmlib" / "text" / "downloads.py")
    assert "rmlib.text.corpora" in imports(ROOT / "rmlib" / "cli.py")  # imported inside a function


def test_imports_run_one_way():
    """The contracts in pyproject.toml, checked by import-linter."""
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "Contracts: 3 kept, 0 broken." in done.stdout, done.stdout


@EACH
def test_every_module_says_what_it_does(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf8")))


@EACH
def test_only_downloads_opens_connections(path):
    if path.name == "downloads.py":
        return
    assert not outside(path) & CONNECTS
    text = path.read_text(encoding="utf8")
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if "subprocess" in call and "pip" in call]
    for call in calls:  # transformers goes to the hub by itself unless it is told not to
        if ".from_pretrained(" in call.split("\n")[0] and "Embedding" not in call:
            assert "local_files_only=True" in call or "local_files_only=True" in text


def test_environment_and_pyproject_agree():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    assert (
        environment["name"] == "rmlib"
        and PROJECT["name"] == "rmlib-course"
        and environment["channels"] == ["conda-forge"]
    )
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {
        "pip": ["-e .", *PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    }


def test_every_import_is_a_dependency():
    """Named in pyproject.toml, or required in turn by what is named there."""
    waiting, comes = [Requirement(text).name for text in PROJECT["dependencies"]], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in comes:
            comes.add(name)
            needs = [Requirement(text) for text in metadata.requires(name) or []]
            waiting += [
                need.name
                for need in needs
                if need.marker is None or need.marker.evaluate({"extra": ""})
            ]
    packages = metadata.packages_distributions()
    for path in MODULES:
        for name in outside(path) - set(sys.stdlib_module_names):
            assert {canonicalize_name(package) for package in packages[name]} & comes, (
                f"{path.name} imports {name}"
            )


def test_the_readme_names_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in notebooks if path.stem not in readme] == []
    for link in re.findall(
        r"\]\((?!https?:|#|mailto:)([^)#\s]+)", readme
    ):  # and what it links to is there
        assert (ROOT / link).exists(), link


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
