"""The distribution: what the wheel holds, and that a wheel and an editable install both work."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.browser.driver import running_lab

ROOT = Path(__file__).resolve().parents[2]
LESSONS = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
PIP = [sys.executable, "-m", "pip"]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build = [*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (path,) = folder.iterdir()
    return path


def new_environment(folder: Path, *requirement: object) -> Path:
    """A fresh virtual environment with one distribution of ours; returns its site-packages.

    Everything else is imported from the environment of the tests, through a path file. Path files
    of that environment are not followed, so its editable install of this checkout is not found.
    """
    venv.create(folder, with_pip=False)
    (site_packages,) = folder.rglob("site-packages")
    others = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (site_packages / "packages_of_the_tests.pth").write_text("\n".join(sorted(others)) + "\n")
    # --ignore-installed: the install that the tests run from counts as installed here, too.
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed", "--no-compile"]
    subprocess.run([*PIP, "--python", folder, "install", *options, *requirement], check=True)
    return site_packages


def output_of(environment: Path, code: str, folder: Path) -> list[str]:
    """The lines that Python of an environment prints for this code, run in a folder."""
    command = [environment / SCRIPTS / "python", "-c", code]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_wheel_holds_the_data_and_the_lessons_and_no_tests(wheel):
    assert wheel.name.startswith("rmlib_course-")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"rmlib"}
    assert {f"rmlib/notebooks/{name}" for name in LESSONS | {"GLOSSARY.md"}} <= names
    for folder in ("newswire", "results", "pretrained_head"):
        files = {path.name for path in (ROOT / "data" / folder).iterdir()}
        assert files and {f"rmlib/data/{folder}/{name}" for name in files} <= names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rmlib").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules  # no conftest.py


def test_an_editable_install_leaves_no_second_copies(tmp_path):
    site_packages = new_environment(tmp_path / "venv", "--editable", ROOT)
    assert not (site_packages / "rmlib").exists()
    code = "import rmlib; print(rmlib.__file__)"
    assert output_of(tmp_path / "venv", code, tmp_path) == [str(ROOT / "rmlib" / "__init__.py")]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel installed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    new_environment(folder, wheel)
    return folder


def test_the_installed_kit_finds_its_own_data(installed, tmp_path):
    code = (
        "from rmlib.text.corpora import data_dir, newswire\n"
        "from rmlib.classroom.workbook import default_folders\n"
        "print(data_dir(), *default_folders(), len(newswire().train), sep='\\n')"
    )
    data, lessons, workbook, sentences = output_of(installed, code, tmp_path)
    assert Path(data).parent == Path(lessons).parent and installed in Path(data).parents
    assert Path(workbook) == tmp_path / "workbook" and int(sentences) > 1000


def test_the_lab_opens_from_the_wheel_in_an_empty_folder(installed, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    # JupyterLab's page is an installed data file, which a path file does not bring along.
    page = {"JUPYTERLAB_DIR": str(Path(sys.prefix, "share", "jupyter", "lab"))}
    command = (installed / SCRIPTS / "rmlib",)
    with running_lab(tmp_path, command=command, cwd=empty, **page) as lab:
        assert {entry["name"] for entry in lab.api("contents/")["content"]} >= LESSONS
        kernel = lab.api("kernelspecs")["kernelspecs"]["python3"]["spec"]["argv"][0]
        assert kernel == str(installed / SCRIPTS / "python")
    assert {path.name for path in (empty / "workbook").iterdir()} >= LESSONS
    assert [path.name for path in empty.iterdir()] == ["workbook"]
