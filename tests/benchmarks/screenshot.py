"""Take the README's picture: the live lab in JupyterLab, while a BERT trains and α is moved.

    python -m tests.benchmarks.screenshot       # writes data/results/live_lab.png; a few minutes

A real `rmlib lab` and a real Chromium. The notebook holds the live lab of lesson 06: MiniLM on the
newswire, 512 subword tokens per batch, 100 dev sentences scored every 20 steps. The slider of α is
moved by the arrow keys, from 0 to 1 after 40 steps and on to the reward alone after 80; the
picture is taken 40 steps later, while the training runs.
"""

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

from tests.benchmarks.explorer_latency import opened
from tests.browser.driver import FLAGS, chromium, running_lab

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "live_lab.png"
MOVES, LAST = ((40, 5), (80, 5)), 120  # (after so many steps, keys to the right); steps
LAB = """from rmlib import Config, Training, new_tagger, newswire
from rmlib.widgets.live.dev_monitor import DevMonitor
from rmlib.widgets.live.live import Live
from rmlib.widgets import LiveTraining

corpus = newswire()
tagger = new_tagger(corpus.tags, seed=0)
config = Config(alpha=0.0, max_tokens=512, epochs=4, seed=0)
training = Training(tagger, tagger.encode(corpus.train).examples, config)
monitor = DevMonitor(tagger, corpus.dev[:100])
lab = LiveTraining(Live(training, evaluate=monitor, every=20))
lab.widget"""
WIDTH, HEIGHT = 1280, 1400  # of the page, in pixels: the whole cell is in view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "notebooks").mkdir()
        notebook = new_notebook(cells=[new_code_cell(LAB)])
        nbformat.write(notebook, folder / "notebooks" / "live.ipynb")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
        with (
            running_lab(
                folder, "--notebooks", str(folder / "notebooks"), OMP_NUM_THREADS=threads
            ) as lab,
            opened(browser, lab, "live.ipynb") as page,
        ):
            page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            cell = page.locator(".jp-CodeCell").first
            cell.get_by_role("button", name="train", exact=True).press("Space")
            slider = cell.locator(".noUi-handle").first
            for steps, keys in MOVES:
                wait_for(cell, steps)
                for _ in range(keys):
                    slider.press("ArrowRight")
            wait_for(cell, LAST)
            page.wait_for_timeout(2000)  # the picture follows the status line
            out.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=out, clip=part(cell))
            print(f"{out}: {out.stat().st_size / 1000:.0f} kB; {alternative(cell)}")
        browser.close()


def wait_for(cell, steps: int) -> None:
    """Wait until the status line tells of the evaluation after so many steps."""
    said = cell.locator("[role=status]", has_text=f"after {steps} steps")
    said.wait_for(timeout=600_000)


def part(cell) -> dict[str, float]:
    """The part of the page from the first control to the end of the first tagged sentence."""
    whole = cell.locator(".jp-OutputArea-output").first.bounding_box()
    sentence = cell.locator("[role=group][aria-label^=sentences] > div").first.bounding_box()
    return whole | {"height": sentence["y"] + sentence["height"] - whole["y"]}


def alternative(cell) -> str:
    """The picture's alt text, as the widget writes it."""
    return cell.locator("img").first.get_attribute("alt")


if __name__ == "__main__":
    main()
