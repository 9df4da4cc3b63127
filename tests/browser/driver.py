"""Start `rmlib lab`, talk to its server, and drive its page. For the tests in this folder and in
test_cli_lab.py.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import nbformat

# `rmlib`, with Python's usual answer to Ctrl-C. A shell that runs the tests in the background
# (`pytest &`) starts them with SIGINT ignored; every child inherits that, and without this line a
# lab started here would, too.
HEAR_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
RMLIB = (sys.executable, "-c", f"{HEAR_SIGINT}; from rmlib.cli import main; main()")
FLAGS = [  # of Chromium
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Chromium's path; None where there is none."""
    return (
        os.environ.get("RMLIB_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("google-chrome")
    )


@dataclass
class Lab:
    """A running `rmlib lab`: its address, token and workbook."""

    url: str
    token: str
    workbook: Path
    process: subprocess.Popen

    def address(self, notebook: str) -> str:
        """The notebook in a workspace of its own: tabs that another test left open do not come
        back.
        """
        return f"{self.url}lab/workspaces/{uuid.uuid4().hex}/tree/{notebook}?token={self.token}"

    def api(self, path: str):
        request = urllib.request.Request(
            f"{self.url}api/{path}", headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def end_kernels(self) -> None:
        """Shut down every kernel, as the page's own list of kernels does: memory and processors are
        free again.
        """
        for session in self.api("sessions"):
            address = f"{self.url}api/sessions/{session['id']}"
            headers = {"Authorization": f"token {self.token}"}
            with urllib.request.urlopen(
                urllib.request.Request(address, headers=headers, method="DELETE"), timeout=30
            ):
                pass


@contextlib.contextmanager
def running_lab(
    folder: Path,
    *options: str,
    wait: float = 300,
    command: tuple = RMLIB,
    cwd: Path | None = None,
    **variables: str,
):
    """Start `rmlib lab` and yield a `Lab` once it answers; stop it and its kernels at the end.

    Args:
        folder: where the server's own files go, and the workbook `wb`.
        options: of `rmlib lab`.
        wait: seconds; long, because the first start on a machine fetches the models.
        command: what starts `rmlib`.
        cwd: a folder to start in; the workbook then goes where `rmlib lab` puts it by default.
        variables: environment variables.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runtime = folder / "runtime"  # the server writes its address and token here
    # Nothing of the machine's own Jupyter settings takes part, and nothing of ours goes there.
    own = {
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
    }
    workbook = cwd / "workbook" if cwd else folder / "wb"
    place = () if cwd else ("--workbook", str(workbook))
    log = folder / "lab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "lab", "--no-browser", "--port", str(port), *place, *options],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **own, **variables},
        )
    try:
        info, deadline = runtime / f"jpserver-{process.pid}.json", time.monotonic() + wait
        while True:
            assert process.poll() is None, (
                f"rmlib lab ended with {process.returncode}:\n{log.read_text()}"
            )
            assert time.monotonic() < deadline, f"no answer after {wait} s:\n{log.read_text()}"
            with contextlib.suppress(
                OSError, ValueError
            ):  # not written, not whole, or not listening yet
                server = json.loads(info.read_text())
                lab = Lab(server["url"], server["token"], workbook, process)
                lab.api("status")
                break
            time.sleep(0.1)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def open_notebook(page, lab: Lab, notebook: str) -> None:
    """Go to a notebook of the workbook and wait until its kernel is idle."""
    page.goto(lab.address(notebook))
    wait_until_ready(page)


def wait_until_ready(page) -> None:
    """Wait until a notebook is open and its kernel idle. JupyterLab drops cells that are run before
    that.
    """
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(timeout=60_000)


def save(page, deadline: float) -> None:
    """Save the open notebook; again, where a widget's late picture has changed it meanwhile."""
    dirty = page.locator(".lm-TabBar-tab.jp-mod-dirty")
    for moment in range(10_000):
        if moment % 30 == 0:
            page.keyboard.press("Control+s")
        page.wait_for_timeout(100)
        if not dirty.count():
            return
        assert time.monotonic() < deadline, "the notebook cannot be saved"


def run_all(page, lab: Lab, notebook: str, timeout: float = 120):
    """Run every cell of the open notebook by the menu, save it, and return it as stored; no cell
    may end in an error.

    The saved file is looked at, not the page: JupyterLab draws only the cells in view. `timeout` is
    in seconds.
    """
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    page.wait_for_timeout(500)  # by then every cell is queued and its old number is gone
    deadline = time.monotonic() + timeout
    while True:
        (session,) = (s for s in lab.api("sessions") if s["path"] == notebook)
        if session["kernel"]["execution_state"] == "idle":
            save(page, deadline)
            try:
                stored = nbformat.read(lab.workbook / notebook, as_version=4)
            except nbformat.reader.NotJSONError:  # it is being written
                continue
            cells = [
                cell for cell in stored.cells if cell.cell_type == "code" and cell.source.strip()
            ]
            errors = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
            assert not errors, f"{notebook}: {errors[0].ename}: {errors[0].evalue}"
            if all(cell.execution_count for cell in cells):
                return stored
        assert time.monotonic() < deadline, f"{notebook} still runs after {timeout} s"
        page.wait_for_timeout(300)


# Every kind of control there is; what each is moved by is said in `move`.
CONTROLS = ".widget-slider, .widget-dropdown, .widget-radio, .widget-checkbox, .widget-button"


def move(control) -> None:
    """One step: a slider by an arrow key, a button by Space. A menu opens with Space, but then it
    is the system's own affair which keys move it, so it is moved the way Playwright does."""
    kind = control.get_attribute("class")
    if "widget-slider" in kind:
        handle = control.locator(".noUi-handle")
        last = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
        handle.press("ArrowLeft" if last else "ArrowRight")
    elif "widget-radio" in kind:  # arrow keys on a button or a closed menu are taken by JupyterLab
        control.locator("input:not(:checked)").first.press("Space")
    elif "widget-checkbox" in kind:
        control.locator("input").press("Space")
    elif "widget-button" in kind:
        control.press("Space")
    else:
        menu = control.locator("select")
        menu.select_option(index=0 if menu.evaluate("one => one.selectedIndex") == 1 else 1)
