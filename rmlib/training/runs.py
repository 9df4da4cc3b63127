"""One whole run: a corpus in, a folder out, with the model, a row a step in history.csv, and metrics.json."""

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
from .loop import Step, Training, read

READ_EVERY = 20  # steps, on a GPU
HISTORY = [field for field in Step._fields if field != "scores"] + ["dev_f1"]


def evaluate(tagger: Tagger, sentences: list[Sentence]) -> dict:
    """`metrics.entity_scores` of a tagger on labelled sentences; what was cut off counts as missed."""
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
    """Fine-tune a tagger on a corpus, choose the best epoch on its dev part and score it once on its test part.

    Args:
        corpus: train, dev and test sentences.
        config: see `Config`; encoder, dropout: see `encoder.new_tagger`.
        out: a folder for the results. A run that was cut off goes on where its last checkpoint is.
        progress: show a bar.

    Returns:
        (tagger, history: one dict a step, metrics as in metrics.json).

    Raises:
        RmlibError: `out` holds a finished run, or one with other settings.
    """
    config = config or Config()
    begin = perf_counter()
    out = Path(out) if out else None
    if out and (out / "metrics.json").exists():
        raise RmlibError(f"{out} holds a finished run; give another folder, or delete this one first")
    tagger = new_tagger(corpus.tags, encoder, dropout, config.seed)
    encoded = tagger.encode(corpus.train)
    checkpoint = out / "checkpoint.safetensors" if out else None
    score = lambda: evaluate(tagger, corpus.dev)  # noqa: E731
    training = Training(tagger, encoded.examples, config, score, checkpoint)
    main = training.accelerator.is_main_process
    history = read_history(out / "history.csv", training.step) if out else []
    if out and main:
        out.mkdir(parents=True, exist_ok=True)
        write_history(out / "history.csv", history)
    bar = tqdm(total=len(training), initial=training.step, disable=not (progress and main), unit="step")
    f1, waiting = math.nan, []
    training.lazy = True  # a GPU is asked for its numbers once in a while: to wait for them stops it
    every = READ_EVERY if training.accelerator.device.type == "cuda" else 1
    for step in training:
        waiting.append(step)
        if step.scores is None and step.step % every and step.step % config.checkpoint_every:
            continue
        start = perf_counter()
        rows = [_row(one) for one in read(waiting)]
        training.seconds += perf_counter() - start  # a GPU is waited for here
        waiting = []
        history += rows
        if out and main:
            write_history(out / "history.csv", rows, append=True)
        f1 = step.scores["f1"] if step.scores else f1
        bar.set_postfix(loss=f"{rows[-1]['total']:.3f}", dev_f1=f"{f1:.3f}")
        bar.update(len(rows))
    bar.close()
    merge_lora(tagger.model)  # before the scores: they are of the weights that are stored
    metrics = {
        "dev": evaluate(tagger, corpus.dev),
        "test": evaluate(tagger, corpus.test),
        "best_epoch": training.best_epoch,
        "steps": training.step,
        "pieces_per_second": round(sum(row["pieces"] for row in history) / max(training.seconds, 1e-9), 1),
        "seconds": round(perf_counter() - begin, 1),  # of this process: after a resume, since the resume
        "trainable_parameters": training.trainable,
        "cut": {"sentences": encoded.cut_sentences, "words": encoded.lost_words, "entities": encoded.lost_entities},
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
    if out and main:
        tagger.save(out)
        partial = out / "metrics.partial"  # metrics.json says that the run is finished, so it is there whole or not
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf8")
        os.replace(partial, out / "metrics.json")
        checkpoint.unlink(missing_ok=True)
    return tagger, history, metrics


def _row(step: Step) -> dict:
    row = step._asdict() | {"dev_f1": step.scores["f1"] if step.scores else ""}
    row.pop("scores")
    return row


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers, and of `more` packages."""
    packages = ("rmlib-course", "torch", "transformers", "accelerate", "tokenizers", "seqeval", *more)
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def read_history(path, up_to_step: float = math.inf) -> list[dict]:
    """The rows of history.csv, up to a step: after a cut, what came later than the checkpoint is made again."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]  # the last may be half written
    return [_typed(row) for row in rows if int(row["step"]) <= up_to_step]


def _typed(row: dict[str, str]) -> dict:
    kinds = dict.fromkeys(("step", "epoch", "pieces"), int) | {"reward_type": str}
    return {key: value if value == "" else kinds.get(key, float)(value) for key, value in row.items()}


def write_history(path, rows: list[dict], append: bool = False):
    """Write rows to a CSV file with the columns `HISTORY`; without `append`, in place of what it holds, atomically."""
    target = Path(path) if append else Path(path).with_suffix(".partial")
    with open(target, "a" if append else "w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, HISTORY)
        if not append:
            writer.writeheader()
        writer.writerows(rows)
    if not append:
        os.replace(target, path)
