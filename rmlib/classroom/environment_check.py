"""Check that this machine has what the lessons need: one line per item, [OK] or [FAIL]."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from rmlib.profiles import profile
from rmlib.text.downloads import ASSETS, cache_dir

SHOWN = ("torch", "transformers", "accelerate", "jupyterlab", "ipywidgets")
# Older versions that work, too. torch is pinned for one reason only: an unpinned torch brings
# gigabytes of GPU libraries.
OLDEST = {"torch": "2.11"}
MEMORY_GB = 2.0
DISK_GB = 1.0


class Check(NamedTuple):
    """One item: whether it meets the lessons' needs, its name, and what was found and is needed."""

    ok: bool
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{'[OK]  ' if self.ok else '[FAIL]'} {self.name:<12} {self.detail}"


def check_environment() -> list[Check]:
    """Check Python, packages, device, memory, disk and cached files, without changing anything."""
    return [
        _python(),
        *map(_package, SHOWN),
        _device(),
        _memory(),
        _disk(),
        *map(_asset, ("minilm", "tweets")),
        Check(True, "profile", f"{profile()} (the environment variable RMLIB_PROFILE sets it)"),
    ]


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()}, needs 3.11 or newer"
    return Check(sys.version_info >= (3, 11), "python", detail)


def _package(name: str) -> Check:
    from packaging.requirements import Requirement  # comes with transformers
    from packaging.version import Version

    required = next(
        requirement
        for requirement in map(Requirement, requires("rmlib-course"))
        if requirement.name == name and not requirement.marker
    )
    needs = f"needs {required.specifier}"
    advice = f': pip install "{required}"'
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Check(False, name, f"not installed, {needs}{advice}")
    # "2.13.0+cpu" is 2.13.0 built for a machine without a GPU, and meets ==2.13.0.
    ok = required.specifier.contains(installed, prereleases=True)
    if name in OLDEST:
        ok = ok or Version(installed) >= Version(OLDEST[name])
        needs += f", {OLDEST[name]} works too"
    return Check(ok, name, f"{installed}, {needs}{'' if ok else advice}")


def _device() -> Check:
    import torch

    threads = f"{torch.get_num_threads()} of {os.cpu_count()} CPU threads in use"
    if torch.cuda.is_available():
        return Check(True, "device", f"cuda: {torch.cuda.get_device_name()}; {threads}")
    if torch.backends.mps.is_available():
        return Check(True, "device", f"mps: the GPU of a Mac; {threads}")
    return Check(True, "device", f"cpu: all lessons run on it; {threads}")


def _memory() -> Check:
    import psutil  # comes with accelerate

    free = psutil.virtual_memory().available / 1e9
    detail = f"{free:.1f} GB free, needs {MEMORY_GB:g} GB"
    if free < MEMORY_GB:
        detail += ": close other programs"
    return Check(free >= MEMORY_GB, "memory", detail)


def _disk() -> Check:
    cache = cache_dir()
    folder = next((path for path in (cache, *cache.parents) if path.exists()), Path.cwd())
    free = shutil.disk_usage(folder).free / 1e9
    detail = f"{free:.0f} GB free for the cache, needs {DISK_GB:g} GB"
    if free < DISK_GB:
        detail += ": free some space, or set RMLIB_CACHE to a folder on another disk"
    return Check(free >= DISK_GB, "disk", detail)


def _asset(name: str) -> Check:
    # Only whether the files exist: `downloads.fetch` checks their hashes whenever they are used.
    if all((cache_dir() / name / file).is_file() for file in ASSETS[name].members):
        return Check(True, name, "in the cache")
    return Check(False, name, f"not here yet: run `rmlib fetch` once, {ASSETS[name].megabytes} MB")
