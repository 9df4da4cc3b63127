"""Running JupyterLab on a workbook, with the course's own settings."""

import json
import os
import signal
from pathlib import Path

FIRST_LESSON = "00_start_here.ipynb"
NOT_IN_THE_PAGE = ("@jupyter/nbgrader", "@jupyter-notebook/lab-extension")
NOT_IN_THE_SERVER = ("notebook", "nbgrader.server_extensions.formgrader", "nbgrader.server_extensions.course_list")
NOT_IN_THE_SERVER += ("nbgrader.server_extensions.assignment_list", "nbgrader.server_extensions.validate_assignment")


def _serve(folder: Path, prefix: str, browser: bool, port: int, ip: str, allow_root: bool) -> None:
    """Run JupyterLab on the workbook in this very process (no child to orphan) until it is told to stop."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyterlab.labapp import LabApp

    from rmlib.classroom.workbook import write_atomically

    settings = folder / ".rmlib"
    # All searched before the user's own folders, which stay as they are. The first turns off the question about
    # news, and nbgrader's menu and Notebook's buttons, which come with the package nbgrader and which a learner has no
    # use for; the second their halves in the server, which miss a course and say so; the third makes "Python 3" this
    # Python even where the user has registered another one by that name.
    page = dict.fromkeys(("@jupyterlab/apputils-extension:announcements", *NOT_IN_THE_PAGE), True)
    written = {
        "labconfig/page_config.json": {"disabledExtensions": page},
        "jupyter_server_config.json": {"ServerApp": {"jpserver_extensions": dict.fromkeys(NOT_IN_THE_SERVER, False)}},
        "kernels/python3/kernel.json": get_kernel_dict(),
    }
    for name, content in written.items():
        write_atomically(settings / name, json.dumps(content, indent=1).encode())
    for variable in ("JUPYTER_CONFIG_PATH", "JUPYTER_PATH"):
        others = os.environ.get(variable)
        os.environ[variable] = os.pathsep.join([str(settings), *([others] if others else [])])

    first = prefix + FIRST_LESSON
    arguments = [
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.ip={ip}",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        f"--ServerApp.allow_root={allow_root}",
        f"--LabApp.default_url=/lab/tree/{first}" if (folder / first).exists() else "--LabApp.default_url=/lab",
        f"--LabApp.workspaces_dir={settings / 'workspaces'}",  # open tabs are remembered per workbook
        "--Application.log_level=WARN",  # leaves the address to open
    ]
    server = LabApp.initialize_server(argv=arguments)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Without a terminal to ask on, and on Windows, Jupyter would leave its kernels and files behind on Ctrl-C.
        signal.signal(signal.SIGINT, lambda *_: server.stop(from_signal=True))
    server.start()
