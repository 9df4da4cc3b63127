"""Kernels of several versions of ipykernel, each with a lab that trains.

The older versions are installed by pip into temporary folders. Without a connection these tests are
skipped; RMLIB_REQUIRE_BROWSER=1 makes them fail instead, as it does with the browser tests.
"""

import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

from tests.kernels.kernel_driver import Kernel

OLDER = ("6.30", "7.0")  # installed into folders of their own, beside the one that is here
MODES = [
    ("6.30", "no sub-shell"),
    *((v, mode) for v in ("7.0", "installed") for mode in ("no sub-shell", "sub-shell")),
]


HERE = metadata.version("ipykernel")

SET_UP = """
import math, threading, time
import ipykernel, ipywidgets
from rmlib.models.encoder import new_tagger
from rmlib.text import corpora
from rmlib.training.config import Config
from rmlib.widgets.live.live import Live
from rmlib.training.loop import Training
from rmlib.widgets import LiveTraining, LossExplorer

corpus = corpora.load({small!r})

def new_lab(**options):
    tagger = new_tagger(corpus.tags, {tiny!r})
    settings = Config(epochs=10_000, max_tokens=256, precision="fp32")
    return Live(Training(tagger, tagger.encode(corpus.train).examples, settings), **options)

def until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)

heard = []

def hear(change):
    live.alpha = change.new
    # The index of the step under way; the one after it must have the new alpha.
    heard.append(len(live.history))

slider = ipywidgets.FloatSlider(1.0, min=0, max=100)
slider.observe(hear, "value")
"""
TRAIN = """
live = new_lab()
live.speed = 100  # steps a second, at most
live.start()
until(lambda: len(live.history) > 3)
heard.clear()
"""


@pytest.fixture(scope="session")
def new_kernel(tiny, small_folder, tmp_path_factory):
    """A function that starts a kernel of a version, one of OLDER or "installed", and gives it what
    a lab needs.
    """
    folder = tmp_path_factory.mktemp("kernels")

    def new_kernel(version: str) -> Kernel:
        if not (folder / "specs" / version).exists():
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            spec = {"argv": argv, "display_name": version, "language": "python"}
            if version in OLDER:
                install(version, folder / version)
                spec["env"] = {"PYTHONPATH": str(folder / version)}
            (folder / "specs" / version).mkdir(parents=True)
            (folder / "specs" / version / "kernel.json").write_text(
                json.dumps(spec), encoding="utf-8"
            )
        kernel = Kernel(folder / "specs", version)
        kernel.run(SET_UP.format(small=str(small_folder), tiny=str(tiny)))
        runs = kernel.ask("ipykernel.__version__")
        assert runs == HERE if version == "installed" else runs.startswith(f"{version}."), runs
        return kernel

    return new_kernel


def install(version: str, folder) -> None:
    """Both older ones run with everything else as it is here; nest-asyncio is a need that newer
    ones no longer have.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
    ]
    done = subprocess.run(
        [*command, f"ipykernel=={version}.*", "nest-asyncio"], capture_output=True, text=True
    )
    if done.returncode:
        say = (
            f"ipykernel {version} cannot be installed, and this test needs it: "
            f"is there a connection? {done.stderr}"
        )
        (pytest.fail if os.environ.get("RMLIB_REQUIRE_BROWSER") == "1" else pytest.skip)(say)


@pytest.fixture(scope="module", params=MODES, ids=", ".join)
def start(request, new_kernel):
    """A function that gives a running kernel, the same one until a test has ended it."""
    version, mode = request.param
    if version == "installed" and mode == "sub-shell" and int(HERE.split(".")[0]) < 7:
        pytest.skip(f"ipykernel {HERE} has no sub-shells")
    kernels = []

    def start() -> Kernel:
        if not kernels or not kernels[-1].manager.is_alive():
            kernels.append(new_kernel(version))
            if mode == "sub-shell":
                kernels[-1].subshell = kernels[-1].new_subshell()
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture
def kernel(start):
    """A kernel in which `live` trains, and `slider` moves its α."""
    kernel = start()
    kernel.run(TRAIN)
    return kernel
