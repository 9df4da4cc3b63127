"""One whole run: from a corpus to a folder with the model, history.csv and metrics.json."""

import csv
import hashlib
import json
import math
import os
import platform
import zlib
from contextlib import nullcontext
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
from rmlib.text.files import read_table
from rmlib.text.metrics import entity_scores
from rmlib.text.word_split import word_lengths

from .config import Config
from .locks import held, writing
from .loop import Step, Training, to_floats
from .setup import launched_processes, make_accelerator

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
        RmlibError: `out` holds a finished run, one with other settings or other sentences, or one
            that is running; or it cannot be written.
        NotFiniteError: a loss, a gradient or weights are not finite. The checkpoint holds the last
            weights that were.
    """
    out = Path(out) if out else None
    is_main = make_accelerator().is_main_process
    with held(out) if out and is_main else nullcontext():
        return _train(corpus, config or Config(), (encoder, dropout), out, progress and is_main)


def _train(
    corpus: Corpus, config: Config, encoder_dropout: tuple, out: Path | None, progress: bool
) -> tuple[Tagger, list[dict], dict]:
    encoder, dropout = encoder_dropout
    begin = perf_counter()
    if out and (out / "metrics.json").exists():
        raise RmlibError(
            f"{out} holds a finished run; give another folder, or delete this one first"
        )
    corpus.check()
    tagger = new_tagger(corpus.tags, encoder, dropout, config.seed)
    words = (word for sentence in corpus.train for word in sentence.words)
    tagger.model.config.word_lengths = word_lengths(words)  # for `rmlib predict`
    encoded = tagger.encode(corpus.train)
    training = Training(
        tagger,
        encoded.examples,
        config,
        score=lambda: evaluate(tagger, corpus.dev),
        checkpoint=out / "checkpoint.safetensors" if out else None,
        identity=checksums(corpus),
    )
    is_main = training.accelerator.is_main_process
    history = read_history(out / "history.csv", training.step) if out else []
    if out and is_main:
        write_history(out / "history.csv", history)

    # a GPU that has to hand over its numbers at every step stands still
    training.lazy = training.accelerator.device.type == "cuda"
    every = READ_EVERY if training.lazy else 1
    dev_f1 = math.nan
    pending: list[Step] = []
    with tqdm(total=len(training), initial=training.step, disable=not progress, unit="step") as bar:
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
            name: tagger.encode(getattr(corpus, name)).counts() for name in ("train", "dev", "test")
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
        with writing(out):
            tagger.save(out)
            partial = out / "metrics.partial"  # metrics.json marks a finished run: all or none
            partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf8")
            os.replace(partial, out / "metrics.json")
            training.checkpoint.unlink(missing_ok=True)
    return tagger, history, metrics


def checksums(corpus: Corpus) -> dict[str, int]:
    """A checksum of the words and tags of each part of a corpus, whatever its name."""
    parts = {name: repr(list(getattr(corpus, name))) for name in ("train", "dev", "test")}
    return {f"{name} sentences (a checksum)": zlib.crc32(t.encode()) for name, t in parts.items()}


def run_name(corpus: Corpus, config: Config, encoder: str, dropout: float) -> str:
    """The name of a run's folder; its end tells runs apart that differ in anything."""
    accumulate = config.accumulate * launched_processes()  # as many parts of a step
    settings = asdict(config) | {"accumulate": accumulate, "encoder": encoder, "dropout": dropout}
    text = repr(sorted((settings | checksums(corpus)).items()))
    name = Path(corpus.name).name.replace(":", "-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{name}-{config.reward}-alpha{config.alpha:g}-seed{config.seed}-{digest}"


def versions(*more: str) -> dict[str, str]:
    """Versions of Python, of the packages that determine the numbers, and of `more` packages."""
    packages = {name: version(name) for name in (*VERSIONS, *more)}
    return {"python": platform.python_version()} | packages


def read_history(path, up_to_step: float = math.inf) -> list[dict]:
    """The rows of history.csv up to a step, that of the checkpoint a run resumes from.

    Raises:
        RmlibError: columns or rows are missing or double, or a value is no number.
    """
    if not Path(path).exists():
        return []
    _, table = read_table(path)
    if missing := [name for name in HISTORY if table and name not in table[0]]:
        raise RmlibError(f"{path} has no column {missing[0]}; expected {', '.join(HISTORY)}")
    rows = sorted((_parse(row, path) for row in table), key=lambda row: row["step"])
    rows = [row for row in rows if row["step"] <= up_to_step]
    for before, row in zip(rows, rows[1:], strict=False):
        if row["step"] != before["step"] + 1:
            steps = f"step {row['step']} after step {before['step']}"
            raise RmlibError(f"{path} has {steps}; expected each step once: restore the file")
    return rows


def write_history(path, rows: list[dict], append: bool = False):
    """Write rows to a CSV file with the columns `HISTORY`.

    Without `append` the rows replace what the file holds, atomically.
    """
    target = Path(path) if append else Path(path).with_suffix(".partial")
    with writing(path):
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


def _parse(row: dict[str, str], path) -> dict:
    types = {"step": _whole, "epoch": _whole, "tokens": _whole, "reward_type": str}
    try:
        cells = {name: row[name] for name in HISTORY}
        return {n: types.get(n, float)(t) if t or n != "dev_f1" else "" for n, t in cells.items()}
    except ValueError as error:
        raise RmlibError(f"{path}, step {row['step']}: {error}; expected a number") from None


def _whole(text: str) -> int:
    return int(float(text))
