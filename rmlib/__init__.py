"""rmlib: train on L = L_p + alpha * L_r, prediction loss plus alpha times reward loss.

The public names are imported when they are first used, so that `import rmlib` and `rmlib --help`
don't wait for torch.
"""

import importlib
import os

__version__ = "0.2.0"

_HOMES = {
    "RewardObjective": "loss.objective",
    "REWARDS": "loss.rewards",
    "sampled_reward": "loss.sampling",
    "new_tagger": "models.encoder",
    "load_tagger": "models.encoder",
    "Config": "training.config",
    "Training": "training.loop",
    "newswire": "text.corpora",
}
_PACKAGES = (
    "classroom",
    "exercises",
    "loss",
    "models",
    "plots",
    "studies",
    "text",
    "training",
    "widgets",
)

__all__ = [*_HOMES, *_PACKAGES]  # noqa: PLE0604 (all are strings)


# Idle OpenMP threads spin. With the default of 300,000 turns (9 ms) they keep a core from other
# programs, and two trainings at once take several times as long as one. Not to spin costs a single
# training little and changes no result (tests/benchmarks/shared_machine.py). libgomp reads the
# variables when it is loaded, so they are set before anything imports torch.
SPIN = {"GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}  # GNU's and LLVM's OpenMP
if not {"OMP_WAIT_POLICY", *SPIN} & os.environ.keys():  # the user's own setting holds
    os.environ.update(SPIN)


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(f"rmlib.{_HOMES[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"rmlib.{name}")
    raise AttributeError(f"module 'rmlib' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
