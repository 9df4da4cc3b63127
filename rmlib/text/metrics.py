"""Exact metrics of a tagging."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, confusion_matrix

from rmlib.errors import RmlibValueError

Tags = Sequence[Sequence[str]]


def entity_scores(gold: Tags, predicted: Tags) -> dict:
    """Entity-level precision, recall and F1 (Tjong Kim Sang and De Meulder 2003).

    An entity is right if its type, start and end are. seqeval's strict mode with scheme IOB2: an
    I- tag that continues nothing is no entity.

    Args:
        gold, predicted: one sequence of IOB2 tags per sentence, of equal lengths.

    Returns:
        `f1`, `precision`, `recall` (micro, in [0, 1]), `support` (gold entities), `token_accuracy`,
        and `per_type`: {type: {precision, recall, f1, support}}. All 0 if nothing is predicted.

    Raises:
        RmlibValueError: sequences of different lengths, or no sentence at all.
    """
    _check(gold, predicted)
    with warnings.catch_warnings():
        # seqeval warns of types that are never predicted; the zeros say so already
        warnings.simplefilter("ignore")
        report = classification_report(
            [_framed(tags) for tags in gold],
            [_framed(tags) for tags in predicted],
            mode="strict",
            scheme=IOB2,
            output_dict=True,
            zero_division=0,
        )
    types = {n[1:-1]: _plain(row) for n, row in report.items() if not n.endswith(" avg")}
    return {
        **_plain(report["micro avg"]),
        "token_accuracy": token_accuracy(gold, predicted),
        "per_type": dict(sorted(types.items())),
    }


def _framed(tags: Sequence[str]) -> list[str]:
    """Tags whose types stand between full stops: seqeval drops a hyphen at a type's end or start.

    It reads B-art- as the type art: chakki-works/seqeval, `scheme.Token`.
    """
    return [f"{tag[:2]}.{tag[2:]}." if tag[1:2] == "-" else tag for tag in tags]


def _plain(row: dict) -> dict:
    return {
        "f1": float(row["f1-score"]),
        "precision": float(row["precision"]),
        "recall": float(row["recall"]),
        "support": int(row["support"]),
    }


def token_accuracy(gold: Tags, predicted: Tags) -> float:
    """Share of words whose tag is right, in [0, 1]; high for any tagger, as most words are O."""
    return float(
        accuracy_score([t for tags in gold for t in tags], [t for tags in predicted for t in tags])
    )


def report_table(scores: dict) -> pd.DataFrame:
    """`entity_scores` as a table: precision, recall, f1 and support per type and for all."""
    rows = {**scores["per_type"], "all": scores}
    columns = ["precision", "recall", "f1", "support"]
    return pd.DataFrame(
        {name: [row[c] for c in columns] for name, row in rows.items()}, index=columns
    ).T.astype({"support": int})


def type_confusion(gold: Tags, predicted: Tags) -> pd.DataFrame:
    """Counts of words by gold type (rows) and predicted type (columns), B- and I- merged.

    Raises:
        RmlibValueError: as `entity_scores`.
    """
    _check(gold, predicted)
    flat = [[tag.split("-", 1)[-1] for tags in side for tag in tags] for side in (gold, predicted)]
    names = sorted(set(flat[0]) | set(flat[1]), key=lambda name: (name == "O", name))
    return pd.DataFrame(confusion_matrix(*flat, labels=names), index=names, columns=names)


class Reliability(NamedTuple):
    """The calibration of a model's confidences.

    Attributes:
        table: one row per bin, columns `words`, `confidence` and `accuracy` (means, NaN in an empty
            bin).
        error: the expected calibration error, in [0, 1].
    """

    table: pd.DataFrame
    error: float


def reliability(confidence, right, bins: int = 10) -> Reliability:
    """Compare confidence with accuracy, and compute the expected calibration error.

    The error is the mean distance between the two over bins of equal width, weighted by their words
    (Naeini, Cooper and Hauskrecht, AAAI 2015; Guo et al., ICML 2017).

    Args:
        confidence: (words,) the probability of each predicted tag, in [0, 1].
        right: (words,) whether the tag is right.
        bins: how many, from 0 to 1; a confidence on an edge belongs to the bin above it.

    Raises:
        RmlibValueError: no word, lengths that differ, a confidence outside [0, 1], or no bin.
    """
    p = np.asarray(confidence, dtype=float)
    correct = np.asarray(right, dtype=float)
    if p.ndim != 1 or p.shape != correct.shape or not p.size:
        raise RmlibValueError(
            f"confidence has shape {p.shape} and right {correct.shape}; "
            "expected (words,), at least 1"
        )
    if not (np.all(p >= 0) and np.all(p <= 1)):
        raise RmlibValueError(f"confidences run from {p.min():g} to {p.max():g}; expected 0 to 1")
    if bins < 1:
        raise RmlibValueError(f"bins is {bins}; expected at least 1")
    index = np.minimum((p * bins).astype(int), bins - 1)
    words = np.bincount(index, minlength=bins)
    p_sum = np.bincount(index, p, minlength=bins)
    correct_sum = np.bincount(index, correct, minlength=bins)
    divisor = np.maximum(words, 1)
    columns = {"words": words, "confidence": p_sum / divisor, "accuracy": correct_sum / divisor}
    table = pd.DataFrame(columns)
    table.loc[words == 0, ["confidence", "accuracy"]] = np.nan
    return Reliability(table, float(np.abs(p_sum - correct_sum).sum() / p.size))


def _check(gold: Tags, predicted: Tags):
    if len(gold) != len(predicted) or not gold:
        raise RmlibValueError(
            f"{len(gold)} gold and {len(predicted)} predicted sentences; "
            "expected as many, at least 1"
        )
    for number, (a, b) in enumerate(zip(gold, predicted, strict=True), 1):
        if len(a) != len(b):
            raise RmlibValueError(
                f"sentence {number}: {len(a)} gold and {len(b)} predicted tags; expected as many"
            )
