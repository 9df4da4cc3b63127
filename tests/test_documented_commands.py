"""Every command of README, lessons and notes runs as it is printed, where nothing is set.

The environment holds PATH and HOME only, and a command is made smaller only by options of its own.
"""

import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = r"(?:rmlib|torchrun|accelerate launch|nbgrader|pip|pytest|conda|python -m)(?=\s|$)"
COMMAND = rf"(?:[A-Z_]+=\S+ )*{PROGRAMS}"


def documents():
    """Markdown of README, notes and lessons."""
    names = ("README.md", "data/README.md", "tests/benchmarks/README.md")
    for path in [*(ROOT / name for name in names), *sorted((ROOT / "notebooks").glob("*.md"))]:
        yield path.read_text(encoding="utf8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf8"))["cells"]
        yield "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def commands() -> set[str]:
    found = set()
    for text in documents():
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found |= set(re.findall(rf"^    ({COMMAND}[^\n#]*)", prose, re.MULTILINE))
        found |= set(re.findall(rf"`({COMMAND}[^`]*)`", prose))
    return {command.strip() for command in found}


FOUND = commands()
MENTIONED = {"rmlib", "rmlib train", "rmlib train --corpus"}  # names in a sentence
# What a test must not or cannot do, and why.
NOT_RUN = {
    'pip install -e ".[test]" && pytest': "installs into the environment of these tests",
    "pip install -e . && rmlib lab": "the same; rmlib lab is run alone",
    "pip install rmlib": "what the README warns of",
    "pip install --no-index --find-links wheels rmlib-course": "tests/packaging installs a wheel",
    "pip wheel . -w wheels": "tests/packaging builds the wheel",
    "conda env create -f environment.yml && conda activate rmlib": "needs conda",
    "python -m venv .venv": "Python's own",
    "pytest --all": "these tests",
    "rmlib fetch conll2003 --accept-licence conll2003": "a licence that nobody here may accept",
    "rmlib study ner --corpus conll2003 --accept-licence": "the same",
}
SMALL = "--limit 8 --epochs 1 --precision fp32"  # of rmlib train
SERVER = " --no-browser --port 8{}"
# A command and what is added to it: run to the end,
WHOLE = {
    "rmlib fetch": "",
    "rmlib train --help": "",
    "rmlib workbook --nbgrader course": "",
    "rmlib workbook ~/rmlib": "",
    "accelerate launch -m rmlib train …": "",
}
# until its first run, or its server, has begun.
BEGUN = {
    "rmlib study sentiment": " --out t.csv",
    "rmlib study ner": " --out t.csv",
    "rmlib study sweep": " --out t.csv",
    "rmlib lab": SERVER.format(731) + " --workbook wb",
    "rmlib lab --workbook FOLDER": SERVER.format(741),
    "RMLIB_PROFILE=full rmlib lab": SERVER.format(751) + " --workbook wb",
}
TRAIN = "rmlib train --corpus newswire --reward soft_f1 --alpha 1 --out runs/one"
PREDICT = next(command for command in FOUND if command.startswith("rmlib predict"))
TORCHRUN = "OMP_NUM_THREADS=4 torchrun --standalone --nproc_per_node 2 -m rmlib train …"
GRADING = ("generate_assignment", "autograde", "generate_feedback")
NBGRADER = {f"nbgrader {step} 01_two_part_loss" for step in GRADING}
BENCHMARKS = {c for c in FOUND if c.startswith("python -m tests.")}


def test_every_command_is_run_or_the_reason_is_given():
    run = {*WHOLE, *BEGUN, TRAIN, PREDICT, TORCHRUN} | NBGRADER
    others = {c for c in FOUND if c.startswith("pytest tests/")}  # examples, of other projects
    assert FOUND - others - MENTIONED - BENCHMARKS - NOT_RUN.keys() == run
    assert not run & NOT_RUN.keys()


@pytest.fixture
def bare(tmp_path):
    """The environment of a shell in which nobody has set anything, with a home of its own."""
    from rmlib.text.downloads import cache_dir

    home = tmp_path / "home"
    (home / ".cache").mkdir(parents=True)
    (home / ".cache" / "rmlib").symlink_to(cache_dir().absolute())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(home)}


def run(command, bare, folder):
    done = subprocess.run(
        command, shell=True, env=bare, cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-3000:]
    return done.stdout


def small_run(command, tiny, small_folder, out):
    """A command with "…" in it, on the small corpus."""
    options = f"--corpus {small_folder} --encoder {tiny} --epochs 2 --precision fp32 --out {out}"
    return command.replace("…", f"{options} --max-tokens 200 --patience 0")


@pytest.mark.long
@pytest.mark.parametrize("command", WHOLE)
def test_a_command(command, bare, tmp_path, tiny, small_folder):
    run(small_run(command, tiny, small_folder, tmp_path / "o") + WHOLE[command], bare, tmp_path)


@pytest.mark.long
def test_train_and_predict(bare, tmp_path):
    assert "test: F1" in run(f"{TRAIN} {SMALL}", bare, tmp_path)
    run(PREDICT, bare, tmp_path)
    metrics = json.loads((tmp_path / "runs" / "one" / "metrics.json").read_text())
    assert metrics["config"]["alpha"] == 1 and metrics["processes"] == 1


@pytest.mark.processes
def test_two_processes_on_a_cpu_have_the_losses_of_one(bare, tmp_path, tiny, small_folder):
    """On a machine without a GPU, with no variable set but the one that the README prints."""
    run(small_run(TORCHRUN, tiny, small_folder, "two"), bare, tmp_path)
    alone = small_run("OMP_NUM_THREADS=4 rmlib train …", tiny, small_folder, "one")
    run(f"{alone} --accumulate 2", bare, tmp_path)
    steps = {}
    for name, processes in (("two", 2), ("one", 1)):
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert metrics["processes"] == processes
        with open(tmp_path / name / "history.csv", newline="") as file:
            terms = ("total", "prediction", "reward", "grad_norm")
            steps[name] = [float(row[term]) for row in csv.DictReader(file) for term in terms]
    assert len(steps["one"]) > 20 and steps["two"] == pytest.approx(steps["one"], rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("command", BEGUN)
def test_a_command_begins(command, bare, tmp_path):
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(
            "exec " * ("=" not in command) + command + BEGUN[command],
            shell=True,
            env=bare,
            cwd=tmp_path,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        sign = r"\?token=" if " lab" in command else r"0/\d+ \["
        until = time.monotonic() + 300
        while not re.search(sign, (tmp_path / "said").read_text(errors="replace")):
            assert process.poll() is None, (tmp_path / "said").read_text()[-3000:]
            assert time.monotonic() < until, (tmp_path / "said").read_text()[-3000:]
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert "Traceback" not in (tmp_path / "said").read_text(errors="replace")


@pytest.mark.long
def test_a_course_is_graded_as_the_notes_say(bare, tmp_path):
    notes = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text(encoding="utf8")
    (block,) = re.findall(
        r"((?:^    .*\n)*?^    nbgrader (?:.*\n    ?)*.*feedback.*$)", notes, re.M
    )
    lines = [line.strip() for line in block.splitlines()]
    assert set(lines) >= NBGRADER
    name = "01_two_part_loss"
    handed_in = f"mkdir -p submitted/ada && cp -r release/{name} submitted/ada/"
    lines = [handed_in if line.startswith("#") else line for line in lines]
    run(" && ".join(lines), bare, tmp_path)
    assert (tmp_path / "course" / "feedback" / "ada" / name / f"{name}.html").stat().st_size > 1000


@pytest.mark.parametrize("command", sorted(BENCHMARKS))
def test_a_benchmark_and_its_options_exist(command):
    module = command.split()[2]
    spec = importlib.util.find_spec(module)
    assert spec, module
    source = Path(spec.origin).read_text(encoding="utf8")
    for option in re.findall(r" (--[\w-]+)", command):
        assert f'"{option}"' in source, (module, option)


def test_the_programs_are_here():
    for program in ("rmlib", "torchrun", "accelerate", "nbgrader"):
        assert shutil.which(program, path=str(Path(sys.executable).parent)), program
