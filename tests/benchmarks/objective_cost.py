"""Measure what the objective costs beside plain cross-entropy, forward and backward.

    python -m tests.benchmarks.objective_cost        # writes data/results/objective_cost.csv

One batch of 4,096 words in 9 classes (128 sentences of 32), one word in six in a name, as in the
newswire. Medians of rounds in which every reward takes its turn; the ratio is taken within a round,
since a shared machine is noisy. Beside it, one training step of MiniLM on as many subword tokens.
"""

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from tqdm.auto import trange

from rmlib import RewardObjective
from rmlib.loss.rewards import REWARDS
from rmlib.models.encoder import new_tagger
from rmlib.text.corpora import newswire
from rmlib.training.config import Config
from rmlib.training.loop import Training

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "objective_cost.csv"
ROUNDS, TURNS = 40, 5


def batch(seed: int = 0):
    """Random logits (128, 32, 9) and labels (128, 32), with tags in the order of `Corpus.tags`."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(128, 32, 9, generator=random)
    labels = torch.randint(1, 9, (128, 32), generator=random)
    labels[torch.rand(128, 32, generator=random) > 1 / 6] = 0
    return logits.requires_grad_(), labels


def seconds(loss, logits) -> float:
    """Median time of one forward and backward."""
    times = []
    for _ in range(TURNS):
        start = perf_counter()
        torch.autograd.grad(loss(), logits)
        times.append(perf_counter() - start)
    return median(times)


def bert_step(steps: int = 7) -> float:
    """Median seconds of a training step of the kit on batches of about 4,096 subword tokens."""
    corpus = newswire()
    tagger = new_tagger(corpus.tags)
    training = Training(tagger, tagger.encode(corpus.train).examples, Config(max_tokens=4096))
    ends = [step.seconds for step, _ in zip(training, range(steps), strict=False)]
    return median(end - start for start, end in zip(ends, ends[1:], strict=False))


def main() -> None:
    logits, labels = batch()

    def plain():
        return cross_entropy(logits.reshape(-1, 9), labels.reshape(-1))

    objectives = {name: RewardObjective(1.0, name) for name in REWARDS}
    losses = {name: (lambda o=o: o(logits, labels).total) for name, o in objectives.items()}
    for loss in (plain, *losses.values()):
        seconds(loss, logits)
    times = {name: [] for name in losses}
    for _ in trange(ROUNDS, desc="rounds"):
        beside = seconds(plain, logits)
        for name, loss in losses.items():
            times[name].append((seconds(loss, logits), beside))
    step = bert_step()
    rows = []
    for name, pairs in times.items():
        ratios = sorted(own / beside for own, beside in pairs)
        low, high = ratios[ROUNDS // 20], ratios[-1 - ROUNDS // 20]
        rows.append(
            {
                "reward": name,
                "ms": f"{1000 * median(own for own, _ in pairs):.2f}",
                "cross-entropy ms": f"{1000 * median(beside for _, beside in pairs):.2f}",
                "ratio": f"{median(ratios):.2f}",
                "of a BERT step": f"{100 * median(own for own, _ in pairs) / step:.2f} %",
                "ratio, 5 % to 95 %": f"{low:.2f} to {high:.2f}",
            }
        )
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()))
    about = "python -m tests.benchmarks.objective_cost; 4096 words, 9 classes, fp32, CPU, "
    about += f"{torch.get_num_threads()} threads; torch {torch.__version__}, "
    about += f"Python {sys.version.split()[0]}"
    with OUT.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}; a step of MiniLM on 4096 tokens takes {step:.2f} s\n")
        pd.DataFrame(rows).to_csv(file, index=False)


if __name__ == "__main__":
    main()
