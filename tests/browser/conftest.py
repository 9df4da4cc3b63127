"""A real JupyterLab, started by `rmlib lab`, in a real browser.

Chromium comes from the system (`apt-get install chromium`) or is named by the environment variable RMLIB_CHROMIUM.
Without it these tests are skipped; RMLIB_REQUIRE_BROWSER=1 makes them fail instead, for the machine that must run them.
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
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
SLIDER = "import ipywidgets\nslider = ipywidgets.FloatSlider(value=0.5, max=1.0, description='alpha')\nslider"


@dataclass
class Lab:
    """A running `rmlib lab`: its address, token and workbook."""

    url: str
    token: str
    workbook: Path
    process: subprocess.Popen

    def address(self, notebook: str) -> str:
        """The notebook in a workspace of its own: tabs that another test left open do not come back."""
        return f"{self.url}lab/workspaces/{uuid.uuid4().hex}/tree/{notebook}?token={self.token}"

    def api(self, path: str):
        request = urllib.request.Request(f"{self.url}api/{path}", headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running_lab(folder: Path, *options: str, wait: float = 300, **variables: str):
    """Start `rmlib lab` on `folder/wb` and yield a `Lab` once it answers; stop it and its kernels at the end.

    The first start on a machine fetches the models, which is why `wait` (seconds) is long.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runtime = folder / "runtime"  # the server writes its address and token here
    # Nothing of the machine's own Jupyter settings takes part, and nothing of ours goes there.
    own = {"JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(folder / "config"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from rmlib.cli import main; main()", "lab", "--no-browser", "--port", str(port)]
    log = folder / "lab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--workbook", str(folder / "wb"), *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **own, **variables},
        )
    try:
        info, deadline = runtime / f"jpserver-{process.pid}.json", time.monotonic() + wait
        while True:
            assert process.poll() is None, f"rmlib lab ended with {process.returncode}:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"no answer after {wait} s:\n{log.read_text()}"
            with contextlib.suppress(OSError, ValueError):  # not written, not whole, or not listening yet
                server = json.loads(info.read_text())
                lab = Lab(server["url"], server["token"], folder / "wb", process)
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


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """One server for the session, on a workbook made from a small lesson of its own."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [
        new_markdown_cell("# Start here"),
        new_code_cell("import sys\nprint(sys.executable)"),
        new_code_cell(SLIDER),
    ]
    (folder / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), folder / "notebooks" / "00_start_here.ipynb")
    with running_lab(folder, "--notebooks", str(folder / "notebooks")) as lab:
        yield lab


@pytest.fixture(scope="session")
def browser():
    """One Chromium for the session."""
    executable = os.environ.get("RMLIB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        executable = None
    if not executable:
        say = "the browser tests need Chromium and Playwright: `apt-get install chromium`, `pip install playwright`"
        (pytest.fail if os.environ.get("RMLIB_REQUIRE_BROWSER") == "1" else pytest.skip)(say)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser):
    """A page in a context of its own, as on a first visit; errors that the page itself throws fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"the page threw: {errors}"


def open_notebook(page, lab: Lab, notebook: str) -> None:
    """Go to a notebook of the workbook and wait until its kernel is idle."""
    page.goto(lab.address(notebook))
    wait_until_ready(page)


def wait_until_ready(page) -> None:
    """Wait until a notebook is open and its kernel idle. JupyterLab drops cells that are run before that."""
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(timeout=60_000)


def run_all(page, lab: Lab, notebook: str, timeout: float = 120):
    """Run every cell of the open notebook by the menu, save it, and return it as stored; no cell may end in an error.

    The saved file is looked at, not the page: JupyterLab draws only the cells in view. `timeout` is in seconds.
    """
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    page.wait_for_timeout(500)  # by then every cell is queued and its old number is gone
    deadline = time.monotonic() + timeout
    while True:
        (session,) = (s for s in lab.api("sessions") if s["path"] == notebook)
        if session["kernel"]["execution_state"] == "idle":
            page.keyboard.press("Control+s")
            page.wait_for_selector(".lm-TabBar-tab.jp-mod-dirty", state="detached")
            stored = nbformat.read(lab.workbook / notebook, as_version=4)
            cells = [cell for cell in stored.cells if cell.cell_type == "code" and cell.source.strip()]
            errors = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
            assert not errors, f"{notebook}: {errors[0].ename}: {errors[0].evalue}"
            if all(cell.execution_count for cell in cells):
                return stored
        assert time.monotonic() < deadline, f"{notebook} still runs after {timeout} s"
        page.wait_for_timeout(300)
