"""What the lesson computes around the learner's code: comparisons, examples, settings, the stored
study of faults.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from rmlib.exercises.framework.own_pieces import LearnersObjective, mine
from rmlib.models.encoder import Tagger
from rmlib.studies.bootstrap import Effect, Pair, f1, over_seeds_and_items
from rmlib.studies.ner_analysis import compare
from rmlib.text.conll import Sentence, entities
from rmlib.text.corpora import data_dir
from rmlib.text.encoding import IGNORE, Example, case_of

from .own_training import collate_slowly

RESULTS = data_dir() / "results"


def show_tokens(tagger: Tagger, sentence: Sentence, labels_as_printed: Callable) -> pd.DataFrame:
    """The tokens of a sentence with the word of each, and the article's label beside it."""
    tokens = tagger.tokenizer(list(sentence.words), is_split_into_words=True)
    numbers = [tagger.labels.index(tag) for tag in sentence.tags]
    labels = labels_as_printed(numbers, len(tokens.tokens()))
    rows = {
        "token": tokens.tokens(),
        "word_ids": ["None" if word is None else str(word) for word in tokens.word_ids()],
        "the article's label": [tagger.labels[i] for i in labels],
    }
    return pd.DataFrame(rows)


def wrong_labels(
    tagger: Tagger, sentences: list[Sentence], labels_as_printed: Callable, length: int = 128
) -> tuple[float, float]:
    """How wrong the article's labels are.

    Returns:
        (the share of words in names whose first token has a wrong label, the share of positions
        that are padding).
    """
    of_names = wrong = padding = 0
    for sentence, example in zip(sentences, tagger.encode(sentences).examples, strict=True):
        printed = labels_as_printed([tagger.labels.index(tag) for tag in sentence.tags], length)
        padding += max(0, length - len(example))
        for right, label in zip(example.labels, printed, strict=False):
            if right > 0:  # the first token of a word in a name
                of_names += 1
                wrong += label != right
    return wrong / of_names, padding / (length * len(sentences))


@torch.no_grad()
def alone_and_beside(
    tagger: Tagger, short: Sentence, long: Sentence, make_batch: Callable
) -> tuple[tuple[int, int], float]:
    """What a short sentence gets in a batch of its own and beside a longer one.

    Args:
        make_batch: (rows, labels, pad_id) -> token ids, mask and labels.

    Returns:
        (its labels that count, alone and beside; the largest difference between its logits).
    """
    both = tagger.encode([short, long]).examples
    labelled, logits = [], []
    tagger.model.eval()
    for group in (both[:1], both):
        rows, labels = [e.input_ids for e in group], [e.labels for e in group]
        ids, mask, padded = make_batch(rows, labels, tagger.tokenizer.pad_token_id)
        z = tagger.model(input_ids=ids, attention_mask=mask).logits
        labelled.append(int((padded[0] != IGNORE).sum()))
        logits.append(z[0, : len(both[0])])
    return (labelled[0], labelled[1]), float((logits[0] - logits[1]).abs().max())


def example_of(sentence: Sentence, tagger: Tagger) -> dict:
    """A sentence as a data collator gets it: `labels` per word, everything else per token."""
    tokens = tagger.tokenizer(list(sentence.words), is_split_into_words=True)
    words = tokens.word_ids()
    return {
        "input_ids": tokens["input_ids"],
        "word_ids": words,
        "labels": [tagger.labels.index(tag) for tag in sentence.tags],
        "case": [0 if word is None else case_of(sentence.words[word]) for word in words],
    }


def kits_collate(examples: list[dict]) -> dict:
    """The kit's batch of some `example_of`, without any code of the learner's."""
    return collate_slowly(examples, pad_id=0)


def different_values(batches: list[dict], others: list[dict]) -> int:
    """How many numbers differ between two lists of batches, in all their tensors."""
    return sum(
        int((batch[name] != other[name]).sum())
        for batch, other in zip(batches, others, strict=True)
        for name in other
    )


def labelled_by(align: Callable, sentences: list[Sentence], tagger: Tagger) -> list[Example]:
    """The sentences for the kit's loop, with labels from `align`.

    Args:
        align: (word_ids, one label per word) -> one label per token, as `mine.align`.
    """
    made = [example_of(sentence, tagger) for sentence in sentences]
    return [
        Example(one["input_ids"], align(one["word_ids"], one["labels"]), one["case"])
        for one in made
    ]


def whose_loss(objective) -> str:
    """Which loss a training loop was given, in words."""
    if not isinstance(objective, LearnersObjective):
        return "RewardObjective, the kit's (mine.objective was not put in)"
    return f"mine.token_loss ({mine.whose()['token_loss']})"


def plain_settings(folder: Path, batch_size: int):
    """`TrainingArguments` for one pass in the order given, without clipping or schedule."""
    from transformers import TrainingArguments

    return TrainingArguments(
        str(folder),
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        logging_steps=1,
        lr_scheduler_type="constant",
        max_grad_norm=0,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )


def trainer_for(objective: Callable, model, examples: list, collate: Callable, settings, lr: float):
    """A `transformers.Trainer` with an objective and AdamW, made by the kit."""
    from transformers import Trainer

    return Trainer(
        model=model,
        args=settings,
        train_dataset=examples,
        data_collator=collate,
        compute_loss_func=objective,
        optimizers=(torch.optim.AdamW(model.parameters(), lr=lr), None),
    )


def losses_of(trainer) -> list[float]:
    """Train with a `transformers.Trainer`; the loss of each step, with no lines on the screen."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def largest_difference(losses: list[float], others: list[float]) -> float:
    """How far two runs are apart, step by step."""
    return max(abs(a - b) for a, b in zip(losses, others, strict=True))


class Fault(NamedTuple):
    """What a fault costs: mean test F1 without it and with it, and the difference."""

    without: float
    with_it: float
    difference: Effect


def setting(
    labels: str = "on first tokens",
    padding: str = "ignored",
    misc: str = "yes",
    alpha: float = 0.0,
    epochs: int = 3,
) -> pd.DataFrame:
    """The stored runs of `tests.benchmarks.faults` with one setting, by seed."""
    hexadecimal = {"gold": str, "right": str, "found": str}
    study = pd.read_csv(RESULTS / "faults.csv", comment="#", dtype=hexadecimal)
    columns = study[["labels", "padding", "MISC", "alpha", "epochs"]]
    chosen = (columns == [labels, padding, misc, alpha, epochs]).all(axis=1)
    return study[chosen].set_index("seed").sort_index()


def fault_study() -> dict[str, Fault]:
    """The stored study of the article's faults, by the name of the fault.

    The intervals resample seeds and test sentences.
    """
    repaired, reward = setting(), setting(alpha=1.0)
    pairs = {
        "labels from [CLS] on": (repaired, setting(labels="from [CLS] on")),
        "padding labelled O": (repaired, setting(padding="labelled O")),
        "no MISC": (repaired, setting(misc="no")),
        "no reward": (reward, repaired),
        "all of them, as printed": (reward, setting("from [CLS] on", "labelled O", "no")),
    }
    return {
        name: Fault(without["f1"].mean(), with_it["f1"].mean(), compare(without, with_it))
        for name, (without, with_it) in pairs.items()
    }


def over_sentences(gold: list, control: list, method: list) -> Effect:
    """F1 of `method` minus that of `control`, with an interval over the test sentences."""
    pair = Pair(np.arange(len(gold)), _counts(gold, control), _counts(gold, method))
    return over_seeds_and_items(f1, [pair])


def _counts(gold: list, predicted: list) -> np.ndarray:
    """Right, spurious and missing entities of each sentence, laid out as `bootstrap.counts`."""
    pairs = [(set(entities(g)), set(entities(p))) for g, p in zip(gold, predicted, strict=True)]
    return np.array([(len(g & p), len(p - g), len(g - p), 0) for g, p in pairs])


def sweep_of(alpha: float) -> pd.Series:
    """Test F1 of the stored runs of `rmlib study sweep` with one α, by seed."""
    sweep = pd.read_csv(RESULTS / "sweep.csv", comment="#").set_index("seed")
    return sweep[sweep["alpha"] == alpha]["f1"]
