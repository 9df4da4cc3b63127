"""What goes wrong outside of the kit is one line too: paths, disks, compilers, homes, the rest."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from rmlib import cli
from rmlib.errors import RmlibError
from rmlib.text.files import check_output
from rmlib.training import checkpoints, runs

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def complains(capfd, monkeypatch):
    """Runs `rmlib` in this process and expects exit code 1 and one line with all the words."""

    def run(*arguments, words):
        monkeypatch.setattr(sys, "argv", ["rmlib", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said, complaint = capfd.readouterr()
        lines = [line for line in complaint.replace("\r", "\n").splitlines() if "rmlib:" in line]
        assert stop.value.code == 1 and len(lines) == 1, complaint
        assert "Traceback" not in said + complaint
        assert all(str(word) in lines[0] for word in words), lines[0]

    return run


@pytest.fixture
def slow(monkeypatch):
    """Fails the test as soon as a corpus, an encoder or a study is begun."""
    for name in ("rmlib.text.corpora.load", "rmlib.training.runs.new_tagger"):
        monkeypatch.setattr(name, lambda *a, **k: pytest.fail("too late"))
    monkeypatch.setattr("rmlib.studies.table.fill", lambda *a, **k: pytest.fail("too late"))


def afile(folder):
    (folder / "file").write_text("mine")
    return folder / "file"


def read_only(folder):
    (folder / "closed").mkdir(mode=0o500)
    return folder / "closed" / "out"


def link(folder):
    (folder / "link").symlink_to(folder / "nothing")
    return folder / "link"


TRAIN = ["train", "--out"]
STUDY = ["study", "sweep", "--seeds", "1", "--out"]


@pytest.mark.parametrize(
    ("command", "path", "words"),
    [
        (TRAIN, afile, ["file is a file; expected a folder"]),
        (TRAIN, lambda f: afile(f) / "x", ["x cannot be made", "file is no folder"]),
        (TRAIN, lambda f: afile(f) / "x" / "y" / "z", ["z cannot be made", "file is no folder"]),
        (TRAIN, lambda f: link(f), ["link is a file"]),
        (STUDY, lambda f: f, ["is a folder; expected a file"]),
        (STUDY, lambda f: afile(f) / "s.csv", ["s.csv cannot be made", "file is no folder"]),
        pytest.param(
            TRAIN, read_only, ["read-only"], marks=pytest.mark.skipif(ROOT, reason="root")
        ),
        pytest.param(
            STUDY, read_only, ["read-only"], marks=pytest.mark.skipif(ROOT, reason="root")
        ),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_at_once(
    complains, slow, tmp_path, command, path, words
):
    complains(*command, path(tmp_path), words=words)


def test_what_only_making_shows_is_one_line_too(complains, small_folder, tiny):
    where = "/proc/nowhere/out"
    options = ["--corpus", small_folder, "--encoder", tiny, "--out", where]
    complains("train", *options, words=["rmlib: ", where])


def test_paths_that_can_be_written(tmp_path):
    check_output(tmp_path)
    check_output(tmp_path / "a" / "b c" / "ü")
    check_output(tmp_path / "t.csv", folder=False)
    check_output(afile(tmp_path), folder=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    with pytest.raises(RmlibError, match="is a folder; expected a file"):
        check_output(tmp_path, folder=False)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["checkpoint", "history", "model", "metrics"])
def test_a_full_disk(complains, small_folder, tiny, tmp_path, monkeypatch, where):
    """LlamaFactory#5155, SimpleTuner#2353: one line, and the same command resumes afterwards."""
    from safetensors import SafetensorError

    from rmlib.models.encoder import Tagger

    def full(*arguments, **more):
        raise FULL

    def full_st(*arguments, **more):
        raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")

    out = tmp_path / "out"
    options = ["train", "--corpus", small_folder, "--encoder", tiny, "--out", out, "--epochs", "1"]
    options += ["--precision", "fp32", "--max-tokens", "256", "--checkpoint-every", "1"]
    with monkeypatch.context() as patch:
        if where == "checkpoint":
            patch.setattr(checkpoints, "save_file", full_st)
        elif where == "history":
            patch.setattr(runs.csv, "DictWriter", full)
        elif where == "model":
            patch.setattr(Tagger, "save", full_st)
        else:
            patch.setattr(runs.os, "replace", full)
        complains(*options, words=["cannot write to", out, "No space left", "same command again"])
    assert not list(tmp_path.rglob("*.partial")) or where in ("history", "metrics")
    monkeypatch.setattr(sys, "argv", ["rmlib", *map(str, options)])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert (out / "metrics.json").exists() and not list(out.glob("*.partial"))


@pytest.mark.parametrize("variable", [None, "/no/such/compiler"])
def test_compile_without_a_compiler(complains, small_folder, tiny, tmp_path, monkeypatch, variable):
    """ChatTTS#133, pytorch#92745."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    if variable:
        monkeypatch.setenv("CXX", variable)
    options = ["--corpus", small_folder, "--encoder", tiny, "--compile", "--out", tmp_path / "out"]
    complains("train", *options, words=["compile needs a C++ compiler", "leave it out"])
    assert not (tmp_path / "out").exists()


# --- The last resort ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        KeyError("label2id"),
        RuntimeError("CUDA error: an illegal memory access\nwas encountered\n"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ImportError("libcudart.so.12: cannot open shared object file"),
        PermissionError(13, "Permission denied", "/somewhere"),
        AssertionError("x" * 5000),
        RecursionError("maximum recursion depth exceeded"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw(complains, monkeypatch, capfd, error):
    def broken(*arguments, **more):
        raise error

    monkeypatch.setattr("rmlib.text.corpora.load", broken)
    complains("train", words=[f"rmlib: {type(error).__name__}", "--debug"])
    for debug in (["--debug", "train"], ["train", "--debug"]):
        monkeypatch.setattr(sys, "argv", ["rmlib", *debug])
        with pytest.raises(type(error)):
            cli.main()
    monkeypatch.setattr(sys, "argv", ["rmlib", "train"])
    monkeypatch.setenv("RMLIB_DEBUG", "1")
    with pytest.raises(type(error)):
        cli.main()
    monkeypatch.setenv("RMLIB_DEBUG", "0")
    complains("train", words=["--debug"])


def test_several_processes_are_not_for_a_study(complains, monkeypatch, slow, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    complains(*STUDY, tmp_path / "t.csv", words=["a study runs in one process", "--workers"])


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WORLD_SIZE", "2", ["2 processes", "torchrun"]),
        long("WORLD_SIZE", "two", ["WORLD_SIZE is 'two'"]),
        long("WORLD_SIZE", "0", ["WORLD_SIZE is '0'"]),
        long("OMPI_COMM_WORLD_SIZE", "3", ["3 processes", "torchrun"]),
    ],
)
def test_processes_that_do_not_find_each_other(small_folder, tiny, tmp_path, name, value, words):
    names = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE")
    env = {key: text for key, text in os.environ.items() if key not in names} | {name: value}
    command = [sys.executable, "-m", "rmlib", "train", "--corpus", str(small_folder)]
    command += ["--encoder", str(tiny), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stderr.splitlines() if line.startswith("rmlib:")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr and all(word in lines[0] for word in words), lines
    assert not (tmp_path / "out").exists()


# --- A home that cannot be written ----------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_jupyter_leaves_a_home_that_cannot_be_written(tmp_path, monkeypatch, capsys, own):
    """eclipse-che#22519, docker-stacks#1997."""
    from rmlib.classroom.jupyter import OWN_FOLDERS, _leave_home

    for variable in (*OWN_FOLDERS, "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(afile(tmp_path) / "home"))
    if own:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "mine"))
    _leave_home(tmp_path / "wb" / "jupyter")
    changed = {name for name in OWN_FOLDERS if str(tmp_path / "wb") in os.environ.get(name, "")}
    assert changed == set(OWN_FOLDERS) - ({"JUPYTER_RUNTIME_DIR"} if own else set())
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written; Jupyter uses" in line
    for name in changed:
        monkeypatch.delenv(name)


def test_a_home_that_can_be_written_is_kept(tmp_path, monkeypatch, capsys):
    from rmlib.classroom.jupyter import OWN_FOLDERS, _leave_home

    for variable in (*OWN_FOLDERS, "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    _leave_home(tmp_path / "wb" / "jupyter")
    assert not set(OWN_FOLDERS) & os.environ.keys() and capsys.readouterr().err == ""
    assert not (tmp_path / "wb").exists()


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs a small file system")
@pytest.mark.long
def test_a_disk_that_is_really_full(small_folder, tiny, tmp_path):
    (tmp_path / "disk").mkdir()
    command = f"{sys.executable} -m rmlib train --corpus {small_folder} --encoder {tiny} --epochs 1"
    script = f"mount -t tmpfs -o size=200k t {tmp_path}/disk && {command} --out {tmp_path}/disk/o"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no mounts here")
    (line,) = [one for one in done.stderr.splitlines() if "rmlib:" in one]
    assert done.returncode == 1 and "No space left" in line and json.dumps(line)
