"""The widgets of the mathematics lessons open without the libraries that train a BERT."""

import subprocess
import sys

import pytest

HEAVY = {"transformers", "accelerate", "pandas", "peft"}
REPORT = "\nimport sys\nprint(*(set(sys.modules) & {heavy}))"


def heavy_modules(code: str) -> set[str]:
    """Those of HEAVY that a fresh interpreter has imported after running the code."""
    code += REPORT.format(heavy=HEAVY)
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("LossExplorer", "LossExplorer().png"),
        ("GradientExplorer", "GradientExplorer().png"),
        ("EstimatorExplorer", "EstimatorExplorer().png"),
        ("LandscapeExplorer", "LandscapeExplorer()"),  # its data: see below
        ("RewardMenu", "RewardMenu().text"),
        ("SelfTest", "SelfTest"),
        ("check_widgets", "check_widgets()"),
    ],
)
def test_neither_the_import_nor_the_picture_loads_a_heavy_library(name, use):
    assert heavy_modules(f"from rmlib.widgets import {name}\n{use}") == set()


def test_the_data_of_the_landscape_load_pandas_only_because_scikit_learn_does():
    loaded = heavy_modules("from rmlib.widgets import LandscapeExplorer\nLandscapeExplorer().png")
    assert loaded <= heavy_modules("import sklearn.datasets")
