"""`rmlib/loss` can be copied into another project: it needs torch, SymPy and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import sys
import rmlib.loss.article, rmlib.loss.derivation, rmlib.loss.gradients, rmlib.loss.sampling
import torch
from rmlib.loss import RewardObjective

torch.manual_seed(0)
z, y = torch.randn(6, 5, requires_grad=True), torch.tensor([0, 1, 2, 0, 3, 4])
for reward in ("soft_f1", "smooth_ap", "entity_f1"):
    RewardObjective(2.0, reward)(z, y).total.backward()
assert rmlib.loss.derivation.steps()[0].holds()
heavy = {"transformers", "accelerate", "peft", "pandas", "sklearn", "matplotlib", "seqeval"}
print(rmlib.loss.__file__, *(heavy & sys.modules.keys()))
"""


@pytest.fixture
def copy(tmp_path):
    """A folder with a package `rmlib` that holds a copy of `loss` and nothing else."""
    shutil.copytree(
        ROOT / "rmlib" / "loss",
        tmp_path / "rmlib" / "loss",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (tmp_path / "rmlib" / "__init__.py").touch()
    return tmp_path


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_copy_works_without_the_rest_of_the_kit(copy):
    done = run(copy, "-c", USE)
    assert done.stdout.split() == [str(copy / "rmlib" / "loss" / "__init__.py")], done.stderr


@pytest.mark.long
def test_a_copy_passes_its_own_tests(copy):
    shutil.copytree(ROOT / "tests" / "loss", copy / "tests")
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:nbval", "tests")
    assert done.returncode == 0, done.stdout
