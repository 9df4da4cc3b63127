"""Draw data/results/learning_curves.png from two runs of the command line.

    python data/make_figure.py [FOLDER FOLDER]

The folders are what `rmlib train --out` wrote; without them, the two runs (alpha 0 and 1, default
settings otherwise) are made first, in runs/.
"""

import sys
from pathlib import Path

from rmlib.plots import figures
from rmlib.text import corpora
from rmlib.training import runs
from rmlib.training.config import Config

folders = [Path(name) for name in sys.argv[1:]] or [
    Path("runs") / f"newswire-soft_f1-alpha{a}-seed0" for a in (0, 1)
]
for alpha, folder in enumerate(folders):
    if not (folder / "metrics.json").exists():
        runs.train_tagger(corpora.newswire(), Config(alpha=float(alpha)), out=folder)
histories = {
    f"α = {alpha}": runs.read_history(folder / "history.csv")
    for alpha, folder in enumerate(folders)
}
target = Path(__file__).parent / "results" / "learning_curves.png"
figure = figures.learning_curves(histories)
figure.savefig(target, dpi=110)
print(target.name, figure.get_label(), sep=": ")
