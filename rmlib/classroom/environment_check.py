"""Does this machine have what the lessons need? One line for each thing, [OK] or [FAIL], and what to do about it."""

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
OLDEST = {"torch": "2.11"}  # pinned for one reason only: a bare "torch" brings gigabytes of GPU libraries
MEMORY_GB, DISK_GB = 2.0, 1.0


class Check(NamedTuple):
    """One thing that was looked at: whether it is as the lessons need it, its name, and what was found."""

    ok: bool
    name: str
    found: str

    def __str__(self) -> str:
        return f"{'[OK]  ' if self.ok else '[FAIL]'} {self.name:<12} {self.found}"


def checkup() -> list[Check]:
    """Look at Python, the packages, the device, memory, disk and the fetched files; nothing is changed or fetched."""
    checks = [_python(), *map(_package, SHOWN), _device(), _memory(), _disk(), *map(_asset, ("minilm", "tweets"))]
    return [*checks, Check(True, "profile", f"{profile()} (the environment variable RMLIB_PROFILE sets it)")]


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check(ok, "python", f"{platform.python_version()} on {platform.system()}, needs 3.11 or newer")


def _package(name: str) -> Check:
    from packaging.requirements import Requirement  # comes with transformers
    from packaging.version import Version

    wanted = next(r for r in map(Requirement, requires("rmlib")) if r.name == name and not r.marker)
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(False, name, f'not installed, needs {wanted.specifier}: pip install "{wanted}"')
    needs = f"needs {wanted.specifier}" + (f", {OLDEST[name]} works too" if name in OLDEST else "")
    # "2.13.0+cpu" is 2.13.0 built for a machine without a GPU, and fits ==2.13.0.
    ok = wanted.specifier.contains(found, prereleases=True)
    ok = ok or (name in OLDEST and Version(OLDEST[name]) <= Version(found))
    return Check(ok, name, f"{found}, {needs}" + ("" if ok else f': pip install "{wanted}"'))


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
    advice = "" if free >= MEMORY_GB else ": close other programs"
    return Check(free >= MEMORY_GB, "memory", f"{free:.1f} GB free, needs {MEMORY_GB:g} GB{advice}")


def _disk() -> Check:
    cache = cache_dir()
    folder = next((place for place in (cache, *cache.parents) if place.exists()), Path.cwd())
    free = shutil.disk_usage(folder).free / 1e9
    advice = "" if free >= DISK_GB else ": free some space, or set RMLIB_CACHE to a folder on another disk"
    return Check(free >= DISK_GB, "disk", f"{free:.0f} GB free for the cache, needs {DISK_GB:g} GB{advice}")


def _asset(name: str) -> Check:
    # Only whether the files are there: `assets.fetch` checks their hashes whenever they are used.
    if all((cache_dir() / name / file).is_file() for file in ASSETS[name].members):
        return Check(True, name, "in the cache")
    return Check(False, name, f"not here yet: run `rmlib fetch` once, {ASSETS[name].megabytes} MB")
