"""Measure how quickly the widgets answer while another program trains on the same cores.

    python -m tests.benchmarks.beside_training

prints a table and writes data/results/beside_training.csv.

The other program is a kit's training of MiniLM in a process of its own, as in another learner's
notebook. It is stopped and let go on in turns, so that a slow minute of the machine favours
nobody. "live lab": from a key to the new picture in a real JupyterLab, while the lab trains, too
(`tests.benchmarks.live_latency`). "instant head": from a move of α to a new head with its dev
scores (`tests.benchmarks.instant_head`). The ratio is of medians.
"""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import pandas as pd
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright
from tqdm.auto import tqdm

from rmlib.widgets.instant_head.linear_head import Head
from rmlib.widgets.instant_head.numbers import newswire_features
from tests.benchmarks import instant_head, live_latency
from tests.benchmarks.explorer_latency import opened
from tests.benchmarks.shared_machine import environment
from tests.browser.driver import FLAGS, chromium, running_lab

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "beside_training.csv"
TURNS, MOVES = 4, 15  # turns with and without the other training; moves in each
SETTLE = 3.0  # seconds after the other training was stopped or let go on
REWARDS = ("soft_f1", "dice", "soft_mcc")
TRAINING = """
from rmlib import Config, Training, new_tagger, newswire
corpus = newswire()
tagger = new_tagger(corpus.tags)
for step in Training(tagger, tagger.encode(corpus.train).examples, Config(epochs=1000)):
    print("trains", flush=True)
"""


class OtherTraining:
    """A training in another process; a context manager."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", TRAINING], env=environment({}), stdout=subprocess.PIPE, text=True
        )
        self._process.stdout.readline()  # its first step
        threading.Thread(target=self._process.stdout.read, daemon=True).start()  # no full pipe

    def let_go_on(self, goes_on: bool) -> None:
        self._process.send_signal(signal.SIGCONT if goes_on else signal.SIGSTOP)
        time.sleep(SETTLE)

    def __enter__(self) -> "OtherTraining":
        return self

    def __exit__(self, *error) -> None:
        self._process.kill()
        self._process.wait()


def in_turns(other: OtherTraining, what: str, move) -> list[dict]:
    """`move(number)` -> ms, with and without the other training."""
    rows = []
    for turn in range(2 * TURNS):
        other.let_go_on(turn % 2 == 1)
        for number in range(MOVES):
            milliseconds = move(turn * MOVES + number)
            rows.append({"what": what, "beside": turn % 2 == 1, "ms": milliseconds})
    return rows


def live_lab(other: OtherTraining) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder, lessons = Path(folder), Path(folder) / "notebooks"
        lessons.mkdir()
        source = live_latency.LAB.format(folder=str(folder), stretches=1, stretch=1)
        write(new_notebook(cells=[new_code_cell(source)]), lessons / "live.ipynb")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with (
            running_lab(folder, "--notebooks", str(lessons)) as lab,
            opened(browser, lab, "live.ipynb") as page,
        ):
            return in_turns(other, "live lab", lambda number: live_latency.move(page, number))


def heads(other: OtherTraining) -> list[dict]:
    train, dev = newswire_features()
    head = Head(train.x, train.y, len(train.labels), train.lengths)
    path = instant_head.path(MOVES)
    rows = []
    for reward in tqdm(REWARDS):
        rows += in_turns(
            other,
            f"instant head, {reward}",
            lambda number, r=reward: instant_head.move(head, dev, path[number % MOVES], r)[0],
        )
    return rows


def main() -> None:
    with OtherTraining() as other:
        table = pd.DataFrame(live_lab(other) + heads(other))
    rows = []
    for what, times in table.groupby("what", sort=False):
        alone, beside = (times["ms"][times["beside"] == b].tolist() for b in (False, True))
        rows.append(
            {
                "what": what,
                "alone, median ms": median(alone),
                "beside, median ms": median(beside),
                "beside, 95 % ms": quantiles(beside, n=20, method="inclusive")[-1],
                "ratio": median(beside) / median(alone),
            }
        )
    table = pd.DataFrame(rows)
    about = f"python -m tests.benchmarks.beside_training; {TURNS * MOVES} moves each; "
    about += ", ".join(
        f"{one} {version(one)}" for one in ("jupyterlab", "ipywidgets", "matplotlib", "torch")
    )
    with OUT.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}\n")
        table.round(2).to_csv(file, index=False)
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
