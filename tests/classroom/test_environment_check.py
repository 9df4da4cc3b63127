"""The environment check: [OK] where the lessons work, [FAIL] with what to do where they do not."""

import platform
from collections import namedtuple
from importlib.metadata import version
from pathlib import Path

import pytest

from rmlib.classroom import environment_check
from rmlib.classroom.environment_check import Check
from rmlib.text import downloads


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path))
    return tmp_path


def line(name: str) -> Check:
    (found,) = [check for check in environment_check.check_environment() if check.name == name]
    return found


def test_what_is_installed_here_is_ok_and_told_with_its_version():
    assert line("python").ok and platform.python_version() in line("python").detail
    for name in ("torch", "transformers", "jupyterlab", "ipywidgets"):
        assert line(name).ok and version(name) in line(name).detail
    assert str(line("python")).startswith("[OK]   python ")


def test_files_that_are_not_in_the_cache_fail_and_say_how_to_get_them(cache):
    assert (
        str(line("minilm")) == "[FAIL] minilm       not here yet: run `rmlib fetch` once, 83.5 MB"
    )
    (cache / "minilm").mkdir()
    for file in downloads.ASSETS["minilm"].members:
        assert not line("minilm").ok
        (cache / "minilm" / file).touch()
    assert line("minilm") == Check(True, "minilm", "in the cache")


def test_the_cache_folder_need_not_be_there_to_know_its_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path / "not" / "there"))
    assert line("disk").ok
    assert not (tmp_path / "not").exists()


def test_no_line_shows_a_folder_of_this_machine(cache):
    assert not [
        check
        for check in environment_check.check_environment()
        if str(cache) in str(check) or str(Path.home()) in str(check)
    ]


@pytest.mark.parametrize(
    ("installed", "ok"),
    [("2.13.0", True), ("2.13.0+cu130", True), ("2.11.0", True), ("2.10.1", False)],
)
def test_the_version_of_torch(monkeypatch, installed, ok):
    monkeypatch.setattr(environment_check, "version", lambda name: installed)
    check = environment_check._package("torch")
    assert (
        check.ok == ok
        and installed in check.detail
        and ('pip install "torch' in check.detail) != ok
    )


def test_a_package_that_is_missing(monkeypatch):
    def gone(name):
        raise environment_check.PackageNotFoundError(name)

    monkeypatch.setattr(environment_check, "version", gone)
    assert str(environment_check._package("ipywidgets")).startswith(
        "[FAIL] ipywidgets   not installed, needs "
    )


def test_a_full_disk_and_a_full_memory(monkeypatch):
    import psutil

    Disk, Memory = namedtuple("Disk", "free"), namedtuple("Memory", "available")
    monkeypatch.setattr(environment_check.shutil, "disk_usage", lambda path: Disk(0.4e9))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(1.5e9))
    assert not line("disk").ok and "free some space" in line("disk").detail
    assert (
        str(line("memory")) == "[FAIL] memory       1.5 GB free, needs 2 GB: close other programs"
    )
