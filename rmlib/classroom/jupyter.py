"""Start JupyterLab on a workbook, with the course's own settings."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from rmlib import SPIN
from rmlib.text.files import write_atomically

# Folders of the user's home in which Jupyter and its kernels keep files of their own.
OWN_FOLDERS = {
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "IPYTHONDIR": "ipython",
    "MPLCONFIGDIR": "matplotlib",
}
FIRST_LESSON = "00_start_here.ipynb"
# What the packages nbgrader and notebook add to JupyterLab, and a learner has no use for: the
# nbgrader menu and the buttons that open the classic Notebook.
DISABLED_IN_THE_PAGE = (
    "@jupyterlab/apputils-extension:announcements",  # asks whether to fetch news about Jupyter
    "@jupyter/nbgrader",
    "@jupyter-notebook/lab-extension",
)
# The server's part of them. nbgrader's would log an error because no course is configured.
DISABLED_IN_THE_SERVER = (
    "notebook",
    "nbgrader.server_extensions.assignment_list",
    "nbgrader.server_extensions.course_list",
    "nbgrader.server_extensions.formgrader",
    "nbgrader.server_extensions.validate_assignment",
)


def serve(
    workbook: Path,
    first: str = FIRST_LESSON,
    *,
    browser: bool = True,
    port: int = 8888,
    ip: str = "localhost",
    allow_root: bool = False,
) -> None:
    """Run JupyterLab on a workbook, in this process, until it is interrupted.

    Without a child process, nothing can be left running when this process ends.

    Args:
        workbook: the folder that JupyterLab shows.
        first: the notebook to open, relative to the workbook, if it exists.
        browser: open a browser.
        port: the next free port is used if it is taken.
        ip: the address to listen on.
        allow_root: whether root may run the server.
    """
    settings = workbook / ".rmlib"
    _write_settings(settings)
    _leave_home(settings / "jupyter")  # first: Jupyter looks up its folders when it is imported
    from jupyterlab.labapp import LabApp

    # Jupyter searches these folders before the user's own settings, which stay as they are.
    for variable in ("JUPYTER_CONFIG_PATH", "JUPYTER_PATH"):
        others = os.environ.get(variable)
        os.environ[variable] = os.pathsep.join([str(settings), *([others] if others else [])])

    page = f"/lab/tree/{first}" if (workbook / first).exists() else "/lab"
    arguments = [
        f"--ServerApp.root_dir={workbook}",
        f"--ServerApp.ip={ip}",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        f"--ServerApp.allow_root={allow_root}",
        f"--LabApp.default_url={page}",
        f"--LabApp.workspaces_dir={settings / 'workspaces'}",  # open tabs, kept for this workbook
        "--Application.log_level=WARN",  # quiet, but the address to open is still printed
    ]
    server = LabApp.initialize_server(argv=arguments)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Jupyter handles Ctrl-C only where it can ask for confirmation on a terminal, and not on
        # Windows. Elsewhere its kernels and runtime files would be left behind.
        signal.signal(signal.SIGINT, lambda *_: server.stop(from_signal=True))
    server.start()


def _leave_home(folder: Path) -> None:
    """Where the home cannot be written, let Jupyter keep its files in a folder of the workbook."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir

    home = os.path.expanduser("~")
    own = (jupyter_runtime_dir(), jupyter_config_dir(), jupyter_data_dir(), home)
    if all(_can_write(Path(path)) for path in own):
        return
    for variable, name in OWN_FOLDERS.items():
        if not _can_write(Path(os.environ.get(variable, home))):
            os.environ[variable] = str(folder / name)
            (folder / name).mkdir(parents=True, exist_ok=True)
    print(f"rmlib: the home {home} cannot be written; Jupyter uses {folder}", file=sys.stderr)


def _can_write(folder: Path) -> bool:
    """Whether a file can be made in a folder, or in the one that it would be made in."""
    folder = folder.absolute()
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return True
    except OSError:
        return False


def _write_settings(folder: Path) -> None:
    """Write the course's settings of the page, the server and the kernel."""
    from ipykernel.kernelspec import get_kernel_dict

    spin = {name: os.environ[name] for name in SPIN if name in os.environ}
    files = {
        "labconfig/page_config.json": {
            "disabledExtensions": dict.fromkeys(DISABLED_IN_THE_PAGE, True)
        },
        "jupyter_server_config.json": {
            "ServerApp": {"jpserver_extensions": dict.fromkeys(DISABLED_IN_THE_SERVER, False)}
        },
        # "Python 3" is this Python, even if the user has registered another one by that name; and
        # it shares the cores even if a notebook imports torch before rmlib.
        "kernels/python3/kernel.json": get_kernel_dict() | {"env": spin},
    }
    for name, content in files.items():
        write_atomically(folder / name, json.dumps(content, indent=1).encode())
