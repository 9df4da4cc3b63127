"""Measure the time from a key to a new picture, for each explorer and for the usual idiom.

    python -m tests.benchmarks.explorer_latency [NAME ...] [--shots FOLDER]

prints a table and writes data/results/explorer_latency.csv. NAMEs are classes of `rmlib.widgets`;
by default, all.

In a real JupyterLab and Chromium, 30 moves of the first slider by the arrow keys, a pause after
each. The page itself takes the time, from the keydown event to the moment when an image with
another source stands in the output and is decoded. The usual idiom is `ipywidgets.interact` around
pyplot: it draws what the explorer draws, from the same numbers, on a new pyplot figure that the
inline backend shows. The two take turns, ten moves each, so that a slow minute of the machine
favours nobody.

--shots also keeps a picture of each explorer at 1280 and 800 pixels, in JupyterLab's light and dark
theme, and reports every one that has to be scrolled sideways.
"""

import argparse
import inspect
import json
import os
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

import rmlib.widgets
from rmlib.widgets.framework.explorer import Explorer
from tests.browser.driver import FLAGS, chromium, open_notebook, run_all, running_lab

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "explorer_latency.csv"
WARM_UP = 3  # first moves, not counted
TURNS, MOVES = 3, 10  # turns of so many moves
PAUSE = 250  # ms after a move
KIT = "from rmlib.widgets import {name}\nexplorer = {name}()\nexplorer.widget"
USUAL = """import sys
from types import SimpleNamespace
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import rmlib.plots.figures
from rmlib.widgets import {name}

def pyplot_figure(width=7.0, height=3.5, rows=1, columns=1, margins=None):
    layout = None if margins else "constrained"
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout=layout)
    for one in np.ravel(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.3)
    figure.subplots_adjust(**margins) if margins else None
    return figure

explorer = {name}()
kit_figure = rmlib.plots.figures.new_figure
for module in list(sys.modules.values()):
    if getattr(module, "new_figure", None) is kit_figure:
        module.new_figure = pyplot_figure
controls = explorer._controls.items()
name, slider = next((name, one) for name, one in controls if "Slider" in type(one).__name__)
stops, state = slider.options, vars(explorer.state)

def usual(stop):
    # a new figure every time; what was computed stays known
    explorer._figures, explorer._picture = {{}}, None
    explorer.draw(SimpleNamespace(**(state | {{name: stop}})))
    plt.show()

ipywidgets.interact(usual, stop=ipywidgets.SelectionSlider(options=stops, value=slider.value));"""
# Waits for the next key, then for another image; `window.measured` becomes the milliseconds between
# them.
ARM = """() => {
  const area = document.querySelector('.jp-CodeCell .jp-Cell-outputArea');
  const picture = () => area.querySelector('img');
  const before = picture().src;
  let start = null;
  const begin = () => { start = performance.now(); };
  document.addEventListener('keydown', begin, {capture: true, once: true});
  window.measured = new Promise((resolve, reject) => {
    const look = async () => {
      const now = picture();
      if (start === null || !now || now.src === before) return;
      // replaced before it was decoded: the next one counts
      try { await now.decode(); } catch { return; }
      observer.disconnect();
      resolve(performance.now() - start);
    };
    const observer = new MutationObserver(look);
    const changes = {childList: true, subtree: true, attributes: true, attributeFilter: ['src']};
    observer.observe(area, changes);
    setTimeout(() => reject(new Error('no other picture after 20 s')), 20000);
  });
}"""
WIDER = """() => [...document.querySelectorAll(
  '.jp-WindowedPanel-outer, .jp-OutputArea-output, .widget-html-content'
)].filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.className)"""


class Keys:
    """The first slider of an open notebook under the arrow keys: to and fro."""

    def __init__(self, page):
        self.page = page
        self.handle = page.locator(".jp-CodeCell .noUi-handle").first
        self.key = "ArrowRight"
        page.wait_for_selector(".jp-CodeCell .jp-Cell-outputArea img")

    def move(self) -> float:
        """Milliseconds from the key to the new picture."""
        now, low, high = (
            float(self.handle.get_attribute(f"aria-value{end}")) for end in ("now", "min", "max")
        )
        self.key = {high: "ArrowLeft", low: "ArrowRight"}.get(now, self.key)
        self.handle.focus()
        self.page.evaluate(ARM)
        self.page.keyboard.press(self.key)
        milliseconds = self.page.evaluate("() => window.measured")
        self.page.wait_for_timeout(PAUSE)
        return milliseconds


def names() -> list[str]:
    """The explorers that are made without arguments."""
    classes = [getattr(rmlib.widgets, name) for name in rmlib.widgets.__all__]

    def needs_nothing(one) -> bool:
        return all(p.default is not p.empty for p in inspect.signature(one).parameters.values())

    return sorted(
        one.__name__
        for one in classes
        if inspect.isclass(one) and issubclass(one, Explorer) and needs_nothing(one)
    )


@contextmanager
def opened(browser, lab, notebook: str, width: int = 1280):
    """The notebook in a page of its own, run; its kernel is stopped at the end."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    open_notebook(page, lab, notebook)
    run_all(page, lab, notebook)
    page.wait_for_selector(".jp-CodeCell .jp-Cell-outputArea img")
    yield page
    context.close()
    for session in lab.api("sessions"):
        if session["path"] == notebook:
            ask(lab, "DELETE", f"api/sessions/{session['id']}")


def ask(lab, method: str, path: str, body: dict | None = None) -> None:
    """A request that changes something on the server."""
    data = json.dumps(body).encode() if body else None
    headers = {"Authorization": f"token {lab.token}", "Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(lab.url + path, data, headers, method=method), timeout=10
    ).close()


def measure(browser, lab, name: str) -> dict[str, list[float]]:
    """Milliseconds of every counted move, by "kit" and "usual"."""
    with (
        opened(browser, lab, f"{name}.ipynb") as kit,
        opened(browser, lab, f"{name}-usual.ipynb") as usual,
    ):
        keys, times = {"kit": Keys(kit), "usual": Keys(usual)}, {"kit": [], "usual": []}
        for turn in range(TURNS):
            for way, one in keys.items():
                one.page.bring_to_front()
                own = [one.move() for _ in range((WARM_UP if turn == 0 else 0) + MOVES)]
                times[way] += own[-MOVES:]
    return times


def shoot(browser, lab, name: str, folder: Path) -> None:
    """Keep a picture of the explorer for each theme and width."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("Light", "Dark"):
        settings = {"raw": json.dumps({"theme": f"JupyterLab {theme}"})}
        ask(lab, "PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes", settings)
        for width in (1280, 800):
            with opened(browser, lab, f"{name}.ipynb", width) as page:
                page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").wait_for(
                    state="attached"
                )
                page.wait_for_timeout(500)
                page.screenshot(path=folder / f"{name}-{theme.lower()}-{width}.png")
                if wider := page.evaluate(WIDER):
                    print(f"{name}, {theme}, {width} pixels: wider than the page: {wider}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(names())}; default: all"
    )
    parser.add_argument(
        "--shots", type=Path, metavar="FOLDER", help="also keep pictures of the explorers there"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"{', '.join(sorted(unknown))}: expected one of {', '.join(names())}")
    chosen, rows = options.names or names(), []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lessons = Path(folder) / "notebooks"
        lessons.mkdir()
        for name in chosen:
            for suffix, source in (("", KIT), ("-usual", USUAL)):
                notebook = new_notebook(cells=[new_code_cell(source.format(name=name))])
                nbformat.write(notebook, lessons / f"{name}{suffix}.ipynb")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with running_lab(Path(folder), "--notebooks", str(lessons)) as lab:
            for name in chosen:
                times = measure(browser, lab, name)
                middle = {way: median(own) for way, own in times.items()}
                slow = {
                    way: quantiles(own, n=20, method="inclusive")[-1] for way, own in times.items()
                }
                rows.append(
                    {
                        "explorer": name,
                        "median ms": f"{middle['kit']:.0f}",
                        "95 % ms": f"{slow['kit']:.0f}",
                        "usual median ms": f"{middle['usual']:.0f}",
                        "usual 95 % ms": f"{slow['usual']:.0f}",
                        "ratio of medians": f"{middle['usual'] / middle['kit']:.2f}",
                        "load": f"{os.getloadavg()[0]:.1f}",
                    }
                )
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
                if options.shots:
                    shoot(browser, lab, name, options.shots)
        engine = browser.version
        browser.close()
    about = " ".join(["python -m tests.benchmarks.explorer_latency", *options.names]) + "; "
    about += f"{TURNS * MOVES} moves; {os.cpu_count()} processors; "
    about += f"Chromium {engine}, Python {sys.version.split()[0]}"
    about += "".join(
        f", {one} {version(one)}"
        for one in ("jupyterlab", "ipywidgets", "matplotlib", "pillow", "torch")
    )
    with options.out.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}\n")
        pd.DataFrame(rows).to_csv(file, index=False)


if __name__ == "__main__":
    main()
