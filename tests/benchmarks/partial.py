"""Measure what training only some of the weights costs: F1, trainable weights, memory and time.

    python -m tests.benchmarks.partial

fine-tunes MiniLM on the first sentences of the newswire in eight ways, with a few seeds each, and
writes data/results/partial.csv, one row per way. Each run has a process of its own, so that its
memory is its own; each seed begins with another way, so that a machine that slows down for a minute
favours nobody. Let nothing else run meanwhile.

Batches are padded. Where the weights themselves are trained, the learning rate is the kit's
default. Adapters and a head alone need another one: theirs is chosen from `RATES` by the F1 on dev
with the first seed. Nothing is tested on the best of its epochs but on the last, so that nothing
but training is timed and measured.

Columns: "peak MB" is the largest resident memory of the process up to the last step, "start MB" the
same before the first; the difference is at least what training itself takes (activations,
gradients, the optimizer's state). Seconds and tokens (padding not counted) are of the steps alone;
medians over the seeds.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from rmlib.text.corpora import data_dir, newswire
from rmlib.training.config import Config
from rmlib.training.runs import versions

ROOT = Path(__file__).parents[2]
RATES = (5e-4, 1e-3, 2e-3, 5e-3)
WAYS = {
    "everything": {"freeze": "none"},
    "frozen: word and position tables": {"freeze": "embeddings"},
    "frozen: embeddings, 2 layers": {"freeze": "2"},
    "frozen: embeddings, 4 layers": {"freeze": "4"},
    "frozen: encoder": {"freeze": "encoder"},
    "everything, layer_decay 0.9": {"freeze": "none", "layer_decay": 0.9},
    "lora 4": {"lora": 4},
    "lora 16": {"lora": 16},
}
CHOOSES = ("frozen: encoder", "lora 4", "lora 16")


def one(sentences: int, settings: dict) -> dict:
    """Make one run in this process and return its scores, memory and time."""
    import resource

    os.environ["ACCELERATE_USE_CPU"] = "1"  # the memory that is measured is this process's
    import peft  # noqa: F401  (in every run, so that its code counts in all of them or in none)
    from transformers.utils import logging

    from rmlib.models.encoder import new_tagger
    from rmlib.models.lora import merge_lora
    from rmlib.training.loop import Training
    from rmlib.training.runs import evaluate

    logging.set_verbosity_error()
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes on macOS, kB elsewhere

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

    config = Config(**settings)
    corpus = newswire()
    tagger = new_tagger(corpus.tags, seed=config.seed)
    training = Training(tagger, tagger.encode(corpus.train[:sentences]).examples, config)
    start = peak()
    tokens = sum(step.tokens for step in training)
    measured = {
        "start": start,
        "peak": peak(),
        "trainable": training.trainable,
        "precision": training.precision,
    }
    measured["state"] = sum(
        value.numel() * value.element_size()
        for state in training.optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    )
    merge_lora(tagger.model)
    return measured | {
        "dev": evaluate(tagger, corpus.dev)["f1"],
        "test": evaluate(tagger, corpus.test)["f1"],
        "seconds": training.seconds / config.epochs,
        "speed": tokens / training.seconds,
    }


def in_a_process_of_its_own(sentences: int, settings: dict) -> dict:
    command = [sys.executable, "-m", "tests.benchmarks.partial", "--sentences", str(sentences)]
    done = subprocess.run(
        [*command, "--one", json.dumps(settings)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(sentences: int, epochs: int, seeds: int) -> list[dict]:
    """Make all runs; one row per way."""
    rates = {name: Config().lr for name in WAYS}
    tried: dict[str, dict[float, float]] = {}
    runs: dict[str, list[dict]] = {name: [] for name in WAYS}

    def run(name: str, seed: int, lr: float) -> dict:
        settings = {"epochs": epochs, "seed": seed, "lr": lr, "packed": "no"} | WAYS[name]
        measured = in_a_process_of_its_own(sentences, settings)
        numbers = "dev F1 {dev:.3f}, {seconds:.1f} s per epoch, {peak:.0f} MB".format(**measured)
        print(f"{name}, seed {seed}, lr {lr:g}: {numbers}", file=sys.stderr, flush=True)
        return measured

    for name in CHOOSES:
        tried[name] = {lr: run(name, 0, lr)["dev"] for lr in RATES}
        rates[name] = max(tried[name], key=tried[name].get)
    for seed in range(seeds):
        names = list(WAYS)
        for name in names[seed % len(names) :] + names[: seed % len(names)]:
            runs[name].append(run(name, seed, rates[name]))

    def row(name: str) -> dict:
        of = {key: [measured[key] for measured in runs[name]] for key in runs[name][0]}
        middle = {key: statistics.median(of[key]) for key in ("start", "peak", "seconds", "speed")}
        return {
            "setting": name,
            "lr": f"{rates[name]:g}",
            "trainable parameters": of["trainable"][0],
            "optimizer state bytes": of["state"][0],
            "start MB": f"{middle['start']:.0f}",
            "peak MB": f"{middle['peak']:.0f}",
            "seconds per epoch": f"{middle['seconds']:.2f}",
            "tokens/s": f"{middle['speed']:.0f}",
            "test F1": f"{statistics.mean(of['test']):.4f}",
            "standard deviation": f"{statistics.stdev(of['test']):.4f}" if seeds > 1 else "",
            "lowest": f"{min(of['test']):.4f}",
            "highest": f"{max(of['test']):.4f}",
            "precision": of["precision"][0],
            "dev F1 by lr": "; ".join(
                f"{lr:g}: {f1:.4f}" for lr, f1 in tried.get(name, {}).items()
            ),
        }

    return [row(name) for name in WAYS]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.partial", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--sentences", type=int, default=1000, help="the first N of the newswire's training part"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=data_dir() / "results" / "partial.csv")
    # what a child process is given
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        print(json.dumps(one(chosen.sentences, chosen.one)))
        return
    rows = measure(chosen.sentences, chosen.epochs, chosen.seeds)
    command = f"{parser.prog} --sentences {chosen.sentences}"
    command += f" --epochs {chosen.epochs} --seeds {chosen.seeds}"
    about = ", ".join(f"{package} {number}" for package, number in versions("peft").items())
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    with open(chosen.out, "w", newline="", encoding="utf8") as file:
        file.write(f"# {command}; {about}; CPU threads {torch.get_num_threads()}\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(chosen.out.read_text(encoding="utf8"))


if __name__ == "__main__":
    main()
