"""Measure the live lab while BERT trains: from a key to the picture, until α is active, its cost.

    python -m tests.benchmarks.live_latency

prints a table and writes data/results/live_latency.csv.

A real JupyterLab and Chromium; beside them on the same processors MiniLM trains on the newswire,
512 tokens per batch, as fast as it can. 50 moves of the α slider by the arrow keys. The page itself
takes the time, from the keydown event to the moment when a picture with the new α stands in the
output and is decoded; other pictures do not count. Steps until the move is in the recorded α: the
step that is under way at the move is the first.

Watched and not watched: in the same run, stretches of steps with the widget shown and redrawn
alternate with stretches in which nothing is called back (`live.callback` is None). Speed is in
tokens per second of training; the ratio is of a watched stretch to the mean of the two beside it.
Below 1, watching costs.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

from rmlib.widgets.framework.explorer import ALPHAS, stop_name
from tests.benchmarks.explorer_latency import opened
from tests.browser.driver import FLAGS, chromium, running_lab

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "live_latency.csv"
WARM_UP, MOVES, PAUSE = 3, 50, 500  # moves first and not counted; moves; ms after a move
STRETCH, TURNS = 20, 5  # steps; stretches that are watched, each between two that are not
LAB = """import json, threading, time
from pathlib import Path
from rmlib import Config, Training, new_tagger, newswire
from rmlib.widgets.live.dev_monitor import DevMonitor
from rmlib.widgets.live.live import Live
from rmlib.widgets import LiveTraining

corpus = newswire()
tagger = new_tagger(corpus.tags)
config = Config(max_tokens=512, epochs=100)
training = Training(tagger, tagger.encode(corpus.train).examples, config)
live = Live(training, evaluate=DevMonitor(tagger, corpus.dev[:100]), every=20)
lab = LiveTraining(live)
moved, borders = [], []

def note(change):
    moved.append((len(live.history), change["new"]))

lab._controls["alpha"].observe(note, "value")

def take_turns():
    folder = Path({folder!r})
    while not (folder / "go").exists():
        time.sleep(0.5)
    callback = live.callback
    for turn in range({stretches}):
        live.callback = callback if turn % 2 else None
        borders.append(len(live.history) + 1)  # the step under way is half of either
        while len(live.history) < borders[-1] + {stretch}:
            time.sleep(0.1)
    live.pause()
    live.wait()
    record = {{"moved": moved, "borders": borders, "history": live.history}}
    (folder / "new").write_text(json.dumps(record))
    (folder / "new").rename(folder / "done")

threading.Thread(target=take_turns, daemon=True).start()
lab.start()
while len(live.history) < 5:
    time.sleep(0.1)
lab.widget"""
# Waits for the next key, then for a picture whose alt text says the α; `window.measured` becomes
# the milliseconds.
ARM = """wanted => {
  const area = document.querySelector('.jp-CodeCell .jp-Cell-outputArea');
  let start = null;
  const begin = () => { start = performance.now(); };
  document.addEventListener('keydown', begin, {capture: true, once: true});
  window.measured = new Promise((resolve, reject) => {
    const look = async () => {
      const now = area.querySelector('img');
      if (start === null || !now || !now.alt.includes(wanted)) return;
      // replaced before it was decoded: the next one counts
      try { await now.decode(); } catch { return; }
      observer.disconnect();
      resolve(performance.now() - start);
    };
    const observer = new MutationObserver(look);
    const changes = {childList: true, subtree: true, attributes: true, attributeFilter: ['src']};
    observer.observe(area, changes);
    setTimeout(() => reject(new Error('no picture with ' + wanted + ' after 20 s')), 20000);
  });
}"""


def move(page, turn: int) -> float:
    """Milliseconds from the key to the picture; five stops up, five down."""
    handle = page.locator(".jp-CodeCell .noUi-handle").first
    step = 1 if turn // 5 % 2 == 0 else -1
    stop = round(float(handle.get_attribute("aria-valuenow"))) + step
    handle.focus()
    page.evaluate(ARM, f"The next: α = {stop_name(ALPHAS[stop])},")
    page.keyboard.press("ArrowRight" if step > 0 else "ArrowLeft")
    milliseconds = page.evaluate("() => window.measured")
    page.wait_for_timeout(PAUSE + 37 * (turn % 7))  # not in step with the training
    return milliseconds


def steps_until_heard(moved: list, history: list[dict]) -> list[int]:
    """Steps until the first with the new α, the one under way included, for each (steps done, α).

    For a move that the next one has overtaken: the steps until that one.
    """
    ends = [done for done, _ in moved[1:]] + [len(history)]
    alphas = [row["alpha"] for row in history]
    return [
        (alphas[done : end + 1].index(alpha) if alpha in alphas[done : end + 1] else end - done) + 1
        for (done, alpha), end in zip(moved, ends, strict=True)
    ]


def ratios(borders: list[int], history: list[dict]) -> tuple[list[float], list[float]]:
    """Tokens per second of every stretch, and the ratio of a watched one to its neighbours."""
    rates = []
    for begin in borders:
        rows = history[begin - 1 : begin + STRETCH]
        seconds = [one["seconds"] - last["seconds"] for last, one in pairwise(rows)]
        rates.append(sum(row["tokens"] for row in rows[1:]) / sum(seconds))
    return rates, [
        2 * rates[k] / (rates[k - 1] + rates[k + 1]) for k in range(1, len(rates) - 1, 2)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--shots", type=Path, metavar="FOLDER", help="also keep a picture of the page there"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder, lessons = Path(folder), Path(folder) / "notebooks"
        lessons.mkdir()
        source = LAB.format(folder=str(folder), stretches=2 * TURNS + 1, stretch=STRETCH)
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), lessons / "live.ipynb")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        # As a reader has it: the kernel takes as many threads as there are processors.
        with (
            running_lab(
                folder, "--notebooks", str(lessons), OMP_NUM_THREADS=str(os.cpu_count())
            ) as lab,
            opened(browser, lab, "live.ipynb") as page,
        ):
            times = [move(page, turn) for turn in range(WARM_UP + MOVES)][WARM_UP:]
            print(f"median {median(times):.0f} ms, slowest {max(times):.0f} ms", flush=True)
            if options.shots:
                page.screenshot(path=options.shots / "live.png")
            (folder / "go").touch()
            while not (folder / "done").exists():
                time.sleep(0.5)
            told = json.loads((folder / "done").read_text())
        engine = browser.version
        browser.close()
    heard = steps_until_heard(told["moved"][-MOVES:], told["history"])
    rates, watched = ratios(told["borders"], told["history"])
    row = {
        "median ms": f"{median(times):.0f}",
        "95 % ms": f"{quantiles(times, n=20, method='inclusive')[-1]:.0f}",
        "slowest ms": f"{max(times):.0f}",
        "steps until heard, most": max(heard),
        "tokens/s unwatched": f"{median(rates[::2]):.0f}",
        "tokens/s watched": f"{median(rates[1::2]):.0f}",
        "ratio": f"{median(watched):.3f}",
        "lowest": f"{min(watched):.3f}",
        "highest": f"{max(watched):.3f}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    about = f"python -m tests.benchmarks.live_latency; {MOVES} moves, "
    about += f"{TURNS} stretches of {STRETCH} steps watched; {os.cpu_count()} processors; "
    about += f"Chromium {engine}, Python {sys.version.split()[0]}"
    about += "".join(
        f", {one} {version(one)}"
        for one in ("jupyterlab", "ipywidgets", "matplotlib", "pillow", "torch")
    )
    with options.out.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}\n")
        pd.DataFrame([row]).to_csv(file, index=False)


if __name__ == "__main__":
    main()
