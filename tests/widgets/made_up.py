"""Made-up data for the widgets: features of tagged sentences, and the table of a study."""

import math

import numpy as np
import pandas as pd
import torch

from rmlib.text.conll import Sentence
from rmlib.widgets.instant_head.frozen_features import Features

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
GRID = [("ce", 0.0), ("ce, half lr", 0.0)] + [
    (method, alpha) for method in ("soft_f1", "<b>$x$</b>") for alpha in (0.3, 10.0, math.inf)
]


def made_up_features(sentences: int, seed: int) -> Features:
    """Sentences with names, and features that separate the tags only in part."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(5, 6))
    tagged, rows = [], []
    for _ in range(sentences):
        tags: list[str] = []
        while len(tags) < 8:
            kind = rng.choice(["O", "O", "O", "PER", "LOC"])
            tags += ["O"] if kind == "O" else [f"B-{kind}", f"I-{kind}"][: rng.integers(1, 3)]
        tagged.append(Sentence(tuple(f"w{i}" for i in range(len(tags))), tuple(tags)))
        rows += [centres[TAGS.index(tag)] + 0.7 * rng.normal(size=6) for tag in tags]
    x = torch.tensor(np.array(rows)).float()
    y = torch.tensor([TAGS.index(tag) for sentence in tagged for tag in sentence.tags])
    return Features(x, y, [len(sentence.words) for sentence in tagged], tagged, TAGS, 0)


def made_up_study(seeds: int = 5) -> pd.DataFrame:
    """A study of NER with made-up numbers; "soft_f1" at 10 is .05 better than the control."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        shift = rng.normal(0, 0.02)  # of a seed, the same for all cells
        for method, alpha in GRID:
            gain = 0.05 if (method, alpha) == ("soft_f1", 10) else 0
            f1 = 0.8 + shift + rng.normal(0, 0.003) + gain
            if (method, alpha) == ("<b>$x$</b>", math.inf):
                f1 = 0.1 + shift
            rows.append(
                {
                    "seed": seed,
                    "method": method,
                    "alpha": alpha,
                    "f1": f1,
                    "missing": 20 + seed,
                    "L_p": f"2.0 1.0 {0.1 + seed}",
                    "L_r": "0.9 0.5 0.25",
                    "dev_curve": f"{f1 - 0.1:.4f} {f1:.4f}",
                }
            )
    return pd.DataFrame(rows)
