"""How fast is the kit's loop? Three loops, one after the other, on the same sentences, model and trained weights.

    python -m tests.benchmarks.speed

prints a markdown table and writes data/results/speed.csv. The loops:

- the article's: every sentence padded to 128 pieces, 16 sentences a batch, all 128 positions computed;
- transformers.Trainer with its dynamic padding and grouping by length, at several batch sizes;
- the kit's `Training` with its defaults.

Speed is in pieces that matter (word pieces without padding) per second. Each round runs every loop once, each
round begins with another loop, and a ratio is taken inside a round before the median over the rounds, so that a
machine that slows down for a minute favours nobody. Let nothing else run on the machine meanwhile.
"""

import argparse
import contextlib
import copy
import csv
import gc
import io
import statistics
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import torch
from accelerate.state import AcceleratorState
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments
from transformers.utils import logging

from rmlib.batches import batches, collate
from rmlib.config import Config, pick_precision
from rmlib.corpora import Corpus, data_dir, newswire
from rmlib.encoder import Tagger, freeze, new_tagger
from rmlib.objective import RewardObjective
from rmlib.runs import evaluate, versions
from rmlib.training import Training

WIDTH, ARTICLE_BATCH = 128, 16  # the article's


def train_article(tagger: Tagger, examples: list, config: Config, bf16: bool):
    """The article's loop: one width for all, padding labelled O and counted in the loss. The sentences are padded
    once, before the clock starts; the article does it again in every epoch."""
    freeze(tagger.model, config.freeze)
    whole = collate(examples, tagger.tokenizer.pad_token_id, tagger.case)
    fill = {"input_ids": tagger.tokenizer.pad_token_id}  # 0 for the rest, also for the labels: O
    whole["labels"][whole["attention_mask"] == 0] = 0
    whole = {k: torch.nn.functional.pad(v, (0, WIDTH - v.shape[1]), value=fill.get(k, 0)) for k, v in whole.items()}
    data = torch.utils.data.TensorDataset(*whole.values())
    model = tagger.model.train()
    yield
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=config.lr)
    for _ in range(config.epochs):
        epoch_loss = 0.0
        for batch in torch.utils.data.DataLoader(data, batch_size=ARTICLE_BATCH, shuffle=True):
            model.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(**dict(zip(whole, batch, strict=True))).loss
            epoch_loss += loss.item()
            loss.backward()
            optimizer.step()


def train_trainer(tagger: Tagger, examples: list, config: Config, bf16: bool, batch: int):
    """transformers.Trainer with the kit's objective and settings; it logs, evaluates and saves nothing."""
    freeze(tagger.model, config.freeze)
    data = [
        {"input_ids": e.input_ids, "attention_mask": [1] * len(e), "token_type_ids": e.case, "labels": e.labels}
        for e in examples
    ]
    with tempfile.TemporaryDirectory() as folder:
        yield
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=batch,
            train_sampling_strategy="group_by_length",
            num_train_epochs=config.epochs,
            learning_rate=config.lr,
            weight_decay=config.weight_decay,
            warmup_steps=config.warmup,  # below 1 it is a share of all steps
            max_grad_norm=config.clip,
            bf16=bf16,
            use_cpu=True,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            tagger.model,
            arguments,
            data_collator=DataCollatorForTokenClassification(tagger.tokenizer),
            train_dataset=data,
            compute_loss_func=RewardObjective(config.alpha, config.reward),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a summary
            trainer.train()


def train_kit(tagger: Tagger, examples: list, config: Config, bf16: bool):
    """The kit's loop with its defaults, but for the precision asked for."""
    yield
    for _ in Training(tagger, examples, replace(config, precision="bf16" if bf16 else "fp32")):
        pass


LOOPS = {
    "the kit": train_kit,
    "the article's loop": train_article,
    **{f"Trainer, batch {size}": partial(train_trainer, batch=size) for size in (8, 16, 32)},
}


def pieces_per_second(loop, tagger: Tagger, examples: list, config: Config, bf16: bool) -> float:
    """One run of a loop on a copy of the tagger. A loop prepares its data up to its `yield`; the rest is timed, the
    making of the optimizer and of the Trainer included."""
    AcceleratorState._reset_state(reset_partial_state=True)  # else one loop would inherit another's precision
    gc.collect()
    torch.manual_seed(config.seed)
    run = loop(copy.deepcopy(tagger), examples, config, bf16)
    next(run)
    wall, cpu = perf_counter(), process_time()
    for _ in run:
        pass
    wall, cpu = perf_counter() - wall, process_time() - cpu
    speed = sum(map(len, examples)) * config.epochs / wall
    used = cpu / wall / torch.get_num_threads()
    print(f"{speed:.0f} pieces/s; it got {used:.0%} of its CPU threads", file=sys.stderr, flush=True)
    return speed


def compare(tagger: Tagger, examples: list, config: Config, rounds: int) -> list[dict]:
    """Every loop in fp32 and in bf16, a row each, after a short run of each that warms up."""
    runs = [(name, precision) for precision in ("fp32", "bf16") for name in LOOPS]
    speeds: dict[tuple, list[float]] = {run: [] for run in runs}
    for number in range(rounds + 1):
        turn = number % len(runs)
        for name, precision in runs[turn:] + runs[:turn]:
            print(f"round {number}, {name}, {precision}: ", end="", file=sys.stderr)
            data = examples if number else examples[:64]
            speed = pieces_per_second(LOOPS[name], tagger, data, config, precision == "bf16")
            if number:
                speeds[name, precision].append(speed)

    def times(kit_precision, run):
        kit = speeds["the kit", kit_precision]
        return f"{statistics.median(k / s for k, s in zip(kit, speeds[run], strict=True)):.2f}"

    return [
        {
            "loop": name,
            "precision": precision,
            "pieces/s": f"{statistics.median(speeds[name, precision]):.0f}",
            "lowest": f"{min(speeds[name, precision]):.0f}",
            "highest": f"{max(speeds[name, precision]):.0f}",
            "kit in the same precision": times(precision, (name, precision)),
            "kit as it comes": times(pick_precision("auto", torch.device("cpu")), (name, precision)),
        }
        for name, precision in runs
    ]


def objective_share(tagger: Tagger, examples: list, config: Config) -> list[dict]:
    """The objective's forward and backward on the batches of one epoch, beside the steps of that epoch."""
    rows = []
    for precision in ("fp32", "bf16"):
        for reward in ("expected_accuracy", "soft_f1", "soft_f1_macro"):  # objective_cost.py has all of them
            AcceleratorState._reset_state(reset_partial_state=True)
            settings = replace(config, precision=precision, reward=reward, epochs=1)
            training = Training(copy.deepcopy(tagger), examples, settings)
            steps = [step.seconds for step in training][-1]
            objective = 0.0
            for group in batches(training.lengths, config.budget, config.seed):
                labels = collate([examples[i] for i in group])["labels"]
                logits = torch.randn(*labels.shape, len(tagger.labels), requires_grad=True)
                start = perf_counter()
                torch.autograd.grad(training.objective(logits, labels).total, logits)
                objective += perf_counter() - start
            milliseconds = [f"{1000 * total / len(training):.2f}" for total in (objective, steps)]
            rows.append(
                {
                    "reward": reward,
                    "precision": precision,
                    "objective (ms)": milliseconds[0],
                    "step (ms)": milliseconds[1],
                    "share (%)": f"{100 * objective / steps:.2f}",
                }
            )
    return rows


def epoch_shares(tagger: Tagger, corpus: Corpus, config: Config) -> list[dict]:
    """Where the seconds of one epoch of the whole corpus go, as `rmlib train` runs it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    seconds = {"steps": 0.0, "evaluation": 0.0, "checkpoints": 0.0}

    def timed(what, function):
        def call():
            start = perf_counter()
            result = function()
            seconds[what] += perf_counter() - start
            return result

        return call

    tagger = copy.deepcopy(tagger)
    with tempfile.TemporaryDirectory() as folder:
        score = timed("evaluation", lambda: evaluate(tagger, corpus.dev))
        training = Training(tagger, tagger.encode(corpus.train).examples, config, score, Path(folder) / "checkpoint")
        training._save = timed("checkpoints", training._save)
        seconds["steps"] = [step.seconds for step in training][-1]
    whole = sum(seconds.values())
    return [
        {"one epoch": what, "seconds": f"{s:.2f}", "share (%)": f"{100 * s / whole:.1f}"} for what, s in seconds.items()
    ]


def markdown(rows: list[dict]) -> str:
    """A table of rows that share their keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__.split("\n")[0])
    parser.add_argument("--sentences", type=int, default=2030, help="the first N of the newswire's training part")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="beside a short one that warms up")
    parser.add_argument("--out", type=Path, default=data_dir() / "results" / "speed.csv")
    chosen = parser.parse_args()
    logging.set_verbosity_error()
    corpus = newswire()
    tagger = new_tagger(corpus.tags)
    examples = tagger.encode(corpus.train[: chosen.sentences]).examples
    config = Config(epochs=chosen.epochs)
    tables = [
        compare(tagger, examples, config, chosen.rounds),
        objective_share(tagger, examples, config),
        epoch_shares(tagger, corpus, replace(config, epochs=1)),
    ]
    for table in tables:
        print(markdown(table))
    command = f"{parser.prog} --sentences {chosen.sentences} --epochs {chosen.epochs} --rounds {chosen.rounds}"
    about = ", ".join(f"{package} {number}" for package, number in versions().items())
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    with open(chosen.out, "w", newline="", encoding="utf8") as file:
        file.write(f"# {command}; {about}; CPU threads {torch.get_num_threads()}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "precision", "quantity", "value"])
        for row in (row for table in tables for row in table):
            (_, what), *quantities = row.items()
            writer.writerows([what, row.get("precision", ""), *pair] for pair in quantities if pair[0] != "precision")


if __name__ == "__main__":
    main()
