"""Which tests run: without `--all`, the expensive groups are left out, and the summary says so.

`pytest tests/browser/test_lab.py` runs that file all the same: what the command line names is run,
be it a file, a test, or a folder with nothing but tests of such groups. `-m EXPRESSION` decides by
itself. Both conftest.py files of the project register this module as a plugin.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

GROUPS = {
    "browser": "drives JupyterLab in a real Chromium",
    "kernels": "starts kernels of several versions of ipykernel",
    "processes": "trains in several processes at once",
    "long": "makes or resumes whole trainings and studies, or runs a lesson as a learner leaves it",
    "packaging": "builds the wheel and installs it",
}
LEFT_OUT = pytest.StashKey[dict[str, int]]()  # group -> number of tests
MOST_PROCESSES = 2


def mostly_long(values, *plain) -> list:
    """Values for `parametrize`; those that are not among `plain` run with the `long` tests."""
    assert set(plain) <= set(values)
    return [one if one in plain else pytest.param(one, marks=pytest.mark.long) for one in values]


def register(pluginmanager) -> None:
    """Make this module a plugin, whichever conftest.py is loaded first."""
    module = sys.modules[__name__]
    if not pluginmanager.is_registered(module):
        pluginmanager.register(module, __name__)


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--all", action="store_true", help=f"run the tests marked {', '.join(GROUPS)}, too"
    )


def pytest_configure(config) -> None:
    for name, what in GROUPS.items():
        config.addinivalue_line("markers", f"{name}: {what}; runs with --all")


def takes_everything(config) -> bool:
    """Whether no group is left out."""
    return config.option.all or bool(config.option.markexpr)


def paths_named(config) -> list[Path]:
    """The files and folders of the command line, or else the project's `testpaths`."""
    folder = config.invocation_params.dir
    return [(folder / argument.split("::")[0]).resolve() for argument in config.args]


def group_of(item) -> str | None:
    """The group that an item belongs to, the first one if there are several."""
    return next((group for group in GROUPS if item.get_closest_marker(group)), None)


def pytest_report_header(config) -> str | None:
    if takes_everything(config):
        return None
    return f"left out: {', '.join(GROUPS)}; to run them, too: pytest --all"


@pytest.hookimpl(trylast=True)  # after -k, so that only tests that would have run are counted
def pytest_collection_modifyitems(config, items) -> None:
    # Notebooks take longest, and each stays in one process: with the short files at the end, both
    # processes are busy until then.
    items.sort(key=lambda item: item.path.suffix != ".ipynb")
    if takes_everything(config):
        return
    run_whole = {
        path for path in paths_named(config) if path.is_file() or _all_grouped(path, items)
    }
    kept, left_out = [], []
    for item in items:
        named = not run_whole.isdisjoint([item.path, *item.path.parents])
        (kept if named or group_of(item) is None else left_out).append(item)
    if left_out:
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)
        config.stash[LEFT_OUT] = dict(Counter(map(group_of, left_out)))


def _all_grouped(folder: Path, items) -> bool:
    """Whether a folder holds nothing but tests of the groups."""
    return all(group_of(item) for item in items if folder in item.path.parents)


def pytest_sessionfinish(session) -> None:
    """A worker process of pytest-xdist sends the numbers to the process that prints."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash.get(LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Take the numbers from a worker; every worker collects the same tests."""
    if left_out := getattr(node, "workeroutput", {}).get("left_out"):
        node.config.stash[LEFT_OUT] = left_out


def pytest_terminal_summary(terminalreporter, config) -> None:
    if left_out := config.stash.get(LEFT_OUT, {}):
        counts = ", ".join(f"{left_out[group]} {group}" for group in GROUPS if group in left_out)
        total = sum(left_out.values())
        line = f"left out: {total} tests ({counts}); to run them, too: pytest --all"
        terminalreporter.write_line(line, yellow=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config) -> int:
    """How many processes `-n auto` starts; none where the command line names nothing but files."""
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    only_files = all(path.is_file() for path in paths_named(config))
    return 0 if only_files or processes == 1 else processes
