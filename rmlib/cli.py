"""The command line: rmlib lab | workbook | fetch. What a command needs is imported inside it, so that help is quick."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from .errors import RmlibError

LESSON_ASSETS = ("minilm", "tweets")
FIRST_LESSON = "00_start_here.ipynb"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

app = typer.Typer(
    help="Train on the metric you care about: L = L_p + alpha * L_r, in notebooks and on the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Solutions = Annotated[bool, typer.Option("--solutions", help="Keep the solutions; the copies go to solutions/.")]
Place = Annotated[Path | None, typer.Option("--workbook", help="Where the workbook goes.", show_default=False)]
Lessons = Annotated[Path | None, typer.Option("--notebooks", hidden=True)]  # for tests: lessons from elsewhere


def main() -> None:
    """The console script: a mistake the user can mend is one line and exit code 1, Ctrl-C is a quiet 130."""
    try:
        app()
    except RmlibError as error:
        print("rmlib:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def lab(
    solutions: Solutions = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Serve, but open no browser.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The next free port if it is taken.")] = 8888,
    ip: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")] = "localhost",
    allow_root: Annotated[bool, typer.Option("--allow-root", help="Let root serve other machines too.")] = False,
    workbook: Place = None,
    notebooks: Lessons = None,
) -> None:
    """Open the lessons in JupyterLab, after making or updating the workbook and fetching what they need."""
    from .assets import AssetError, fetch

    folder = _make_workbook(notebooks, workbook, solutions)  # before the download: mistakes show at once
    for name in LESSON_ASSETS:
        try:
            fetch(name)
        except AssetError as error:  # the first lessons work without
            print("rmlib:", error, file=sys.stderr)
    _serve(folder, "solutions/" if solutions else "", not no_browser, port, ip, allow_root or ip in LOOPBACK)


@app.command("workbook")
def workbook_command(solutions: Solutions = False, workbook: Place = None, notebooks: Lessons = None) -> None:
    """Make the workbook, or bring it up to date, without opening it. Your edits are never overwritten."""
    _make_workbook(notebooks, workbook, solutions)


@app.command("fetch")
def fetch_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="What to fetch; all that the lessons need if left out.")
    ] = None,
    accept_licence: Annotated[
        list[str] | None, typer.Option("--accept-licence", help="Accept the licence of this one, such as conll2003.")
    ] = None,
) -> None:
    """Fetch the models and texts into the cache, once; afterwards everything works offline."""
    from .assets import ASSETS, fetch, fetch_all

    accepted = accept_licence or []
    if not names:
        fetch_all(accepted)
    for name in names or []:
        home = fetch(name, accept_licence=name in accepted)
        print(f"{name}: {ASSETS[name].megabytes} MB, licence: {ASSETS[name].licence}, in {home}")


def _make_workbook(notebooks: Path | None, workbook: Path | None, solutions: bool) -> Path:
    from .workbook import make_workbook, places

    if notebooks is None or workbook is None:
        lessons, place = places()
        notebooks, workbook = notebooks or lessons, workbook or place
    workbook = workbook.resolve()
    print(f"{workbook}: {make_workbook(notebooks, workbook, solutions)}", flush=True)
    return workbook


def _serve(folder: Path, prefix: str, browser: bool, port: int, ip: str, allow_root: bool) -> None:
    """Run JupyterLab on the workbook in this very process (no child to orphan) until it is told to stop."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyterlab.labapp import LabApp

    from .workbook import write_atomically

    settings = folder / ".rmlib"
    # Both searched before the user's own folders, which stay as they are. The first turns off the question about
    # news; the second makes "Python 3" this Python even where the user has registered another one by that name.
    news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    kernel = get_kernel_dict()
    for name, content in (("labconfig/page_config.json", news), ("kernels/python3/kernel.json", kernel)):
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
