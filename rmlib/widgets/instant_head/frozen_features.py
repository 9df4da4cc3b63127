"""Features of words from a frozen encoder, on which a linear head trains in a moment.

train, dev = extract_features(bundled_tagger(), corpus.train, corpus.dev)
head = Head(train.x, train.y, len(train.labels), train.lengths)      # see linear_head.py
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.determinism import one_thread
from rmlib.errors import RmlibValueError
from rmlib.models.encoder import Tagger
from rmlib.models.hidden_states import hidden_states
from rmlib.text.conll import Sentence
from rmlib.text.metrics import Reliability, entity_scores, reliability
from rmlib.text.viterbi import decode

MAX_WORDS = 20_000  # to train on: with more, a head no longer follows a slider


@dataclass(frozen=True)
class Features:
    """The words of some sentences as the frozen encoder represents them.

    Attributes:
        x: (words, width) float32. Of the training words the mean is 0 and the mean square 1.
        y: (words,) int, the index of the word's tag in `labels`.
        lengths: words of each sentence, in order; they add up to len(x).
        sentences: the same words with their tags.
        labels: the tags, "O" first.
        left_out: words that were given and are not in x.
    """

    x: Tensor
    y: Tensor
    lengths: list[int]
    sentences: list[Sentence]
    labels: list[str]
    left_out: int

    def report(self) -> str:
        """One sentence on the size."""
        size = f"{len(self.x):,} words of {len(self.lengths):,} sentences"
        size += f", {self.x.shape[1]} numbers per word"
        return f"{size}; {self.left_out:,} words left out" if self.left_out else size


def extract_features(
    tagger: Tagger,
    train: list[Sentence],
    dev: list[Sentence],
    layer: int | None = None,
    width: int = 128,
    max_words: int = MAX_WORDS,
    progress: bool = True,
) -> tuple[Features, Features]:
    """Features of the training words and of the dev words, in the same coordinates.

    The hidden state on the first token of each word, minus the mean of the training words, on their
    first `width` principal components, divided by one number. Fewer numbers per word make the head
    faster, and on 20,000 words no worse.

    Args:
        tagger: its encoder is used, its head is not.
        train: sentences; if they have more than `max_words` words, whole sentences are sampled
            (seed 0) and the rest left out.
        dev: sentences, of which all are used.
        layer: 0 (the embeddings) to the number of layers; None: two thirds of the way up, where
            MiniLM represents names better than at its top, which was trained for the meaning of
            whole sentences.
        width: at most the encoder's own.
        max_words: most training words.
        progress: whether to show a bar while the hidden states are computed.

    Raises:
        RmlibValueError: no sentence, a layer or width out of range, or a tag that the tagger lacks.
    """
    config = tagger.model.config
    depth, widest = config.num_hidden_layers, config.hidden_size
    layer = round(depth * 2 / 3) if layer is None else layer
    if not 0 <= layer <= depth:
        raise RmlibValueError(f"layer is {layer}; this encoder has 0 (the embeddings) to {depth}")
    if not 1 <= width <= widest:
        raise RmlibValueError(f"width is {width}; expected 1 to {widest}")
    sampled = sample_sentences(train, max_words)
    if not sampled or not dev:
        raise RmlibValueError(
            f"{len(sampled)} training and {len(dev)} dev sentences; expected at least 1 of each"
        )
    train_states, train_rest = _words(tagger, sampled, layer, progress)
    dev_states, dev_rest = _words(tagger, dev, layer, progress)
    mean, directions = principal_components(train_states, width)
    train_x = (train_states - mean) @ directions
    dev_x = (dev_states - mean) @ directions
    scale = train_x.square().mean().sqrt().clamp_min(1e-12)
    labels = list(tagger.labels)
    return (
        Features(train_x / scale, *train_rest, labels, _word_count(train) - len(train_x)),
        Features(dev_x / scale, *dev_rest, labels, _word_count(dev) - len(dev_x)),
    )


def _words(tagger: Tagger, sentences: list[Sentence], layer: int, progress: bool):
    """Hidden states, then y, lengths and sentences as in `Features`."""
    encoded = tagger.encode(sentences)
    x, y = hidden_states(tagger, encoded, layer, progress)
    return x, (y, [len(sentence.words) for sentence in sentences], sentences)


def _word_count(sentences: list[Sentence]) -> int:
    return sum(len(sentence.words) for sentence in sentences)


class Evaluation(NamedTuple):
    """How well a head's logits tag the words of `Features`.

    Attributes:
        scores: see `metrics.entity_scores`.
        tags: one list per sentence, well formed.
        calibration: of the probability of each word's tag, see `metrics.reliability`.
    """

    scores: dict
    tags: list[list[str]]
    calibration: Reliability


def judge(logits: Tensor, features: Features) -> Evaluation:
    """Tag the words of `features` by logits (words, tags), and score the tagging."""
    with one_thread():
        predictions = decode(logits, features.lengths, features.labels)
        confidence = logits.softmax(-1).gather(1, predictions[:, None])[:, 0]
    sentences = predictions.split(features.lengths)
    tags = [[features.labels[k] for k in own.tolist()] for own in sentences]
    gold = [list(sentence.tags) for sentence in features.sentences]
    right = (predictions == features.y).numpy()
    calibration = reliability(confidence.clamp(0, 1).numpy(), right)
    return Evaluation(entity_scores(gold, tags), tags, calibration)


def sample_sentences(sentences: list[Sentence], max_words: int = MAX_WORDS) -> list[Sentence]:
    """Whole sentences of at most `max_words` words in all, sampled with seed 0, in their order."""
    order = list(range(len(sentences)))
    if _word_count(sentences) > max_words:
        random.Random(0).shuffle(order)
    kept, words = [], 0
    for i in order:
        if words + len(sentences[i].words) <= max_words:
            kept.append(i)
            words += len(sentences[i].words)
    return [sentences[i] for i in sorted(kept)]


def principal_components(x: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The mean (columns,) of x (words, columns) and its first components (columns, width).

    The largest entry of each component is positive, so that the result is the same everywhere.
    """
    mean = x.double().mean(0)
    centred = x.double() - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
    directions = vectors.flip(1)[:, :width]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return mean.float(), (directions * largest.sign()).float()
