"""One whole run: from a corpus to a folder with the model, history.csv and metrics.json."""

import csv
import json
import math
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from tqdm.auto import tqdm

from rmlib.errors import RmlibError
from rmlib.models.encoder import Tagger, new_tagger
from rmlib.models.lora import merge_lora
from rmlib.text.conll import Sentence
from rmlib.text.corpora import Corpus
from rmlib.text.metrics import entity_scores

from .config import Config
from .loop import Step, Training, to_floats

READ_EVERY = 20  # steps between two transfers of numbers from a GPU
HISTORY = [field for field in Step._fields if field != "scores"] + ["dev_f1"]
VERSIONS = ("rmlib-course", "torch", "transformers", "accelerate", "tokenizers", "seqeval")


def evaluate(tagger: Tagger, sentences: list[Sentence]) -> dict:
    """`metrics.entity_scores` of a tagger on labelled sentences; truncated words count as O."""
    gold = [sentence.tags for sentence in sentences]
    return entity_scores(gold, tagger.tag([sentence.words for sentence in sentences]))


def train_tagger(
    corpus: Corpus,
    config: Config | None = None,
    encoder: str = "minilm",
    dropout: float = 0.1,
    out=None,
    progress: bool = True,
) -> tuple[Tagger, list[dict], dict]:
    """Fine-tune a tagger, choose the best epoch on dev, and score it once on test.

    Args:
        corpus: train, dev and test sentences.
        config: the settings of the run.
        encoder, dropout: of `encoder.new_tagger`.
        out: a folder for the results. An interrupted run resumes from its last checkpoint.
        progress: show a progress bar.

    Returns:
        (tagger, history: one dict per step, metrics as in metrics.json).

    Raises:
        RmlibError: `out` holds a finished run, or one with other settings.
    """
    begin = perf_counter()
    config = config or Config()
    out = Path(out) if out else None
    if out and (out / "metrics.json").exists():
        raise RmlibError(
            f"{out} holds a finished run; give another folder, or delete this one first"
        )
    tagger = new_tagger(corpus.tags, encoder, dropout, config.seed)
    encoded = tagger.encode(corpus.train)
    training = Training(
        tagger,
        encoded.examples,
        config,
        score=lambda: evaluate(tagger, corpus.dev),
        checkpoint=out / "checkpoint.safetensors" if out else None,
    )
    is_main = training.accelerator.is_main_process
    history = read_history(out / "history.csv", training.step) if out else []
    if out and is_main:
        out.mkdir(parents=True, exist_ok=True)
        write_history(out / "history.csv", history)

    training.lazy = True  # a GPU that has to hand over its numbers at every step stands still
    every = READ_EVERY if training.accelerator.device.type == "cuda" else 1
    hidden = not (progress and is_main)
    bar = tqdm(total=len(training), initial=training.step, disable=hidden, unit="step")
    dev_f1 = math.nan
    pending: list[Step] = []
    for step in training:
        pending.append(step)
        if step.scores is None and step.step % every and step.step % config.checkpoint_every:
            continue
        start = perf_counter()
        rows = [_row(one) for one in to_floats(pending)]
        training.seconds += perf_counter() - start  # here the GPU is waited for
        pending = []
        history += rows
        if out and is_main:
            write_history(out / "history.csv", rows, append=True)
        if step.scores:
            dev_f1 = step.scores["f1"]
        bar.set_postfix(loss=f"{rows[-1]['total']:.3f}", dev_f1=f"{dev_f1:.3f}")
        bar.update(len(rows))
    bar.close()

    merge_lora(tagger.model)  # before the scores, which are those of the stored weights
    tokens = sum(row["tokens"] for row in history)
    metrics = {
        "dev": evaluate(tagger, corpus.dev),
        "test": evaluate(tagger, corpus.test),
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "tokens_per_second": round(tokens / max(training.seconds, 1e-9), 1),
        "seconds": round(perf_counter() - begin, 1),  # since the start, or since it resumed
        "trainable_parameters": training.trainable,
        "cut": {
            "sentences": encoded.truncated_sentences,
            "words": encoded.truncated_words,
            "entities": encoded.truncated_entities,
        },
        "config": asdict(config) | {"alpha": config.alpha if config.alpha < math.inf else "inf"},
        "corpus": corpus.name,
        "sentences": {name: len(getattr(corpus, name)) for name in ("train", "dev", "test")},
        "encoder": encoder,
        "dropout": dropout,
        "precision": training.precision,
        "device": training.accelerator.device.type,
        "processes": training.accelerator.num_processes,
        "versions": versions("peft") if config.lora else versions(),
    }
    if out and is_main:
        tagger.save(out)
        partial = out / "metrics.partial"  # metrics.json marks a finished run: all of it or none
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf8")
        os.replace(partial, out / "metrics.json")
        training.checkpoint.unlink(missing_ok=True)
    return tagger, history, metrics


def versions(*more: str) -> dict[str, str]:
    """Versions of Python, of the packages that determine the numbers, and of `more` packages."""
    packages = {name: version(name) for name in (*VERSIONS, *more)}
    return {"python": platform.python_version()} | packages


def read_history(path, up_to_step: float = math.inf) -> list[dict]:
    """The rows of history.csv up to a step, that of the checkpoint a run resumes from."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf8") as file:
        complete = [row for row in csv.DictReader(file) if None not in row.values()]
    return [_parse(row) for row in complete if int(row["step"]) <= up_to_step]


def write_history(path, rows: list[dict], append: bool = False):
    """Write rows to a CSV file with the columns `HISTORY`.

    Without `append` the rows replace what the file holds, atomically.
    """
    target = Path(path) if append else Path(path).with_suffix(".partial")
    with open(target, "a" if append else "w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, HISTORY)
        if not append:
            writer.writeheader()
        writer.writerows(rows)
    if not append:
        os.replace(target, path)


def _row(step: Step) -> dict:
    row = step._asdict()
    scores = row.pop("scores")
    return row | {"dev_f1": scores["f1"] if scores else ""}


def _parse(row: dict[str, str]) -> dict:
    types = {"step": int, "epoch": int, "tokens": int, "reward_type": str}
    return {name: types.get(name, float)(text) if text else "" for name, text in row.items()}
