"""The `lab`, `workbook` and `fetch` commands, as processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from nbformat.v4 import new_code_cell, new_notebook

from rmlib.text.downloads import AssetError, fetch
from tests.browser.driver import running_lab
from tests.classroom.made_up_lesson import write_made_up
from tests.selection import mostly_long

RMLIB = [sys.executable, "-c", "from rmlib.cli import main; main()"]
DEAD_END = "http://127.0.0.1:9/"  # nothing answers here: as good as no connection


def rmlib(*arguments, **variables):
    return subprocess.run(
        [*RMLIB, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables, "COLUMNS": "100"},
    )


def write_lessons(folder: Path) -> Path:
    """A folder of one lesson, which is one exercise."""
    folder.mkdir()
    cell = new_code_cell("### BEGIN SOLUTION\nx = 1\n### END SOLUTION", id="a")
    nbformat.write(new_notebook(cells=[cell]), folder / "00_start_here.ipynb")
    return folder


@pytest.fixture
def lessons(tmp_path):
    return write_lessons(tmp_path / "notebooks")


def processor_seconds() -> float:
    """Of the processes started here that have ended; on Windows, which doesn't say, the clock's."""
    times = os.times()
    return times.elapsed if os.name == "nt" else times.children_user + times.children_system


def test_help_is_quick_and_names_the_commands():
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy with other tests
        start = processor_seconds()
        done = rmlib("--help")
        seconds.append(processor_seconds() - start)
        assert done.returncode == 0
    assert all(name in done.stdout for name in ("lab", "workbook", "fetch"))
    assert min(seconds) < 1.0


def test_help_imports_nothing_heavy():
    code = "import sys, rmlib.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "jupyterlab", "nbformat"} & set(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("fetch", "nosuch"),
        ("fetch", "--accept-licence", "nosuch"),
        ("workbook", "--notebooks", "/nowhere/at/all"),
        ("workbook", "--nbgrader", "course", "--notebooks", "/nowhere/at/all"),
        ("workbook", "wb", "--nbgrader", "/nowhere/at/all"),
        ("lab", "--no-browser", "--notebooks", "/nowhere/at/all", "--workbook", "wb"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(arguments, tmp_path):
    done = rmlib(*arguments, RMLIB_CACHE=str(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    told = "leave DIR" if arguments[1] == "wb" else arguments[-1].replace("wb", "/nowhere/at/all")
    assert line.startswith("rmlib: ") and told in line


def test_a_licence_is_never_accepted_silently(tmp_path):
    done = rmlib("fetch", "conll2003", RMLIB_CACHE=str(tmp_path))
    assert done.returncode == 1 and "--accept-licence conll2003" in done.stderr
    assert not list(tmp_path.rglob("*.txt"))


def test_workbook_says_what_it_did(lessons, tmp_path):
    place = (tmp_path / "wb", "--notebooks", lessons)
    assert "1 made, 0 updated, 0 unchanged, 0 kept" in rmlib("workbook", *place).stdout
    (tmp_path / "wb" / "00_start_here.ipynb").write_text("mine")
    assert "0 made, 0 updated, 0 unchanged, 1 kept" in rmlib("workbook", *place).stdout
    assert "1 made" in rmlib("workbook", "--solutions", *place).stdout
    assert "x = 1" in (tmp_path / "wb" / "solutions" / "00_start_here.ipynb").read_text()


def test_workbook_lays_out_a_course_and_says_what_comes_next(tmp_path):
    write_made_up(tmp_path / "notebooks" / "01_made_up.ipynb")
    done = rmlib(
        "workbook", "--nbgrader", tmp_path / "my course", "--notebooks", tmp_path / "notebooks"
    )
    first, *steps = done.stdout.splitlines()
    assert first == f"{tmp_path / 'my course'}: 2 made, 0 updated, 0 unchanged, 0 kept"
    assert f"    cd '{tmp_path / 'my course'}'" in steps
    said = [line.split()[1:3] for line in steps if line.startswith("    nbgrader")]
    assert said == [
        [name, "01_made_up"] for name in ("generate_assignment", "autograde", "generate_feedback")
    ]
    assert (tmp_path / "my course" / "source" / "01_made_up" / "01_made_up.ipynb").is_file()
    assert not (tmp_path / "workbook").exists()


# The server


@pytest.fixture(scope="module")
def fetched():
    """What the lessons need is in the cache, as on a machine that has opened the lab before."""
    try:
        for name in ("minilm", "tweets"):
            fetch(name, progress=False)
    except AssetError as error:
        pytest.skip(f"a warm start needs the assets: {error}")


@pytest.fixture(scope="module")
def solutions_lab(fetched, tmp_path_factory):
    """A running `rmlib lab --solutions`; its output is the file lab.log beside the workbook."""
    folder = tmp_path_factory.mktemp("solutions")
    notebooks = write_lessons(folder / "notebooks")
    with running_lab(folder, "--solutions", "--notebooks", str(notebooks)) as lab:
        yield lab


def start_kernel(lab, runtime: Path) -> str:
    """Start the kernel that notebooks ask for and wait until it is up; its id is part of its
    command line.
    """
    headers = {"Authorization": f"token {lab.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{lab.url}api/kernels", b'{"name": "python3"}', headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        kernel = json.load(answer)["id"]
    deadline = time.monotonic() + 120
    while not answers(runtime / f"kernel-{kernel}.json"):
        assert time.monotonic() < deadline, "the kernel never answered"
    return kernel


def answers(connection: Path) -> bool:
    """Whether a kernel is up. On a busy machine it may miss a heartbeat while it starts, and a
    client without the kernel's manager then takes it for dead.
    """
    client = BlockingKernelClient(connection_file=str(connection))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
    except RuntimeError:
        return False
    finally:
        client.stop_channels()
    return True


def processes_with(word: str) -> list[str]:
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in listing.splitlines() if word in line]


def without_waiting(seconds: float, pid: int) -> float:
    """Seconds, less those in which a process could have run but other programs had the processors.

    Linux alone counts them; elsewhere nothing is subtracted.
    """
    counts = Path(f"/proc/{pid}/schedstat")
    return seconds - (int(counts.read_text().split()[1]) / 1e9 if counts.exists() else 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither ps nor these signals")
@pytest.mark.parametrize("ending", mostly_long([signal.SIGINT, signal.SIGTERM], signal.SIGINT))
def test_the_lab_serves_within_20_seconds_and_ends_cleanly(fetched, lessons, tmp_path, ending):
    begun = time.monotonic()
    with running_lab(tmp_path, "--notebooks", str(lessons)) as lab:
        assert without_waiting(time.monotonic() - begun, lab.process.pid) < 20
        kernel = start_kernel(lab, tmp_path / "runtime")
        (running,) = processes_with(kernel)
        assert running.startswith(sys.executable)
        lab.process.send_signal(ending)
        assert lab.process.wait(60) == 0
        assert not processes_with(kernel)
        assert not list((tmp_path / "runtime").glob("jpserver-*"))
        assert "Traceback" not in (tmp_path / "lab.log").read_text()


@pytest.mark.long
def test_another_python3_of_the_user_does_not_take_the_kernels_place(fetched, lessons, tmp_path):
    foreign = tmp_path / "data" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {
        "argv": ["/not/this/python", "{connection_file}"],
        "display_name": "Foreign",
        "language": "python",
    }
    (foreign / "kernel.json").write_text(json.dumps(spec))
    elsewhere = {
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_PREFER_ENV_PATH": "0",
    }  # the user's come first
    with running_lab(tmp_path, "--notebooks", str(lessons), **elsewhere) as lab:
        assert lab.api("kernelspecs")["kernelspecs"]["python3"]["spec"]["argv"][0] == sys.executable


@pytest.mark.long
def test_solutions_open_in_their_own_folder(solutions_lab):
    lab = solutions_lab
    page = urllib.request.urlopen(f"{lab.url}?token={lab.token}", timeout=30)
    assert page.url.split("?")[0] == f"{lab.url}lab/tree/solutions/00_start_here.ipynb"
    names = {entry["name"] for entry in lab.api("contents/")["content"]}
    assert names == {"solutions"}  # and .rmlib stays out of sight


def test_nbgraders_menus_and_complaints_stay_out_of_the_learners_lab(solutions_lab):
    lab = solutions_lab
    log = (lab.workbook.parent / "lab.log").read_text()
    assert not re.findall(r"(?m)^\[(?:[EW] |NbGrader).*", log)  # nothing but the address
    page = urllib.request.urlopen(f"{lab.url}lab?token={lab.token}", timeout=30).read().decode()
    config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
    off = json.loads(config)["disabledExtensions"]
    assert {"@jupyter/nbgrader", "@jupyter-notebook/lab-extension"} <= set(off)
    for path in ("formgrader", "assignments", "tree"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{lab.url}{path}?token={lab.token}", timeout=30)


@pytest.mark.long
def test_without_a_connection_the_lab_says_so_and_opens(lessons, tmp_path):
    offline = {
        "RMLIB_CACHE": str(tmp_path / "cache"),
        "PIP_INDEX_URL": DEAD_END,
        "PIP_EXTRA_INDEX_URL": "",
    }
    offline |= {
        "PIP_FIND_LINKS": "",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "RMLIB_ASSETS": "",
    }
    with running_lab(tmp_path, "--notebooks", str(lessons), **offline) as lab:
        said = [
            line
            for line in Path(tmp_path / "lab.log").read_text().splitlines()
            if line.startswith("rmlib: ")
        ]
        assert [line.split()[1] for line in said] == ["minilm", "tweets"]
        assert lab.api("status")["kernels"] == 0
