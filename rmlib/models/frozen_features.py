"""What a frozen encoder sees at every word, computed once and kept, so that a head on it can be trained in a moment.

    train, dev = features(ready_tagger(), corpus.train, corpus.dev)
    head = Head(train.x, train.y, len(train.labels), train.lengths)      # see heads.py

The encoder does not train, so neither do these numbers: they are computed at the first call, which takes seconds, and
are read from the cache folder of the assets afterwards.
"""

import hashlib
import os
import random
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from rmlib.determinism import one_thread
from rmlib.errors import RmlibValueError
from rmlib.text.batches import IGNORE, Encoded, batches
from rmlib.text.conll import Sentence
from rmlib.text.downloads import cache_dir
from rmlib.text.metrics import Reliability, entity_scores, reliability
from rmlib.text.packing import Shelf
from rmlib.text.viterbi import decode

from .encoder import Classifier, Tagger

MOST = 20_000  # words to train on: with more, a head would take longer than a hand waits
_KNOWN: dict[str, tuple[Tensor, Tensor]] = {}  # by key, in this process


@dataclass(frozen=True)
class Features:
    """The words of some sentences as the frozen encoder sees them.

    Attributes:
        x: (words, width) float32. Of the training words the mean is 0 and the mean square 1.
        y: (words,) int, the index of the word's tag in `labels`.
        lengths: words of each sentence, in order; they add up to len(x).
        sentences: the same words with their tags; what the encoder cut off is not in them.
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
        size = f"{len(self.x):,} words of {len(self.lengths):,} sentences, {self.x.shape[1]} numbers a word"
        return f"{size}; {self.left_out:,} words left out" if self.left_out else size


def features(
    tagger: Tagger,
    train: list[Sentence],
    dev: list[Sentence],
    layer: int | None = None,
    width: int = 128,
    most: int = MOST,
    progress: bool = True,
) -> tuple[Features, Features]:
    """Features of the training and the dev words, in the same coordinates.

    The hidden state on the first piece of each word, seen from the mean of the training words, in the `width`
    directions in which the training words differ most (principal components), divided by one number. Fewer numbers a
    word make the head quicker, and on 20,000 words no worse.

    Args:
        tagger: its encoder is used, its head is not.
        train: sentences; where they have more than `most` words, whole sentences are drawn (seed 0) and the rest left
            out.
        dev: sentences, of which all are used.
        layer: 0 (the embeddings) to the number of layers; None: two thirds of the way up, where MiniLM knows more of
            names than at its top, which was trained for the meaning of whole sentences.
        width: at most the encoder's own.
        progress: show a bar while they are computed.

    Raises:
        RmlibValueError: no sentence, a layer or width that the encoder has not, or a tag that the tagger has not.
    """
    config = tagger.model.config
    depth, widest = config.num_hidden_layers, config.hidden_size
    layer = round(depth * 2 / 3) if layer is None else layer
    if not 0 <= layer <= depth:
        raise RmlibValueError(f"layer is {layer}; this encoder has 0 (the embeddings) to {depth}")
    if not 1 <= width <= widest:
        raise RmlibValueError(f"width is {width}; expected 1 to {widest}")
    kept = some(train, most)
    if not kept or not dev:
        raise RmlibValueError(f"{len(kept)} training and {len(dev)} dev sentences; expected at least 1 of each")
    parts = []
    for given, sentences in ((train, kept), (dev, dev)):
        encoded = tagger.encode(sentences)
        x, y = hidden_states(tagger, encoded, layer, progress)
        lengths = [sum(label != IGNORE for label in example.labels) for example in encoded.examples]
        seen = [Sentence(s.words[:n], s.tags[:n]) for s, n in zip(sentences, lengths, strict=True)]
        parts.append((x, y, lengths, seen, sum(len(s.words) for s in given) - len(y)))
    mean, directions = principal(parts[0][0], width)
    x, *others = ((part[0] - mean) @ directions for part in parts)
    scale = x.square().mean().sqrt().clamp_min(1e-12)
    return tuple(
        Features(one / scale, part[1], part[2], part[3], list(tagger.labels), part[4])
        for one, part in zip((x, *others), parts, strict=True)
    )


class Judged(NamedTuple):
    """What a head's logits come to on the words of `Features`.

    `scores`: see `metrics.entity_scores`; `tags`: a list a sentence, well formed; `calibration`: the probability of
    each word's tag against how often it is right (see `metrics.reliability`).
    """

    scores: dict
    tags: list[list[str]]
    calibration: Reliability


def judge(logits: Tensor, features: Features) -> Judged:
    """Tag the words of `features` and score the tagging.

    logits: (words, tags).
    """
    with one_thread():
        found = decode(logits, features.lengths, features.labels)
        confidence = logits.softmax(-1).gather(1, found[:, None])[:, 0]
    names = [features.labels[k] for k in found.tolist()]
    ends = [0, *torch.tensor(features.lengths).cumsum(0).tolist()]
    tags = [names[start:end] for start, end in zip(ends, ends[1:], strict=False)]
    gold = [list(sentence.tags) for sentence in features.sentences]
    calibration = reliability(confidence.clamp(0, 1).numpy(), (found == features.y).numpy())
    return Judged(entity_scores(gold, tags), tags, calibration)


def some(sentences: list[Sentence], most: int = MOST) -> list[Sentence]:
    """Whole sentences of at most `most` words in all, drawn with seed 0 where not all fit, in the order given."""
    order = list(range(len(sentences)))
    if sum(len(s.words) for s in sentences) > most:
        random.Random(0).shuffle(order)
    kept, words = [], 0
    for i in order:
        if words + len(sentences[i].words) <= most:
            kept.append(i)
            words += len(sentences[i].words)
    return [sentences[i] for i in sorted(kept)]


def principal(x: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The mean (columns,) of x (words, columns), and the `width` directions (columns, width) in which x varies most,
    the first the most; each points to where its largest part is positive, so that they are the same everywhere."""
    mean = x.double().mean(0)
    centred = x.double() - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
    directions = vectors.flip(1)[:, :width]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return mean.float(), (directions * largest.sign()).float()


def hidden_states(classifier: Classifier, encoded: Encoded, layer: int, progress: bool = True) -> tuple[Tensor, Tensor]:
    """What the encoder has at a layer on the first piece of every word, or on the first piece of every text.

    Kept in memory, and as a file in the cache folder; the key is a hash of all weights below the head and of the
    pieces. A file that is damaged is computed again.

    Args:
        encoded: from `Tagger.encode`, or from `batches.encode_texts`.
        layer: 0 (the embeddings) to the number of layers.

    Returns:
        x (words, hidden size) float32 and y (words,) int, in the order of `encoded`.
    """
    key = _key(classifier, encoded, layer)
    path = cache_dir() / "features" / f"{key}.safetensors"
    if key not in _KNOWN:
        stored = _read(path)
        if stored is None:
            stored = _compute(classifier, encoded, layer, progress)
            _write(path, *stored)
        _KNOWN[key] = stored
    return _KNOWN[key]


def _key(classifier: Classifier, encoded: Encoded, layer: int) -> str:
    key = hashlib.sha256(f"1 {layer} {classifier.case}".encode())  # the 1 counts the versions of this function
    for name, tensor in classifier.model.base_model.state_dict().items():
        key.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        key.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    for example in encoded.examples:
        key.update(repr((example.input_ids, example.labels, example.case)).encode())
    return key.hexdigest()


@torch.no_grad()
def _compute(classifier: Classifier, encoded: Encoded, layer: int, progress: bool) -> tuple[Tensor, Tensor]:
    model = classifier.model
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    shelf = Shelf(encoded.examples, classifier.tokenizer.pad_token_id, classifier.case, device)
    x: list = [None] * len(encoded)
    y: list = [None] * len(encoded)
    with tqdm(total=len(encoded), desc="features", unit="sentence", disable=not progress) as bar:
        for group in batches(encoded.lengths, 4096):
            batch = shelf.padded(group)
            states = model.base_model(**batch.inputs, output_hidden_states=True).hidden_states[layer]
            rows = states[:, 0] if shelf.per_text else states.flatten(0, 1)[batch.items]
            parts = rows.float().cpu().split(batch.words), batch.labels.cpu().split(batch.words)
            for i, own, labels in zip(group, *parts, strict=True):
                x[i], y[i] = own, labels
            bar.update(len(group))
    model.train(was_training)
    return torch.cat(x), torch.cat(y)


def _sum(x: Tensor, y: Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().tobytes() + y.contiguous().numpy().tobytes()).hexdigest()


def _read(path) -> tuple[Tensor, Tensor] | None:
    """The stored tensors; None where there is no file, or one that is not whole."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            x, y, stored = file.get_tensor("x"), file.get_tensor("y"), (file.metadata() or {}).get("sha256")
    except Exception:  # safetensors has errors of its own kind
        return None
    return (x, y) if stored == _sum(x, y) else None


def _write(path, x: Tensor, y: Tensor) -> None:
    """Written beside and moved into place, so that nobody reads half a file. A cache that cannot be written to (a
    class may share one) costs the seconds of computing again, and nothing else."""
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True) as folder:
            save_file({"x": x, "y": y}, f"{folder}/new", metadata={"sha256": _sum(x, y)})
            os.replace(f"{folder}/new", path)
