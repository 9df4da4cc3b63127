"""The widgets of the mathematics lessons open without the libraries that train a BERT."""

import subprocess
import sys

HEAVY = {"transformers", "accelerate", "pandas", "peft"}
REPORT = f"import sys\nprint(*(set(sys.modules) & {HEAVY}))\n"


USES = {
    "LossExplorer": "LossExplorer().png",
    "GradientExplorer": "GradientExplorer().png",
    "EstimatorExplorer": "EstimatorExplorer().png",
    "LandscapeExplorer": "LandscapeExplorer()",  # its data: see below
    "RewardMenu": "RewardMenu().text",
    "SelfTest": "SelfTest",
    "check_widgets": "check_widgets()",
}


def heavy_modules(code: str) -> list[set[str]]:
    """Those of HEAVY that a fresh interpreter has imported, at each line that is REPORT."""
    told = subprocess.check_output([sys.executable, "-c", code], text=True)
    return [set(line.split()) for line in told.splitlines()]


def test_neither_the_import_nor_the_picture_loads_a_heavy_library():
    code = "".join(
        f"from rmlib.widgets import {name}\n_ = {use}\n{REPORT}" for name, use in USES.items()
    )
    found = dict(zip(USES, heavy_modules(code), strict=True))
    assert not any(found.values()), found  # the first that is not empty is to blame


def test_the_data_of_the_landscape_load_pandas_only_because_scikit_learn_does():
    (ours,) = heavy_modules(
        f"from rmlib.widgets import LandscapeExplorer\nLandscapeExplorer().png\n{REPORT}"
    )
    (theirs,) = heavy_modules(f"import sklearn.datasets\n{REPORT}")
    assert ours <= theirs
